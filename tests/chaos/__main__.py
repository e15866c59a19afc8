"""`python -m chaos`, from the folder tests: kill a search at random, 50 times and more, on each backend."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time

from chaos.backends import BACKENDS, full
from chaos.campaign import campaign
from chaos.verdict import Verdict, judge
from postgres import MISSING, find_binaries


def main() -> int:
    options = _options()
    verdicts = []
    for backend in options.backends or BACKENDS:
        reason = _missing(backend)
        if reason is not None:
            print(f"{backend}: NOT RUN: {reason}", file=sys.stderr)
            return 1
        begun = time.monotonic()
        with campaign(full(backend, options.trials, options.seed), options.seed) as chaos:
            chaos.run(options.minutes * 60)
            chaos.run_undisturbed(60)
            verdict = judge(chaos, least_kills=50, patiently=True)
        verdicts.append(verdict)
        _say(verdict, time.monotonic() - begun)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("backends", nargs="*", choices=[*BACKENDS, []], help="all unless some are named")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument("--minutes", type=float, default=20, help="that a backend may take at most")
    return parser.parse_args()


def _missing(backend: str) -> str | None:
    if backend == "postgresql" and find_binaries() is None:
        return MISSING
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        return "no ray: pip install 'ray[tune]'"
    return None


def _say(verdict: Verdict, seconds: float) -> None:
    rows = ", ".join(f"{number} {status}" for status, number in sorted(verdict.rows.items()))
    print(f"{verdict.backend}: {verdict.trials} trials, rows: {rows}; {verdict.runs} runs in {seconds:.0f} s")
    print(f"  kills: {verdict.kills.total()}, {verdict.between} of them between the end of a training and its commit")
    for (kind, moment), number in sorted(verdict.kills.items()):
        print(f"    {number:3d}  {kind:8s} {moment}")
    print(f"  lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, zombies {len(verdict.zombies)}")
    for fault in [*verdict.lost, *verdict.doubled, *verdict.zombies, *verdict.faults]:
        print(f"  WRONG: {fault}")
    print("  " + ("passed" if verdict.passed else "FAILED"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
