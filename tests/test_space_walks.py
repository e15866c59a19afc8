"""Walking the space: neighbours, samples, and what an Optuna trial is asked."""

from __future__ import annotations

import random
from typing import Any

import optuna
import pytest

from search_space import AttentionDesign, DesignError, Space, SpaceError

SPACE = Space()
SMALL = Space(
    squeeze=("none", "avg", "avg+max", "recursive", "dct", "wavelet"),
    excitation=("mlp", "mlp-shared-bias", "conv1d", "pfca", "gated"),
    reduction=(4, 16),
    kernel=("adaptive", "k3"),
    frequencies=("low2", "at00.01", "top4", "learned4"),
    wavelet=("haar", "db2"),
    depth=(1, 2),
    bands=("coarse7", "all", "details"),
    statistic=("mean",),
    placement=("published", "mid"),
)


def named_axes(design: AttentionDesign) -> dict[str, Any]:
    """The axes a design has, by the meaning of its fields; written without the space."""
    if design.squeeze == "none":
        return {"squeeze": "none"}
    squeeze, _, gate = str(design).partition("@")[0].partition("/")
    words = [word for word in gate.split("-") if word[0] not in "rk" or not word[1:].isdigit()]
    axes: dict[str, Any] = {"squeeze": squeeze, "excitation": "-".join(words)}
    if design.excitation == "mlp":
        axes["reduction"] = design.reduction
    if design.excitation == "conv1d":
        axes["kernel"] = f"k{design.kernel}" if design.kernel else "adaptive"
    if design.squeeze in ("dct", "wavelet", "recursive"):
        axes["squeeze"] = design.squeeze
    if design.squeeze == "dct":
        axes["frequencies"] = design.selection
    if design.squeeze == "wavelet":
        axes |= {"wavelet": design.wavelet, "depth": design.depth}
        axes |= {"bands": design.selection, "statistic": design.statistic}
    one_number = design.excitation in ("pfca", "gated", "gaussian") or design.groups
    if design.squeeze in ("dct", "wavelet", "recursive") and not one_number:
        axes["each"] = design.each
    return axes | {"placement": design.placement or "published"}


def one_step_apart(one: AttentionDesign, other: AttentionDesign) -> bool:
    here, there = named_axes(one), named_axes(other)
    return sum(here[axis] != there[axis] for axis in set(here) & set(there)) == 1


def test_choices_lead_back_to_the_design() -> None:
    for design in SMALL.designs():
        choices = SMALL.choices(design)
        assert choices == named_axes(design)
        assert SMALL.decide(lambda axis, _, choices=choices: choices[axis]) == design  # type: ignore[misc]


def test_a_design_outside_the_space_has_no_choices_and_no_neighbours() -> None:
    outside = AttentionDesign.parse("max/affine")
    for ask in (SMALL.choices, SMALL.neighbours):
        with pytest.raises(SpaceError, match="max/affine"):
            ask(outside)


def test_neighbours_differ_in_exactly_one_of_the_axes_both_have() -> None:
    """Oracle: brute force over all pairs of a part of the space; one neighbour for each key."""
    designs = SMALL.designs()
    for design in designs[::7]:
        near = SMALL.neighbours(design)
        expected = {other.key for other in designs if one_step_apart(design, other)} - {design.key}
        assert {other.key for other in near} == expected
        assert len(near) == len(expected)
        assert all(one_step_apart(design, other) for other in near)


def test_a_design_is_no_neighbour_of_itself_or_of_its_other_spellings() -> None:
    for design in SMALL.designs()[::5]:
        assert design.key not in {other.key for other in SMALL.neighbours(design)}
    low2, top2 = (AttentionDesign.parse(f"dct-{name}/pfca") for name in ("low2", "at00.01"))
    assert low2.key == top2.key and one_step_apart(low2, top2)


def test_neighbourhood_is_symmetric() -> None:
    distinct = SMALL.distinct()
    near = {design: {other.key for other in SMALL.neighbours(design)} for design in SMALL.designs()}
    for design in distinct[::11]:
        for other in SMALL.neighbours(design):
            assert design.key in near[other], (str(design), str(other))


