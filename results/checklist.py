"""Good practice for architecture search, as far as the rows themselves can tell whether it was kept.

The questions are those of Lindauer and Hutter, Best Practices for Scientific Research on Neural Architecture Search
(JMLR 21, 2020), and of Yang, Esperança and Carlucci, NAS evaluation is frustratingly hard (ICLR 2020), in our words
and narrowed to what a storage holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from results import checklist_comparison as comparison
from results.checklist_item import LH, NO, PARTLY, YES, Item, some
from results.contexts import with_rungs
from results.effort import outcomes, own_seconds
from results.ranking import top
from results.row import MEASURED
from results.studies import Study


def checklist(
    rows: pd.DataFrame,
    everything: pd.DataFrame,
    studies: Sequence[Study] = (),
    *,
    confirmed: Collection[str] = (),
    recipes: Collection[str] = (),
) -> list[Item]:
    """The list for `rows` (of one context), where `everything` is all rows of the storage.

    `confirmed` names designs that were measured anew with fresh seeds (`results.confirmed`), `recipes` the hashes whose
    values the storage holds.
    """
    complete = rows[rows["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    rungs = with_rungs(rows, everything)
    ranked = top(rows, n=comparison.FINALISTS, by="expected")
    finalists = [str(network) for network in ranked["network_key"]]
    return [
        _code(rungs),
        _space(rungs, studies),
        _settings(rows, recipes),
        _seeds_told(complete),
        _alike(complete),
        comparison.baselines(complete),
        comparison.random_search(rungs, studies),
        comparison.several_seeds(complete, finalists),
        comparison.error_bars(complete),
        comparison.fresh(complete, finalists, studies, confirmed),
        comparison.ablation(complete, finalists),
        _hardware(rungs),
        _cost(everything),
        comparison.test_split(rows, everything, finalists),
        _failures(rungs),
    ]


def _code(rows: pd.DataFrame) -> Item:
    question = "Is the code that gave the results named?"
    ended = rows[rows["status"].isin((*MEASURED, "failed"))]
    known = ended["commit"].dropna()
    commits = sorted(set(known))
    changed = [commit for commit in commits if commit.endswith("+")]
    if known.empty:
        return Item(question, LH, NO, "no row names a commit", "run from a git checkout, and publish it")
    evidence = f"{some(commits, 'commit')}, on {len(known):,} of {len(ended):,} rows"
    missing = []
    if len(known) < len(ended):
        missing.append(f"{len(ended) - len(known):,} rows without a commit")
    if changed:
        missing.append("a commit with + had files changed since: commit before training")
    if len(commits) > 1:
        missing.append("several versions of the code stand side by side")
    return Item(question, LH, PARTLY if missing else YES, evidence, "; ".join(missing))


def _space(rows: pd.DataFrame, studies: Sequence[Study]) -> Item:
    question = "Is the search space stated?"
    ids = set(rows["study"].dropna())
    here = [study for study in studies if study.id in ids and isinstance(study.config.get("space"), dict)]
    outside = int(rows["study"].isna().sum() + (~rows["study"].dropna().isin([study.id for study in here])).sum())
    if not here:
        return Item(question, LH, NO, "no study of these rows is stored", "which designs could have been chosen")
    evidence = f"axes and values of {some([study.name for study in here], 'study', 'studies')}"
    if outside:
        return Item(
            question, LH, YES, f"{evidence}; {outside:,} of {len(rows):,} rows were trained outside of a search"
        )
    return Item(question, LH, YES, evidence)


def _settings(rows: pd.DataFrame, recipes: Collection[str]) -> Item:
    question = "Are the hyper-parameters of the training recorded?"
    recipe, digest = rows[["recipe", "recipe_hash"]].iloc[0]
    evidence = f"recipe {recipe}, hash {str(digest)[:12]}"
    if digest in recipes:
        return Item(question, LH, YES, f"{evidence}, with all its values in the storage")
    return Item(
        question, LH, PARTLY, evidence, "the values behind the hash are in the code of the commit, not in the storage"
    )


def _seeds_told(complete: pd.DataFrame) -> Item:
    seeds = sorted(set(complete["seed"]))
    shown = ", ".join(map(str, seeds[:12])) + (", ..." if len(seeds) > 12 else "")
    return Item("Are the seeds reported?", LH, YES, f"every row has its own; seeds {shown}")


def _alike(complete: pd.DataFrame) -> Item:
    question = "Same data, split, recipe, hardware, precision and libraries for all designs?"
    differing = []
    for column in ("hardware", "precision", "macs_convention"):
        values = sorted(set(complete[column].dropna()))
        if len(values) > 1:
            differing.append(f"{column}: {', '.join(values)}")
    versions = {str(sorted(found.items())) for found in complete["versions"] if isinstance(found, dict) and found}
    if len(versions) > 1:
        differing.append(f"{len(versions)} sets of library versions")
    evidence = f"one data hash, split, recipe and schedule over {len(complete):,} runs, by how this part is made"
    if differing:
        return Item(question, LH, PARTLY, evidence, "differ: " + "; ".join(differing))
    return Item(question, LH, YES, f"{evidence}; hardware, precision and versions are one")


def _hardware(rows: pd.DataFrame) -> Item:
    question = "Are hardware and training time reported?"
    measured = rows[rows["status"].isin(MEASURED)]
    whole = measured["hardware"].notna() & measured["seconds"].notna()
    machines = sorted(set(measured["hardware"].dropna()))
    kinds = some(machines, "kind of device", "kinds of device")
    evidence = f"{int(whole.sum()):,} of {len(measured):,} measured rows; {kinds}"
    verdict = YES if whole.all() else PARTLY if whole.any() else NO
    return Item(question, LH, verdict, evidence, "" if whole.all() else "rows without hardware or seconds")


def _cost(everything: pd.DataFrame) -> Item:
    question = "Is the cost of the whole search reported, failures and early stops included?"
    ended = everything[everything["status"] != "running"]
    known = ended["seconds"].notna()
    hours = own_seconds(ended).sum() / 3600
    evidence = f"{hours:,.3g} device-hours over {int(known.sum()):,} of {len(ended):,} ended rows"
    verdict = YES if len(ended) and known.all() else PARTLY if known.any() else NO
    return Item(
        question, LH, verdict, evidence, "" if verdict == YES else "rows without seconds; the true cost is higher"
    )


def _failures(rows: pd.DataFrame) -> Item:
    question = "Are failed and stopped trainings kept and counted?"
    return Item(question, LH, YES, outcomes(rows))
