"""How much of the spread of accuracy is design and how much is luck."""

from __future__ import annotations

import pandas as pd

from results.row import CONTEXT, LABELS
from search_space.errors import UserError

COLUMNS = ("designs", "runs", "sd_between_seeds", "sd_between_designs", "variance_ratio")


def noise(frame: pd.DataFrame) -> pd.DataFrame:
    """One-way random-effects analysis of variance of accuracy in each context, over designs with two seeds or more.

    Columns: the context and its labels; designs; runs; sd_between_seeds (pooled within designs); sd_between_designs
    (the component of the design itself, seeds' luck subtracted, at least 0); variance_ratio (their squares' ratio).

    Raises:
        UserError: no context has two designs of two seeds each.
    """
    complete = frame[frame["status"] == "complete"]
    found = []
    for context, rows in complete.groupby(list(CONTEXT), sort=False):
        groups = [group for _, group in rows.groupby("network_key")["accuracy"] if len(group) > 1]
        if len(groups) > 1:
            labels = {name: rows[name].iloc[0] for name in LABELS}
            found.append(labels | dict(zip(CONTEXT, context, strict=True)) | _components(groups))
    if not found:
        raise UserError(
            "noise: needs two designs with two seeds each of the same data, recipe and fidelity; "
            "`attnas train DESIGN DESIGN --seeds 4` makes them."
        )
    return pd.DataFrame(found)


def _components(groups: list[pd.Series]) -> dict[str, float]:
    runs, designs = sum(map(len, groups)), len(groups)
    grand = pd.concat(groups).mean()
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (runs - designs)
    between = sum(len(group) * (group.mean() - grand) ** 2 for group in groups) / (designs - 1)
    # the mean number of seeds a design that makes the estimate unbiased with unequal numbers (Searle 1971, 11.2)
    effective = (runs - sum(len(group) ** 2 for group in groups) / runs) / (designs - 1)
    component = max(0.0, (between - within) / effective)
    return {
        "designs": designs,
        "runs": runs,
        "sd_between_seeds": within**0.5,
        "sd_between_designs": component**0.5,
        "variance_ratio": component / within if within else float("inf"),
    }
