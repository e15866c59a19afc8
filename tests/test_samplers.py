"""Samplers on a landscape whose optimum is known: they learn, repeat themselves, and waste nothing."""

from __future__ import annotations

import logging
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from search.samplers import SAMPLERS, Sampler, make_sampler
from search.samplers.optuna_samplers import GaussianProcess, NsgaII, Tpe
from search_space import NONE, AttentionDesign, Space, SpaceError, UserError

SPACE = Space(
    squeeze=("none", "avg", "max", "avg+std", "dct", "wavelet"),
    excitation=("mlp", "mlp-bias", "mlp-shared-bias", "conv1d", "affine", "cfc", "gated"),
    frequencies=("low4", "low16", "top4", "top16"),
    wavelet=("haar", "db2"),
    bands=("coarse4", "details"),
)
DISTINCT = SPACE.distinct()
SPELLINGS = {design.key: design for design in DISTINCT}
OPTUNAS = ("tpe", "nsga2", "gp")
Values = Callable[[AttentionDesign], list[float]]


def landscape(seed: int, objectives: int) -> Values:
    """Each choice of the first spelling adds its own normal number to each objective."""

    @cache
    def effect(*what: object) -> float:
        return random.Random(f"{seed} {what}").gauss(0, 1)

    def values(design: AttentionDesign) -> list[float]:
        choices = SPACE.choices(SPELLINGS[design.key]).items()
        return [sum(effect(k, axis, value) for axis, value in choices) for k in range(objectives)]

    return values


class Search:
    """A driver: propose, measure, tell."""

    def __init__(self, name: str, values: Values, *, seed: int = 0, objectives: int = 1) -> None:
        self.sampler: Sampler = make_sampler(name, SPACE, seed=seed, objectives=objectives)
        self.values = values
        self.measured: dict[str, tuple[AttentionDesign, list[float]]] = {}

    def taken(self, design: AttentionDesign) -> bool:
        return design.key in self.measured

    def measure(self, design: AttentionDesign) -> None:
        self.measured[design.key] = design, self.values(design)
        self.sampler.tell(design, self.values(design))

    def run(self, trials: int) -> Search:
        while len(self.measured) < trials:
            proposed = self.sampler.propose(0, self.taken)
            assert proposed is not None and not self.taken(proposed)
            self.measure(proposed)
        return self


@pytest.fixture(autouse=True)
def optuna_is_silent() -> Iterator[None]:
    """Warnings are errors in every test; its log goes round them."""
    records: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    listener = Listener(logging.DEBUG)
    logging.getLogger("optuna").addHandler(listener)
    yield
    logging.getLogger("optuna").removeHandler(listener)
    assert not records


# -- they learn ------------------------------------------------------------------------------------------------------


@cache
def regrets(name: str, *, trials: int, seeds: int) -> list[float]:
    """Best found less the optimum, in standard deviations of the space."""
    found = []
    for seed in range(seeds):
        values = landscape(seed, 1)
        every = [values(design)[0] for design in DISTINCT]
        best = min(v[0] for _, v in Search(name, values, seed=seed).run(trials).measured.values())
        found.append((best - min(every)) / statistics.pstdev(every))
    return found


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "random"])
def test_a_sampler_comes_nearer_to_the_optimum_than_random_search(name: str) -> None:
    """Oracle: the optimum over all designs, and random search on the same landscapes with the same seeds."""
    budget = {"trials": 25, "seeds": 3} if name == "gp" else {"trials": 60, "seeds": 11}
    assert statistics.median(regrets(name, **budget)) < 0.75 * statistics.median(regrets("random", **budget))


def volume(points: list[list[float]], worst: list[float]) -> float:
    """The area that a front of two objectives dominates."""
    area, height = 0.0, worst[1]
    for x, y in sorted(points):
        if x < worst[0] and y < height:
            area, height = area + (worst[0] - x) * (height - y), y
    return area


@cache
def missed_volumes(name: str, *, trials: int, seeds: int) -> list[float]:
    found = []
    for seed in range(seeds):
        values = landscape(seed, 2)
        every = [values(design) for design in DISTINCT]
        worst = [statistics.fmean(v[k] for v in every) for k in (0, 1)]
        search = Search(name, values, seed=seed, objectives=2).run(trials)
        found.append(1 - volume([v for _, v in search.measured.values()], worst) / volume(every, worst))
    return found


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "random"])
def test_a_sampler_finds_more_of_the_front_than_random_search(name: str) -> None:
    """Oracle: the front of all designs, and random search on the same landscapes with the same seeds."""
    budget = {"trials": 25, "seeds": 3} if name == "gp" else {"trials": 60, "seeds": 11}
    assert statistics.median(missed_volumes(name, **budget)) < 0.9 * statistics.median(
        missed_volumes("random", **budget)
    )


