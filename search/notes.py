"""What is said under a table of means: what its numbers can't tell."""

from __future__ import annotations

import pandas as pd

from results.row import CONTEXT
from results.suggest import command
from results.summary import machines


def on_ranking(part: pd.DataFrame) -> list[str]:
    """Under the best designs of a context."""
    notes = on_means(part)
    if part["expected"].notna().any():
        notes.insert(
            0,
            f"{_ends(part)} is the 95 % interval of a mean, expected what fresh seeds would give it. The best of many "
            f"is flattered by its luck: `{command('confirm', like=part.iloc[0])}` trains it anew.",
        )
    return notes


def on_means(part: pd.DataFrame) -> list[str]:
    notes = []
    if (part["epochs"] < part["schedule_epochs"]).any():
        notes.append(
            "Measured at a rung of a longer schedule: every training as it stood there, those that went on too. What "
            "was trained to the end has a ranking of its own."
        )
    single = int((part["n"] == 1).sum())
    if single:
        notes.append(
            f"{single} of {len(part)} have one seed: differences smaller than the run-to-run spread mean nothing "
            f"(`{command('train', *_two(part), '--seeds', 5, like=part.iloc[0])}`)."
        )
    if len(part) > 1 and part["expected"].nunique(dropna=False) == 1 and part["expected"].notna().all():
        notes.append(
            "expected is the same for all: these designs are not seen to differ by more than seeds of one do, so the "
            f"order is that of luck; `{command('results noise')}` says how far they may differ."
        )
    if part["precision"].str.contains("+", regex=False).any() or part["precision"].nunique() > 1:
        notes.append("float32 and bfloat16 trainings stand side by side here; query precision to tell them apart.")
    return notes + _on_machines(part)


def on_groups(part: pd.DataFrame) -> list[str]:
    """Under the groups of a context."""
    return [
        f"accuracy is the mean over designs of their means over seeds; {_ends(part)} its 95 % interval by the spread "
        "between the designs of the group, whose seeds are no independent evidence. What was searched is no random "
        "sample.",
        *(_on_machines(part) if "hardware" in part and "hardware" not in CONTEXT else []),
    ]


def _two(part: pd.DataFrame) -> list[str]:
    """The first designs of one seed."""
    return part.loc[part["n"] == 1, "design"].head(2).tolist()


def _ends(part: pd.DataFrame) -> str:
    """How `search.tables` writes the intervals of these lines."""
    is_cut = (part["accuracy_low"] == 0) | (part["accuracy_high"] == 1)
    return "± (or from to, where 0 or 100 % cuts it)" if is_cut.any() else "±"


def _on_machines(part: pd.DataFrame) -> list[str]:
    kinds = machines(part)
    if len(kinds) < 2:
        return []
    return [f"Latency, memory and seconds are of different hardware here and don't compare: {'; '.join(kinds)}."]
