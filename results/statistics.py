"""How much of the spread of accuracy is design and how much is luck, and what this luck costs and forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from results.power import kendall_of, ratio_interval, reliability, seeds_needed, spearman_of, within_interval
from results.row import CONTEXT, LABELS
from results.spread import Spread, spread
from results.suggest import command
from search_space.errors import UserError

GAPS = (0.25, 0.5, 1.0, 2.0)
"""Differences of accuracy that people ask for, in points (per cent of the images)."""

NEEDED = (*CONTEXT, *LABELS, "network_key", "status", "seed", "accuracy")
"""The columns of `Store.frame` that `noise` takes."""


def noise(frame: pd.DataFrame, gaps: Sequence[float] = GAPS, seeds: float | None = None) -> pd.DataFrame:
    """One-way random-effects analysis of variance of accuracy in each context that has a design with two seeds.

    Columns: the context and its labels; designs; runs; sd_between_seeds (pooled within designs) with its 95 % interval
    sd_low, sd_high; sd_between_designs (the component of the design itself, seeds' luck subtracted, at least 0);
    variance_ratio (their squares' ratio); for each of `gaps` (points) seeds_for_GAP, the seeds of each of two designs
    that find such a difference (see `results.power.seeds_needed`).

    Then what a ranking by means over `seeds` seeds a design (unless given: as the rows have, in harmonic mean) can
    reach: seeds, reliability, and for pearson, spearman, kendall the correlation expected with the truth (_truth) and
    between two such measurements (_again), each with the 95 % interval _low, _high that the F distribution gives it.
    No cheaper measurement can be expected to agree better with this one. Designs and seeds are taken to be Gaussian.

    Raises:
        UserError: no context has two designs and a second seed of one, or a gap is not above 0.
    """
    complete = frame[frame["status"] == "complete"].drop_duplicates([*CONTEXT, "network_key", "seed"])
    found = []
    for context, rows in complete.groupby(list(CONTEXT), sort=False):
        luck = spread(rows["accuracy"], rows["network_key"])
        if luck.df > 0 and luck.designs > 1:
            labels = {name: rows[name].iloc[0] for name in LABELS} | dict(zip(CONTEXT, context, strict=True))
            found.append(labels | _spread(luck, gaps) | ceilings(luck, seeds or luck.seeds))
    if not found:
        raise UserError(
            "noise: needs two designs, one of them with two seeds, of the same data, recipe and fidelity; "
            f"`{command('train none se --seeds 4', like=None if frame.empty else frame.iloc[0])}` makes them."
        )
    return pd.DataFrame(found)


def _spread(luck: Spread, gaps: Sequence[float]) -> dict[str, float]:
    low, high = within_interval(luck)
    return {
        "designs": luck.designs,
        "runs": luck.runs,
        "sd_between_seeds": luck.within,
        "sd_low": low,
        "sd_high": high,
        "sd_between_designs": luck.between,
        "variance_ratio": luck.ratio,
        **{f"seeds_for_{gap:g}": seeds_needed(gap / 100, luck.within) for gap in gaps},
    }


def ceilings(luck: Spread, n: float) -> dict[str, Any]:
    """The best that a ranking by means over `n` seeds a design can be expected to agree with the truth, or with another
    such ranking: columns as `noise` names them."""
    low, high = ratio_interval(luck)
    ratios = {"": luck.ratio, "_low": low, "_high": high}
    found: dict[str, Any] = {"seeds": n} | {f"reliability{end}": reliability(r, n) for end, r in ratios.items()}
    for end, ratio in ratios.items():
        again = reliability(ratio, n)
        for against, correlation in (("truth", again**0.5), ("again", again)):
            found[f"pearson_{against}{end}"] = correlation
            found[f"spearman_{against}{end}"] = spearman_of(correlation)
            found[f"kendall_{against}{end}"] = kendall_of(correlation)
    return {name: float(value) for name, value in found.items()}