# -- they repeat themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_that_is_stopped_and_told_again_goes_on_as_if_it_had_never_stopped(name: str, objectives: int) -> None:
    """The one that goes on has proposed before each tell, several draws; the other is made anew and only told."""
    values = landscape(5, objectives)
    search = Search(name, values, seed=3, objectives=objectives).run(20)
    for _ in range(3):
        draws = [search.sampler.propose(draw, search.taken) for draw in range(3)]
        again = make_sampler(name, SPACE, seed=3, objectives=objectives)
        for design, told in search.measured.values():
            again.tell(design, told)
        assert [again.propose(draw, search.taken) for draw in (2, 1, 0)] == draws[::-1]
        assert draws[0] is not None
        search.measure(draws[0])


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2"])
def test_a_long_search_repeats_itself_though_the_sampler_sees_a_part_of_it(name: str) -> None:
    """400 designs are more than any of them is shown; one of 40 over a limit comes between."""
    first, again = (make_sampler(name, SPACE, seed=3, objectives=2) for _ in range(2))
    values = landscape(0, 2)
    told = random.Random(0).sample(DISTINCT, 400)
    for count, design in enumerate(told):
        for sampler in (first, again):
            if count % 40 == 7:
                sampler.tell_infeasible(design, 1.0 + count)
            else:
                sampler.tell(design, values(design))
        if count % 50 == 49:
            first.propose(count, told.__contains__)
    assert first.propose(1, told.__contains__) == again.propose(1, told.__contains__)


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_or_another_draw_is_another_search(name: str) -> None:
    """Of GP, whose best guess is one design, only the random start differs."""
    runs = [list(Search(name, landscape(1, 1), seed=seed).run(12).measured) for seed in (0, 1)]
    assert runs[0] != runs[1]
    search = Search(name, landscape(1, 1)).run(8)
    assert len({search.sampler.propose(draw, search.taken) for draw in range(8)}) > 2


# -- they waste nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_design_is_proposed_once_and_then_none(name: str) -> None:
    small = Space(squeeze=("none", "avg", "avg+max"), excitation=("mlp", "mlp-shared-bias", "conv1d"), kernel=("k3",))
    sampler = make_sampler(name, small, seed=0, objectives=2)
    met: list[AttentionDesign] = []
    while (proposed := sampler.propose(0, lambda design: design.key in {one.key for one in met})) is not None:
        met.append(proposed)
        sampler.tell(proposed, [len(met) % 5, len(met) % 3])
    assert sorted(design.key for design in met) == sorted(design.key for design in small.distinct())


@pytest.mark.parametrize("name", OPTUNAS)
def test_a_sampler_keeps_away_from_what_is_over_a_limit(name: str) -> None:
    """Wavelets are four fifths of the space; only the limit speaks against them, and half of that share is too much."""
    sampler = make_sampler(name, SPACE, seed=0, objectives=2)
    wavelets = [design for design in DISTINCT if design.squeeze == "wavelet"]
    others = [design for design in DISTINCT if design.squeeze != "wavelet"]
    assert len(wavelets) > 0.8 * len(DISTINCT)
    rng = random.Random(0)
    told = [*rng.sample(wavelets, 24), *rng.sample(others, 24)]
    rng.shuffle(told)
    for design in told:
        if design.squeeze == "wavelet":
            sampler.tell_infeasible(design, 0.5)
        else:
            sampler.tell(design, [rng.random(), rng.random()])
    draws = 6 if name == "gp" else 40
    proposed = [sampler.propose(draw, told.__contains__) for draw in range(draws)]
    assert sum(design.squeeze == "wavelet" for design in proposed if design) < 0.4 * draws


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_over_a_limit_or_diverged_is_never_measured(name: str) -> None:
    """Nothing was measured, so the proposals are those of random search: all over the space, none twice."""
    sampler = make_sampler(name, SPACE, seed=0, objectives=2)
    told = random.Random(1).sample(DISTINCT, 12)
    for count, design in enumerate(told):
        sampler.tell(design, [math.nan, 1.0]) if count % 2 else sampler.tell_infeasible(design, 3.0)
    proposed = {sampler.propose(draw, told.__contains__) for draw in range(30)}
    assert len(proposed) > 25 and not proposed & set(told)


