"""How often `attnas confirm` names the best, and how often it is wrong. Writes benchmarks/confirm.md.

    python -m benchmarks.confirm_power [--simulations 2000]

Simulated truth: one arm is better than all others by a gap, the others are equal, which is the hardest case; the luck
of a run is Gaussian. The gap is in standard deviations of that luck (`attnas results noise` prints it). The second
table: two arms are equally good, and the others, if any, hopeless, which is the hardest case for naming nobody.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import numpy as np

from results.best import race
from trainers.environment import commit

ALPHA = 0.05
MORE = 5  # a rate near alpha takes more simulations
GAPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
TWO_BEST = ((2, 2), (2, 3), (2, 5), (3, 2), (3, 3), (3, 5), (7, 2), (7, 5))  # arms, seeds
HOPELESS = 9.0  # standard deviations behind
PLANS = ((3, 5), (5, 5), (7, 3), (7, 5), (7, 10))  # arms, seeds; 7 arms: --top 5, none and se


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--simulations", type=int, default=2000)
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_name("confirm.md"))
    options = arguments.parse_args()
    text = report(options.simulations)
    options.output.write_text(text, encoding="utf-8")
    print(text)


def report(simulations: int) -> str:
    lines = [
        "# How often `attnas confirm` decides",
        "",
        f"`python -m benchmarks.confirm_power`: n = {simulations:,} simulated confirmations a line (a rate of 0.80 is "
        f"known to {1.96 * (0.16 / simulations) ** 0.5:.3f}), alpha {ALPHA:g}, {date.today()}, commit {commit()}.",
        "One arm is better than all others by `gap` standard deviations between seeds; the others are equal. `named`:",
        "the best stands alone. `lost`: the best was sent out; its bound is alpha. `false`: another stands alone, and",
        "with a gap of 0 any that does. `trained`: of the trainings that stopping nobody would take.",
        "",
        "| arms | seeds | gap (sd) | named | lost | false | trained |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for arms, seeds in PLANS:
        for gap in GAPS:
            named, lost, false, trained = simulated(arms, seeds, gap, simulations)
            shown = "-" if gap == 0 else f"{named:.2f}"
            lines.append(f"| {arms} | {seeds} | {gap:g} | {shown} | {lost:.3f} | {false:.3f} | {trained:.0%} |")
    many = MORE * simulations
    lines += [
        "",
        f"Two arms equally good, the others {HOPELESS:g} sd behind; n = {many:,} a line (a rate of 0.05 is known to "
        f"{1.96 * (0.05 * 0.95 / many) ** 0.5:.3f}). `false`: one of the",
        "two stands alone and is announced though the other is as good; its bound is alpha.",
        "",
        "| arms | seeds | false |",
        "|---:|---:|---:|",
    ]
    lines += [f"| {arms} | {seeds} | {two_best(arms, seeds, many):.3f} |" for arms, seeds in TWO_BEST]
    return "\n".join(lines) + "\n"


def simulated(arms: int, seeds: int, gap: float, simulations: int) -> tuple[float, float, float, float]:
    random = np.random.default_rng([arms, seeds, round(10 * gap)])
    named = lost = false = trained = 0
    for _ in range(simulations):
        runs = random.normal(size=(seeds, arms))
        runs[:, 0] += gap
        now = race(runs, ALPHA)
        alone = now.standing[0] if len(now.standing) == 1 else None
        named += alone == 0
        lost += 0 not in now.standing
        false += alone is not None and (alone != 0 or gap == 0)
        trained += int(now.n.sum())
    return named / simulations, lost / simulations, false / simulations, trained / (simulations * arms * seeds)


def two_best(arms: int, seeds: int, simulations: int) -> float:
    random = np.random.default_rng([arms, seeds])
    means = np.where(np.arange(arms) < 2, 0.0, -HOPELESS)
    found = (race(means + random.normal(size=(seeds, arms)), ALPHA) for _ in range(simulations))
    return sum(len(now.standing) == 1 for now in found) / simulations


if __name__ == "__main__":
    main()
