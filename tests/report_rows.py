"""Rows for the tests of figures, checklist and report: two contexts, rungs, failures, several seeds, hostile texts."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pandas as pd
from test_results_row import a_row

from results.row import COLUMNS, Row

HOSTILE = (
    '</script><script>document.title="owned"</script><img src=x onerror=alert(1)> & "q" \' $\\frac{1}$ \x07 \u202e'
)
DESIGNS = {
    "none": 0.40,
    "avg/mlp-r16": 0.44,  # se
    "avg/conv1d": 0.43,  # eca
    "dct-top16/mlp-r16": 0.46,  # fca-ts
    "haar-d2-all/mlp-r16": 0.48,
    "haar-d2-all/mlp-r8": 0.47,
    "haar-d1-all/mlp-r16": 0.45,
    "max/affine": 0.41,
}
REAL = {"data": "tiny-imagenet-100", "data_hash": "t" * 32, "recipe_hash": "r" * 32, "epochs": 3, "schedule_epochs": 3}
LUCK = (0.004, -0.006, 0.002)


def curve(accuracy: float, epochs: int = 3) -> list[dict[str, Any]]:
    return [
        {"epoch": float(e), "train_loss": 4 / e, "loss": 3 / e, "accuracy": accuracy * e / epochs} for e in (1, 2, 3)
    ]


def search_rows() -> list[Row]:
    """A search on real data of eight designs, three seeds of four; a rung, failures; then synthetic rows."""
    rows = []
    for number, (design, truth) in enumerate(DESIGNS.items()):
        cost = {
            "macs": 12_500_000 + 3_000 * number,
            "params": 84_000 + 10 * number,
            "macs_convention": "layers+squeeze",
        }
        ran = {
            "hardware": "AMD EPYC, 1 threads",
            "precision": "float32",
            "commit": "44ad21d00000",
            "versions": {"torch": "2.9"},
        }
        same = REAL | cost | ran | {"network_key": f"net-{design}", "key": design, "design": design}
        rung = a_row(**same | {"epochs": 1, "schedule_epochs": 3}, seed=0, accuracy=truth / 3, seconds=10.0)
        rows.append(replace(rung, status="stopped", started=1e9, finished=1e9 + 10, epochs_trained=1.0))
        for seed, luck in enumerate(LUCK if number < 4 or number == 4 else LUCK[:1]):
            row = a_row(**same, seed=seed, accuracy=truth + luck, seconds=30.0, curves=curve(truth + luck))
            # seed 0 went on from the rung: 20 of its 30 seconds are its own
            took = 20 if seed == 0 else 30
            rows.append(replace(row, started=2e9, finished=2e9 + took, epochs_trained=took / 10))
    failed = {"accuracy": None, "loss": None, "status": "failed", "seconds": 5.0}
    rows.append(
        a_row(**REAL | failed, network_key="lost", failure="nan", error="Traceback\nNotFiniteError: loss is nan")
    )
    rows.append(a_row(**REAL | failed, network_key="lost2", failure="bug", error=f"Traceback\nValueError: {HOSTILE}"))
    rows += [a_row(network_key=f"s{i}", accuracy=0.9 + i / 100, epochs=20, recipe_hash="s" * 32) for i in range(2)]
    return rows


def hostile_rows() -> list[Row]:
    """Every text that a storage may hold is an attack, three seeds of one design."""
    texts = dict.fromkeys(("design", "key", "data", "recipe", "hardware", "commit", "macs_convention"), HOSTILE)
    more = {"network_key": "h", "backbone": "evil.module:factory", "versions": {HOSTILE: HOSTILE}, "curves": curve(0.5)}
    return [a_row(**texts, **more, seed=seed, accuracy=0.5 + seed / 100) for seed in range(3)]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """As `Store.frame` returns them, without a database: thousands in a blink."""
    frame = pd.DataFrame([asdict(row) | {"identity": row.identity} for row in rows], columns=list(COLUMNS))
    numbers = ["accuracy", "loss", "seconds", "peak_memory_bytes", "latency_seconds", "started", "finished"]
    return frame.astype(dict.fromkeys([*numbers, "epochs_trained", "heartbeat", "progress"], "float64"))