def test_local_search_takes_a_free_neighbour_of_the_best_that_has_one() -> None:
    """Best: of the front, the lower first objective. Its neighbours used up, the next one is left from."""
    search = Search("local", landscape(2, 2), objectives=2)
    for design in random.Random(4).sample(DISTINCT, 30):
        search.measure(design)
    assert NONE.key not in search.measured
    order = sorted(search.measured.values(), key=lambda told: told[1][0])  # the lowest is on the front
    front = [told for told in order if not any(all(map(float.__le__, o[1], told[1])) and o is not told for o in order)]
    best, second = front[0][0], front[1][0]
    used = set()
    while (child := search.sampler.propose(0, lambda design: search.taken(design) or design.key in used)) in set(
        SPACE.neighbours(best)
    ):
        used.add(child.key)
    assert used | search.measured.keys() >= {near.key for near in SPACE.neighbours(best)}
    assert child in SPACE.neighbours(second)


def test_evolution_breeds_from_the_young_however_good_the_old_are() -> None:
    """32 mediocre designs without a wavelet are told after 20 excellent wavelets; children step from the young."""
    sampler = make_sampler("evolution", SPACE, seed=0, objectives=1)
    rng = random.Random(0)
    old = rng.sample([design for design in DISTINCT if design.squeeze == "wavelet"], 20)
    young = rng.sample([design for design in DISTINCT if design.squeeze == "dct"], 32)
    for design, value in [*((d, 0.0) for d in old), *((d, 1.0 + rng.random()) for d in young)]:
        sampler.tell(design, [value])
    told = {*old, *young}
    near = {other for design in young for other in SPACE.neighbours(design)}
    assert all(sampler.propose(draw, told.__contains__) in near - told for draw in range(40))


# -- what is asked of Optuna -----------------------------------------------------------------------------------------


def test_nsga2_breeds_from_what_it_was_told() -> None:
    """The good designs are MLPs on DCTs; children keep that where random search would in one of twelve.

    Mutation changes each axis once in as many axes, so most children have all of it, by crossover of its parents.
    """
    sampler = make_sampler("nsga2", SPACE, seed=0, objectives=2)
    good = [d for d in DISTINCT if d.squeeze == "dct" and d.excitation == "mlp"]
    bad = [d for d in DISTINCT if d.squeeze != "dct" and d.excitation != "mlp"]
    rng = random.Random(0)
    told = [*rng.sample(good, 16), *rng.sample(bad, 16)]
    rng.shuffle(told)
    for design in told:
        sampler.tell(design, [rng.random() + 9 * (design in bad), rng.random() + 9 * (design in bad)])
    assert isinstance(sampler, NsgaII)
    assert {parent.design for parent in sampler.parents} == set(told) & set(good)
    children = [sampler.propose(draw, lambda design: False) for draw in range(60)]
    assert sum(child in good for child in children) > 30
    assert sum(child in good and child not in told for child in children) > 5


@pytest.mark.parametrize("kind", [Tpe, GaussianProcess])
def test_a_thinned_view_holds_the_best_of_all_and_is_bounded(kind: type[Tpe] | type[GaussianProcess]) -> None:
    sampler = kind(SPACE, seed=0, objectives=1)
    rng = random.Random(0)
    designs = rng.sample(DISTINCT, 400)
    for count, design in enumerate(designs):
        sampler.tell(design, [float(count % 97 * 1000 + count)])
        sampler.tell_infeasible(design, 1.0)
    shown = sampler.shown()
    measured = [told.values[0] for told in shown if told.values]
    best = sorted(float(count % 97 * 1000 + count) for count in range(384))[: kind.best]
    assert set(best) <= set(measured)
    assert len(measured) <= kind.most + kind.stride and len(shown) <= 2 * len(measured)
    assert [told for told in sampler.told if told in shown] == shown


def test_designs_are_told_apart_by_name_and_by_the_space() -> None:
    with pytest.raises(UserError, match=r"'annealing' given; allowed: tpe, random, nsga2, gp, evolution, local\."):
        make_sampler("annealing", SPACE, seed=0, objectives=1)
    with pytest.raises(SpaceError, match="std/affine"):
        make_sampler("random", SPACE, seed=0, objectives=1).tell(AttentionDesign.parse("std/affine"), [0.5])


def test_optuna_is_not_imported_where_no_sampler_of_its_own_is_made() -> None:
    code = """
import sys
from search.samplers import SAMPLERS, make_sampler
from search_space import Space
make_sampler("local", Space(), seed=0, objectives=1)
assert "optuna" not in sys.modules
make_sampler("tpe", Space(), seed=0, objectives=1)
assert "optuna" in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
