"""`results.factorial`: the linear model behind `attnas results effects`.

Oracles: scipy's one-way analysis of variance, the textbook sums of squares of a balanced two-way layout, scipy's
noncentral F, the rank of a matrix with a row added, Holm's own procedure, and simulated truth.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f, f_oneway, ncf, t

from results.coding import matrix
from results.factorial import Factorial
from results.inference import holm
from results.noncentral import noncentrality, partial_share

Levels = dict[str, list[str | None]]


def fitted(levels: Levels, means: np.ndarray) -> Factorial:
    """Of designs of one seed each."""
    return Factorial(levels, means, np.ones(len(means), dtype=int), np.zeros(len(means)))


@pytest.mark.parametrize("sizes", [(5, 5, 5), (2, 7, 3, 4)])
def test_with_one_axis_the_test_is_scipys_one_way_analysis_of_variance(sizes: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    groups = [random.normal(number, 2, size) for number, size in enumerate(sizes)]
    words = [f"level{number}" for number, size in enumerate(sizes) for _ in range(size)]
    model = fitted({"squeeze": words}, np.concatenate(groups))
    expected = f_oneway(*groups)
    assert (model.test("squeeze").F, model.test("squeeze").p) == pytest.approx((expected.statistic, expected.pvalue))
    means = np.array([group.mean() for group in groups])
    found = [effect.effect for effect in model.effects("squeeze")]
    assert found == pytest.approx(means - means.mean())


def test_a_balanced_two_way_layout_gives_the_textbook_sums_of_squares_and_intervals() -> None:
    """I levels of one axis, J of the other, K designs a cell; Montgomery, Design and Analysis of Experiments, 5.3."""
    I, J, K = 3, 4, 5  # noqa: E741
    y = np.random.default_rng(1).normal(0, 1, (I, J, K)) + np.arange(I)[:, None, None]
    levels: Levels = {
        "a": [f"a{i}" for i in range(I) for _ in range(J * K)],
        "b": [f"b{j}" for _ in range(I) for j in range(J) for _ in range(K)],
    }
    model = fitted(levels, y.ravel())
    grand, rows, columns, cells = y.mean(), y.mean((1, 2)), y.mean((0, 2)), y.mean(2)
    of_a, of_b = J * K * ((rows - grand) ** 2).sum(), I * K * ((columns - grand) ** 2).sum()
    of_both = K * ((cells - rows[:, None] - columns[None] + grand) ** 2).sum()
    within = ((y - cells[:, :, None]) ** 2).sum()
    left, df = of_both + within, I * J * K - I - J + 1
    expected = [of_a / (I - 1) / (left / df), of_b / (J - 1) / (left / df)]
    assert [model.test(axis).F for axis in "ab"] == pytest.approx(expected)
    pair = model.interaction("a", "b")
    assert pair.df == (I - 1) * (J - 1)
    F = of_both / pair.df / (within / (I * J * (K - 1)))
    assert (pair.test.F, pair.test.p) == pytest.approx((F, f.sf(F, pair.df, I * J * (K - 1))))
    error = np.sqrt(left / df * (1 - 1 / I) / (J * K))
    half = t.ppf(1 - 0.05 / 2 / I, df) * error
    for level, effect in enumerate(model.effects("a")):
        assert (effect.effect, effect.high - effect.effect) == pytest.approx((rows[level] - grand, half))


def test_a_cell_is_measured_by_what_the_other_three_of_a_square_lead_to_expect() -> None:
    """One design a cell, and some again: y11 is expected to be y10 + y01 - y00."""
    levels: Levels = {"a": ["0", "0", "1", "1"] * 2, "b": ["0", "1", "0", "1"] * 2}
    pair = fitted(levels, np.array([0.0, 1.0, 2.0, 7.0] * 2) + np.tile([0.5, -0.5], (4, 1)).T.ravel())
    found = dict(zip(pair.interaction("a", "b").cells, pair.interaction("a", "b").effects(), strict=True))
    assert found["1", "1"].effect == pytest.approx(7 - (1 + 2 - 0))


def test_what_belongs_to_another_pair_is_not_laid_to_this_one() -> None:
    """`kernel` comes with eca alone, and eca is better with dct: that is squeeze x excitation, not squeeze x kernel.

    Oracle: in 400 simulations the innocent pair is found guilty at the level of its test.
    """
    random, times = np.random.default_rng(4), 400
    squeeze = [str(word) for word in random.choice(["avg", "dct"], 100)]
    excitation = [str(word) for word in random.choice(["eca", "mlp"], 100)]
    kernel = [str(random.choice(["k3", "k7"])) if word == "eca" else None for word in excitation]
    both = np.array([pair == ("dct", "eca") for pair in zip(squeeze, excitation, strict=True)])
    levels: Levels = {"squeeze": list(squeeze), "excitation": list(excitation), "kernel": list(kernel)}
    found = {("squeeze", "excitation"): 0, ("squeeze", "kernel"): 0}
    for _ in range(times):
        model = fitted(levels, both + random.normal(0, 0.5, 100))
        for pair in found:
            assert model.interaction(*pair).df == 1
            found[pair] += model.interaction(*pair).test.p < 0.05
    assert model.interaction("excitation", "kernel").df == 0  # it has a kernel or it hasn't
    assert found["squeeze", "excitation"] > 0.9 * times
    assert abs(found["squeeze", "kernel"] / times - 0.05) < 3 * np.sqrt(0.05 * 0.95 / times)


def a_search(random: np.random.Generator, designs: int = 90) -> tuple[Levels, np.ndarray]:
    """Designs as a search leaves them, some levels often and some hardly, with a nested axis; and their true means."""
    truth = {
        "squeeze": {"avg": 0.01, "dct": -0.02, "wavelet": 0.02, "max": -0.01},
        "excitation": {"mlp": 0.01, "eca": 0.0, "gate": -0.01},
        "depth": {"1": -0.006, "2": 0.006},
    }
    squeeze = random.choice(list(truth["squeeze"]), designs, p=[0.15, 0.3, 0.5, 0.05])
    excitation = [str(random.choice(list(truth["excitation"]), p=[0.6, 0.3, 0.1])) for _ in range(designs)]
    depth = [random.choice(["1", "2"]) if word == "wavelet" else None for word in squeeze]
    levels: Levels = {"squeeze": [str(word) for word in squeeze], "excitation": list(excitation), "depth": depth}
    means = [sum(truth[axis][words[i]] for axis, words in levels.items() if words[i]) for i in range(designs)]
    levels["each"] = [str(word) for word in random.choice(["true", "false"], designs)]  # does nothing
    return levels, np.array(means)


@pytest.mark.parametrize("lack_of_fit", [0.0, 0.006])
def test_intervals_hold_the_truth_and_tests_keep_their_level(lack_of_fit: float) -> None:
    """Oracle: 1,000 simulated searches with unequal seeds. All levels of an axis at once: 95 % or a little more."""
    random, times = np.random.default_rng(2), 1000
    levels, truth = a_search(random)
    runs = random.integers(1, 4, len(truth))
    belongs = np.repeat(np.arange(len(truth)), runs)
    held, cells, false = dict.fromkeys(levels, 0), 0, {"each": 0, "squeeze x each": 0}
    for _ in range(times):
        own = truth + random.normal(0, lack_of_fit, len(truth))
        values = own[belongs] + random.normal(0, 0.01, len(belongs))
        means = np.bincount(belongs, values) / runs
        model = Factorial(levels, means, runs, np.bincount(belongs, (values - means[belongs]) ** 2))
        for axis in levels:
            wanted = [truth_of(axis, level) for level in model.axes[axis].levels]
            found = model.effects(axis)
            held[axis] += all(e.low <= w <= e.high for e, w in zip(found, wanted, strict=True))
        pair = model.interaction("squeeze", "each")
        false["each"] += model.test("each").p < 0.05
        false["squeeze x each"] += pair.test.p < 0.05
        cells += all(effect.low <= 0 <= effect.high for effect in pair.effects())
    sampling = 3 * np.sqrt(0.05 * 0.95 / times)
    for axis, number in held.items():
        assert 0.95 - sampling < number / times < 0.985, (axis, number)
    assert 0.95 - sampling < cells / times < 0.99, cells
    for name, number in false.items():
        assert abs(number / times - 0.05) < sampling, (name, number)


def truth_of(axis: str, level: str) -> float:
    known = {
        "squeeze": {"avg": 0.01, "dct": -0.02, "wavelet": 0.02, "max": -0.01},
        "excitation": {"mlp": 0.01, "eca": 0.0, "gate": -0.01},
        "depth": {"1": -0.006, "2": 0.006},
        "each": {"true": 0.0, "false": 0.0},
    }
    return known[axis][level]


_words = st.sampled_from("pqrs")


@st.composite
def experiments(draw: st.DrawFn) -> Levels:
    """Few designs and many levels, so that some are confounded; the axis `under` comes with level p of `over`."""
    designs = draw(st.integers(3, 14))
    over = draw(st.lists(_words, min_size=designs, max_size=designs))
    beside = draw(st.lists(_words, min_size=designs, max_size=designs))
    under = [draw(_words) if word == "p" else None for word in over]
    return {"over": list(over), "beside": list(beside), "under": under}


@settings(max_examples=150, deadline=None)
@given(experiments(), st.integers(0, 2**31))
def test_without_noise_every_effect_that_is_told_is_true_and_what_is_not_told_cannot_be(
    levels: Levels, seed: int
) -> None:
    """Oracles: the effects that made the values, and the rank of the matrix with the contrast as one row more."""
    random = np.random.default_rng(seed)
    truth = {axis: dict(zip("pqrs", random.normal(0, 1, 4), strict=True)) for axis in levels}
    means = [
        sum(truth[axis][words[i]] for axis, words in levels.items() if words[i]) for i in range(len(levels["over"]))
    ]
    model = fitted(levels, np.array(means, dtype=float))
    for name, axis in model.axes.items():
        effects = model.effects(name)
        told = [number for number, effect in enumerate(effects) if np.isfinite(effect.effect)]
        X = matrix(model.axes, model.designs)
        start = 1 + sum(len(other.levels) - 1 for other in list(model.axes.values())[: list(model.axes).index(name)])
        for number in range(len(axis.levels)):
            row = np.zeros((1, X.shape[1]))
            reference = told[0] if told else int(not number)
            row[0, start : start + len(axis.levels) - 1] = axis.coding[number] - axis.coding[reference]
            estimable = np.linalg.matrix_rank(np.vstack([X, row])) == np.linalg.matrix_rank(X)
            assert (number in told) == bool(estimable)
            assert bool(effects[number].note) == (number not in told or model.df < 1)
        if not told:
            continue
        wanted = {level: truth[name][level] for level in axis.levels}
        if name == "over" and "p" in wanted:
            wanted["p"] += _centre_of_under(model, truth["under"])
        centre = np.mean([wanted[axis.levels[number]] for number in told])
        for number in told:
            assert effects[number].effect == pytest.approx(wanted[axis.levels[number]] - centre, abs=1e-6)


def _centre_of_under(model: Factorial, truth: dict[str, float]) -> float:
    """What a design of level p has besides: the average of the nested levels, or the only one there is."""
    if "under" in model.single:
        return truth[model.single["under"][0]]
    axis = model.axes["under"]
    return float(np.mean([truth[level] for level, in_it in zip(axis.levels, axis.centre, strict=True) if in_it]))


def test_two_levels_that_always_come_together_are_named_and_take_no_other_along() -> None:
    levels: Levels = {
        "squeeze": ["avg", "avg", "max", "max", "std", "avg", "max", "avg"],
        "excitation": ["mlp", "eca", "mlp", "eca", "gate", "mlp", "eca", "eca"],
    }
    model = fitted(levels, np.arange(8.0))
    found = dict(zip(model.axes["squeeze"].levels, model.effects("squeeze"), strict=True))
    assert found["std"].note == "can't be told from excitation gate" and np.isnan(found["std"].effect)
    assert np.isfinite([found["avg"].low, found["max"].high]).all()


def test_axes_that_are_one_and_the_same_are_not_told_apart() -> None:
    words: list[str | None] = ["p", "q", "p", "q", "p"]
    model = fitted({"a": words, "b": words}, np.arange(5.0))
    assert model.test("a").note == "can't be told from the other axes"
    assert all(np.isnan(effect.effect) and effect.note for effect in model.effects("b"))


def test_no_design_to_spare_means_no_interval_and_says_so() -> None:
    model = fitted({"a": ["p", "q", "r"]}, np.arange(3.0))
    assert [effect.effect for effect in model.effects("a")] == pytest.approx([-1, 0, 1])
    assert all(np.isnan(effect.low) and "left over" in effect.note for effect in model.effects("a"))
    assert np.isnan(model.test("a").p) and "left over" in model.test("a").note


def test_designs_that_are_all_equal_have_no_test_and_no_effect() -> None:
    model = fitted({"a": ["p", "q", "p", "q"]}, np.full(4, 0.7))
    assert np.isnan(model.test("a").p) and "equal" in model.test("a").note
    assert [effect.effect for effect in model.effects("a")] == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(("F", "df", "left"), [(3.1, 2, 27), (40.0, 16, 3900), (0.5, 3, 60), (3000.0, 2, 50_000)])
def test_the_share_of_variance_inverts_scipys_noncentral_f(F: float, df: int, left: int) -> None:
    for p in (0.025, 0.975):
        found = noncentrality(F, df, left, p)
        assert ncf.cdf(F, df, left, found) == pytest.approx(p, abs=1e-6) if found else f.cdf(F, df, left) <= p
    share, low, high = partial_share(F, df, left, left + df + 1)
    assert 0 <= low <= share <= high < 1


def test_the_share_of_variance_is_covered_by_its_interval() -> None:
    """Oracle: simulation; three groups of 20 whose means make out a quarter of the variance."""
    random, times, held = np.random.default_rng(3), 1000, 0
    means = np.repeat([-1.0, 0.0, 1.0], 20) * np.sqrt(1.5 / 3)
    truth = means.var() / (means.var() + 1)
    assert truth == pytest.approx(0.25)
    for _ in range(times):
        F = f_oneway(*np.split(means + random.normal(0, 1, 60), 3)).statistic
        _, low, high = partial_share(F, 2, 57, 60)
        held += low <= truth <= high
    assert abs(held / times - 0.95) < 3 * np.sqrt(0.05 * 0.95 / times)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=8), st.floats(0.001, 0.999))
def test_holms_p_rejects_what_holms_procedure_rejects(p: list[float], level: float) -> None:
    """Oracle: the step-down procedure as Holm (1979) gives it."""
    tested = sorted((value, number) for number, value in enumerate(p) if not np.isnan(value))
    rejected = set()
    for step, (value, number) in enumerate(tested):
        if value * (len(tested) - step) > level:
            break
        rejected.add(number)
    assert {number for number, value in enumerate(holm(p)) if value <= level} == rejected
