"""The items of the checklist that ask how designs were compared and the winner chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

import pandas as pd

from results import plans
from results.checklist_item import LH, NO, PARTLY, YANG, YES, Item, seeds
from results.spread import spread
from results.studies import SAMPLERS, Study
from results.suggest import command
from search_space import PRESETS, AttentionDesign, UserError, find_design
from search_space.words import neighbours

SEEDS = 5
"""Fewer decide little: at five seeds an arm a gap of about two standard deviations is found (see `attnas confirm`)."""
FINALISTS = 5
_SURE_DF = 10  # degrees of freedom from which Student's t is within a seventh of the normal's 1.96
_COMMON = 3
_RANDOM = "the same search with `--sampler random`, into a storage of its own (`--storage`); report both storages"


def baselines(complete: pd.DataFrame) -> Item:
    question = "Are the baselines (no attention, SE) trained the same way?"
    counts = {name: int((complete["key"] == PRESETS[name].key).sum()) for name in ("none", "se")}
    evidence = ", ".join(f"{name}: {seeds(n)}" for name, n in counts.items())
    lacking = [name for name, n in counts.items() if n == 0]
    few = [name for name, n in counts.items() if 0 < n < SEEDS]
    if len(lacking) == 2:
        return Item(question, YANG, NO, evidence, _references(complete))
    if lacking or few:
        return Item(question, YANG, PARTLY, evidence, f"{' and '.join(lacking + few)}: {SEEDS} seeds each are wanted")
    return Item(question, YANG, YES, evidence)


def random_search(rows: pd.DataFrame, studies: Sequence[Study]) -> Item:
    """`rows` are those of all rungs. What a sampler has chosen are trials of other than published designs: those are
    trained first by every search, and joined storages hold them once."""
    question, source = "Is there a random search of the same space to compare with?", f"{LH}; {YANG}"
    ids = set(rows["study"].dropna())
    here = [study for study in studies if study.id in ids]
    random = [study for study in here if _samplers(study) == ["random"]]
    others = [study for study in here if study not in random]
    if not here:
        return Item(question, source, NO, "no study of these rows is stored", _RANDOM)
    if not random:
        known = sorted({name for study in here for name in _samplers(study)})
        said = f"designs were chosen by {', '.join(known)}" if known else "the storage does not say which sampler chose"
        return Item(question, source, NO, said, _RANDOM)
    chosen = rows[~rows["key"].isin(_published())].drop_duplicates(["study", "network_key", "seed"])
    trials = {study.id: int((chosen["study"] == study.id).sum()) for study in here}
    evidence = "; ".join(
        f"{study.name} chose {trials[study.id]:,} trials by {', '.join(_samplers(study)) or 'an unknown sampler'}"
        for study in here
    )
    spaces = [study.config.get("space") for study in others]
    if others and not any(study.config.get("space") in spaces for study in random):
        return Item(question, source, PARTLY, evidence, "the random search was of another space")
    if others and max(trials[study.id] for study in random) < max(trials[study.id] for study in others):
        return Item(question, source, PARTLY, evidence, "the random search has had the smaller budget")
    return Item(question, source, YES, evidence)


@cache
def _published() -> frozenset[str]:
    return frozenset(design.key for design in PRESETS.values())


def _samplers(study: Study) -> list[str]:
    """Who proposed designs; none where it was not kept."""
    known = study.config.get(SAMPLERS)
    return [str(name) for name in known] if isinstance(known, list) else []


def _references(complete: pd.DataFrame) -> str:
    trained = command(f"train none se --seeds {SEEDS}", like=complete.iloc[0] if len(complete) else None)
    return f"`{trained}`"


def several_seeds(complete: pd.DataFrame, finalists: Sequence[str]) -> Item:
    question = f"Were the best {len(finalists)} trained with several seeds?"
    n = complete.groupby("network_key")["seed"].nunique()
    counts = [int(n.get(network, 0)) for network in finalists]
    evidence = f"seeds of the best, in order: {', '.join(map(str, counts))}"
    if counts and min(counts) >= SEEDS:
        return Item(question, LH, YES, evidence)
    verdict = PARTLY if counts and max(counts) > 1 else NO
    confirm = command(f"confirm --top {FINALISTS} --seeds {SEEDS}", like=complete.iloc[0])
    return Item(question, LH, verdict, evidence, f"{SEEDS} seeds each: `{confirm}`")


def error_bars(complete: pd.DataFrame) -> Item:
    question = "Does every mean come with an interval?"
    luck = spread(complete["accuracy"], complete["network_key"]) if len(complete) else None
    if luck is None or luck.df < 1:
        return Item(
            question,
            LH,
            NO,
            "no design has two seeds, so nothing tells the luck of a seed",
            _references(complete),
        )
    evidence = f"the spread between seeds is known from {luck.df} degrees of freedom, pooled over designs"
    if luck.df < _SURE_DF:
        return Item(question, LH, PARTLY, evidence, f"under {_SURE_DF} the intervals are wide for want of repeats")
    return Item(question, LH, YES, evidence)


def fresh(
    complete: pd.DataFrame, finalists: Sequence[str], studies: Sequence[Study], confirmed: Collection[str]
) -> Item:
    question = "Does what is reported of the winner come from runs that did not choose it?"
    if not finalists:
        return Item(question, YANG, NO, "there is no winner", "a complete row")
    lines = complete[complete["network_key"] == finalists[0]]
    design = lines["design"].iloc[0]
    if set(confirmed) & {design, lines["key"].iloc[0]}:
        return Item(question, YANG, YES, f"{design} was confirmed with fresh seeds")
    chosen = {seed for study in studies for seed in plans.seeds_of(study.config)}
    fresh = sorted(set(lines["seed"]) - chosen)
    lacking = f"the best of many is flattered: `{command('confirm', like=lines.iloc[0])}` trains the finalists anew"
    if fresh and chosen:
        return Item(question, YANG, PARTLY, f"{design}: {seeds(len(fresh))} beside those of the search", lacking)
    return Item(
        question, YANG, NO, f"{design}: {seeds(lines['seed'].nunique())}, none beside those that chose it", lacking
    )


def ablation(complete: pd.DataFrame, finalists: Sequence[str]) -> Item:
    question = "Is there an ablation: the winner beside its neighbours in each axis, with common seeds?"
    if not finalists:
        return Item(question, LH, NO, "there is no winner", "a complete row")
    winner = complete[complete["network_key"] == finalists[0]]
    design = str(winner["design"].iloc[0])
    common = _common_seeds(design, complete)
    if not common:
        return Item(question, LH, NO, f"{design} has no neighbour in a single axis", "an ablation by hand")
    evidence = f"{design}, most common seeds by axis: " + ", ".join(f"{axis} {n}" for axis, n in common.items())
    if min(common.values()) >= _COMMON:
        return Item(question, LH, YES, evidence)
    verdict = PARTLY if any(common.values()) else NO
    ablate = command("ablate", design, "--seeds", _COMMON, like=winner.iloc[0])
    return Item(question, LH, verdict, evidence, f"{_COMMON} common seeds in each axis: `{ablate}`")


def _common_seeds(text: str, complete: pd.DataFrame) -> dict[str, int]:
    """{axis: seeds that the design shares with that one of its neighbours in the axis with which it shares most}."""
    mine, around = _keys_around(text)
    seeds = complete.groupby("key")["seed"].agg(set).to_dict()
    return {
        axis: max(len(seeds.get(mine, set()) & seeds.get(other, set())) for other in others)
        for axis, others in around.items()
    }


@cache
def _keys_around(text: str) -> tuple[str, dict[str, list[str]]]:
    """The design's key, and those of its neighbours in each axis; the walk through the space takes a second."""
    try:
        design = find_design(text)
    except UserError:
        return text, {}  # written by another version
    if not isinstance(design, AttentionDesign) or design.squeeze == "none":
        return design.key, {}
    around = neighbours(design).items()
    return design.key, {axis: [find_design(other).key for other in others] for axis, others in around}


def test_split(rows: pd.DataFrame, everything: pd.DataFrame, finalists: Sequence[str]) -> Item:
    question = "Was the test split left alone until the end, and used once?"
    source = f"{LH}; {YANG}"
    if rows["split"].iloc[0] == "test":
        networks = rows["network_key"].nunique()
        missing = "" if networks <= 3 else "to choose among designs by test accuracy is to train on the test split"
        return Item(
            question, source, YES if networks <= 3 else NO, f"{networks:,} networks were measured on it here", missing
        )
    same = (everything["data"] == rows["data"].iloc[0]) | (everything["data_hash"] == rows["data_hash"].iloc[0])
    here = everything[(everything["split"] == "test") & same]
    networks = here["network_key"].nunique()
    if networks == 0:
        return Item(
            question,
            source,
            YES,
            "no row was measured on it; every choice was made on the validation split",
            f"a final figure: `{command('confirm --final', like=rows.iloc[0])}`",
        )
    if networks <= 3:
        return Item(question, source, YES, f"{networks} networks in {len(here)} rows were measured on it")
    return Item(
        question,
        source,
        PARTLY,
        f"{networks:,} networks in {len(here):,} rows were measured on it",
        "the more networks look, the more the best of them is flattered",
    )