def test_every_design_can_be_reached_by_steps_to_neighbours() -> None:
    start = SMALL.distinct()[5]
    every = {design.key for design in SMALL.distinct()}
    seen, frontier = {start.key}, [start]
    while frontier and seen != every:
        for other in SMALL.neighbours(frontier.pop()):
            if other.key not in seen:
                seen.add(other.key)
                frontier.append(other)
    assert seen == every


def test_samples_are_distinct_designs_and_all_are_reached_equally_often() -> None:
    """Oracle: n draws of m equally likely designs; each count is within 6 standard deviations of n / m."""
    space = Space(squeeze=("avg", "dct"), reduction=(4,), frequencies=("low1", "top1", "low2", "top2"))
    distinct = space.distinct()
    rng = random.Random(0)
    draws = 200 * len(distinct)
    counts = dict.fromkeys(distinct, 0)
    for _ in range(draws):
        counts[space.sample(rng)] += 1
    assert len(counts) == len(distinct)
    assert all(abs(count - 200) < 6 * 200**0.5 for count in counts.values())


def test_one_seed_gives_one_sequence_of_samples() -> None:
    one, other = random.Random(7), random.Random(7)
    assert [SMALL.sample(one) for _ in range(20)] == [SMALL.sample(other) for _ in range(20)]


class RecordingTrial:
    """Takes the values it was given, else the first choice, and remembers what it was asked."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.asked: dict[str, tuple[Any, ...]] = {}

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        assert name not in self.asked, f"{name} asked twice"
        self.asked[name] = tuple(choices)
        return self.values.get(name, choices[0])


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({"squeeze": "none"}, {"squeeze"}),
        ({"squeeze": "avg", "excitation": "mlp"}, {"squeeze", "excitation", "reduction", "placement"}),
        ({"squeeze": "std", "excitation": "conv1d"}, {"squeeze", "excitation", "kernel", "placement"}),
        ({"squeeze": "avg+std", "excitation": "conv1d-bias"}, {"squeeze", "excitation", "kernel", "placement"}),
        ({"squeeze": "ortho-s0", "excitation": "affine-g64"}, {"squeeze", "excitation", "placement"}),
        ({"squeeze": "recursive", "excitation": "cfc"}, {"squeeze", "excitation", "each", "placement"}),
        ({"squeeze": "recursive", "excitation": "gated"}, {"squeeze", "excitation", "placement"}),
        ({"squeeze": "dct", "excitation": "pfca"}, {"squeeze", "excitation", "frequencies", "placement"}),
        ({"squeeze": "dct", "excitation": "affine-g64"}, {"squeeze", "excitation", "frequencies", "placement"}),
        ({"squeeze": "dct", "excitation": "affine"}, {"squeeze", "excitation", "frequencies", "each", "placement"}),
        (
            {"squeeze": "wavelet", "excitation": "mlp"},
            {"squeeze", "excitation", "reduction", "wavelet", "depth", "bands", "statistic", "each", "placement"},
        ),
        (
            {"squeeze": "wavelet", "excitation": "pfca"},
            {"squeeze", "excitation", "wavelet", "depth", "bands", "statistic", "placement"},
        ),
    ],
)
def test_only_axes_with_meaning_are_asked(values: dict[str, str], asked: set[str]) -> None:
    trial = RecordingTrial(**values)
    design = SPACE.suggest(trial)
    assert set(trial.asked) == asked
    assert all(options == SPACE.axes()[axis] for axis, options in trial.asked.items())
    assert named_axes(design) | values == named_axes(design)


def test_a_fixed_trial_gives_the_design_of_its_parameters() -> None:
    parameters = {"squeeze": "wavelet", "excitation": "mlp", "reduction": 8, "wavelet": "db2", "depth": 2}
    parameters |= {"bands": "details", "statistic": "energy", "each": True, "placement": "published"}
    trial = optuna.trial.FixedTrial(parameters)
    assert str(SPACE.suggest(trial)) == "db2-d2-details-energy-each/mlp-r8"


def test_every_design_that_optuna_is_led_to_is_in_the_space() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = SPACE
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    members = set(space.designs())
    met = set()
    for _ in range(80):
        trial = study.ask()
        try:
            design = space.suggest(trial)
        except DesignError:  # choices that exclude each other, as avg and a shared MLP
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        assert design in members
        assert trial.params == space.choices(design)
        study.tell(trial, 0.0)
        met.add(design)
    assert len(met) > 30
