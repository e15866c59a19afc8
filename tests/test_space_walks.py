"""Walking the space: neighbours, samples, and what an Optuna trial is asked."""

from __future__ import annotations

import random
from typing import Any

import optuna
import pytest

from search_space import AttentionDesign, Space, SpaceError

SMALL = Space(
    squeeze=("none", "avg", "dct", "wavelet"),
    excitation=("mlp", "conv1d", "pfca"),
    reduction=(4, 16),
    frequencies=("low2", "top2", "top4"),
    wavelet=("haar", "db2"),
    depth=(1, 2),
    bands=("coarse7", "all", "details"),
)


def named_axes(design: AttentionDesign) -> dict[str, Any]:
    """The axes a design has, by the meaning of its fields; written without the space."""
    if design.squeeze == "none":
        return {"squeeze": "none"}
    axes: dict[str, Any] = {"squeeze": design.squeeze, "excitation": design.excitation}
    if design.excitation == "mlp":
        axes["reduction"] = design.reduction
    if design.squeeze == "dct":
        axes["frequencies"] = design.selection
    if design.squeeze == "wavelet":
        axes |= {"wavelet": design.wavelet, "depth": design.depth}
        axes |= {"bands": design.selection, "statistic": design.statistic}
    if design.squeeze in ("dct", "wavelet") and design.excitation != "pfca":
        axes["each"] = design.each
    return axes


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
    """Oracle: brute force over all pairs of the space; one neighbour for each key."""
    designs = SMALL.designs()
    for design in designs:
        near = SMALL.neighbours(design)
        expected = {other.key for other in designs if one_step_apart(design, other)} - {design.key}
        assert {other.key for other in near} == expected
        assert len(near) == len(expected)
        assert all(one_step_apart(design, other) for other in near)


def test_a_design_is_no_neighbour_of_itself_or_of_its_other_spellings() -> None:
    for design in SMALL.designs():
        assert design.key not in {other.key for other in SMALL.neighbours(design)}
    low2, top2 = (AttentionDesign.parse(f"dct-{name}/pfca") for name in ("low2", "top2"))
    assert low2.key == top2.key and one_step_apart(low2, top2)


def test_neighbourhood_is_symmetric() -> None:
    near = {design: SMALL.neighbours(design) for design in SMALL.designs()}
    for design, others in near.items():
        for other in others:
            assert design.key in {back.key for back in near[other]}, (str(design), str(other))


def test_every_design_can_be_reached_by_steps_to_neighbours() -> None:
    start = SMALL.distinct()[5]
    seen, frontier = {start.key}, [start]
    while frontier:
        for other in SMALL.neighbours(frontier.pop()):
            if other.key not in seen:
                seen.add(other.key)
                frontier.append(other)
    assert seen == {design.key for design in SMALL.distinct()}


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
        ({"squeeze": "avg", "excitation": "mlp"}, {"squeeze", "excitation", "reduction"}),
        ({"squeeze": "std", "excitation": "conv1d"}, {"squeeze", "excitation"}),
        ({"squeeze": "dct", "excitation": "pfca"}, {"squeeze", "excitation", "frequencies"}),
        ({"squeeze": "dct", "excitation": "affine"}, {"squeeze", "excitation", "frequencies", "each"}),
        (
            {"squeeze": "wavelet", "excitation": "mlp"},
            {"squeeze", "excitation", "reduction", "wavelet", "depth", "bands", "statistic", "each"},
        ),
        (
            {"squeeze": "wavelet", "excitation": "pfca"},
            {"squeeze", "excitation", "wavelet", "depth", "bands", "statistic"},
        ),
    ],
)
def test_only_axes_with_meaning_are_asked(values: dict[str, str], asked: set[str]) -> None:
    trial = RecordingTrial(**values)
    design = Space().suggest(trial)
    assert set(trial.asked) == asked
    assert all(options == Space().axes()[axis] for axis, options in trial.asked.items())
    assert named_axes(design) | values == named_axes(design)


def test_a_fixed_trial_gives_the_design_of_its_parameters() -> None:
    parameters = {"squeeze": "wavelet", "excitation": "mlp", "reduction": 8, "wavelet": "db2", "depth": 2}
    parameters |= {"bands": "details", "statistic": "energy", "each": True}
    trial = optuna.trial.FixedTrial(parameters)
    assert str(Space().suggest(trial)) == "db2-d2-details-energy-each/mlp-r8"


def test_every_design_that_optuna_is_led_to_is_in_the_space() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = Space()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    members = set(space.designs())
    met = set()
    for _ in range(60):
        trial = study.ask()
        design = space.suggest(trial)
        assert design in members
        assert trial.params == space.choices(design)
        study.tell(trial, 0.0)
        met.add(design)
    assert len(met) > 30
