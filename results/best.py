"""Which arms may be the best: Hsu's multiple comparisons with the best, look by look while the seeds come in.

Every arm trains with the same number of seeds. After each round of seeds, from the second on, an arm goes whose mean
lies further behind the best mean than luck explains. `Race` says who is out, who stands, and whose run is wanted next;
it follows from the runs alone, so that an interrupted confirmation goes on by asking again.

What the level means: whatever the true means are, the probability that the truly best arm is ever sent out is at most
alpha. Proof: at one look the truly best is sent out only if another's luck exceeds its own by d s sqrt(2/n), and d is
at least Dunnett's one-sided value (1955) for all other arms at once, as many as the race began with. Over the looks
alpha is shared out (`shares`) and the parts add up (Bonferroni). Nor is d less than Student's two-sided value: of two
arms as good as each other either could be sent out, and a winner announced where there is none. The spread s is pooled
over the runs of all arms that count; arms that went early give fewer, which makes s depend a little on the past:
`tests/test_results_best.py` measures that the level holds. It is taken to be one for all arms. Sources: Hsu, Annals of
Statistics 12 (1984) 1136; Multiple Comparisons (1996), chapters 4 and 5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainccinv, gammaincinv, ndtr, stdtrit

from search_space.errors import UserError

FEWEST_SEEDS = 2
"""One run an arm says nothing about luck."""

_NORMAL_NODES = np.polynomial.hermite_e.hermegauss(64)
_SPREAD_NODES = 400


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen after `n` seeds an arm: the pooled deviation `sd` with its degrees of freedom, how far behind the
    best mean an arm might be (`width`), and who was sent out (indices of arms)."""

    n: int
    level: float
    df: int
    sd: float
    width: float
    out: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Race:
    """Where a comparison of k arms stands. Arms are named by their index.

    `n`, `mean` (shape [k]): the runs of each arm that count, and their mean; NaN without any. `low`, `high`: interval
    of an arm's true mean less the best of the others', all k at once at level 1 - alpha, as the last look at which both
    arms stood gives it; NaN before the first look and for unreliable arms. `missing`: the arms whose run of the round
    `n_next` (counted from 0) is wanted now.
    """

    standing: tuple[int, ...]
    unreliable: tuple[int, ...]
    looks: tuple[Look, ...]
    missing: tuple[int, ...]
    n_next: int
    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def is_over(self) -> bool:
        return not self.missing

    @property
    def leader(self) -> int | None:
        """The standing arm with the highest mean; who stands alone leads without a run. None while nobody has run."""
        run = self.standing if len(self.standing) == 1 else [arm for arm in self.standing if self.n[arm]]
        return max(run, key=lambda arm: self.mean[arm]) if run else None

    def out_after(self, arm: int) -> int | None:
        """The seeds after which an arm was sent out; None if it stands or did not count."""
        return next((look.n for look in self.looks if arm in look.out), None)


def race(runs: ArrayLike, alpha: float = 0.05, unreliable: Collection[int] = ()) -> Race:
    """Where the race stands after `runs` (shape [seeds, arms], NaN: not run yet); higher is better.

    An unreliable arm, one whose training failed, neither counts nor sends others out: the race is run again without it
    from the first seed, so an arm that went because of it may come back, and then lacks runs. What the level says then
    holds for the arms that are left.

    Raises:
        UserError: fewer than two seeds or arms, or alpha outside (0, 0.5].
    """
    measured = np.asarray(runs, dtype=float)
    seeds, arms = measured.shape
    _check(seeds, arms, alpha)
    levels = dict(zip(range(FEWEST_SEEDS, seeds + 1), shares(seeds, alpha), strict=True))
    standing = np.array([arm for arm in range(arms) if arm not in unreliable], dtype=int)
    n = np.zeros(arms, dtype=np.int64)
    last = np.full(arms, -1)  # the look at which an arm was last seen
    looks: list[Look] = []
    seen: list[tuple[NDArray[np.float64], float]] = []
    missing: NDArray[np.int64] = standing[:0]
    for round_ in range(seeds):
        if len(standing) < 2:
            break
        missing = standing[np.isnan(measured[round_, standing])]
        if len(missing):
            break
        n[standing] = round_ + 1
        if round_ + 1 < FEWEST_SEEDS:
            continue
        mean, sd, df = _pooled(measured, n)
        last[standing] = len(looks)
        level = levels[round_ + 1]
        far = max(critical(level, df, arms - 1), float(-stdtrit(df, level / 2)))
        width = far * sd * (2 / (round_ + 1)) ** 0.5
        behind = mean[standing].max() - mean[standing] > width
        looks.append(Look(round_ + 1, level, df, sd, width, tuple(standing[behind].tolist())))
        seen.append((mean, width))
        standing = standing[~behind]
    mean, _, _ = _pooled(measured, n)
    low, high = _against_the_best(seen, last, standing)
    stands, gone = tuple(standing.tolist()), tuple(sorted(set(unreliable)))
    return Race(stands, gone, tuple(looks), tuple(missing.tolist()), int(n.max(initial=0)), n, mean, low, high)


def shares(seeds: int, alpha: float) -> list[float]:
    """How much of alpha each look spends, after 2, 3 ... `seeds` seeds: in proportion to the cube of the seeds.

    Early looks are worth little: they save trainings of arms that are hopeless anyway, which a small share shows too.
    With five seeds the last look has 56 % of alpha: its critical value is 11 to 16 % above that of a single look.
    """
    cubes = np.arange(FEWEST_SEEDS, seeds + 1, dtype=float) ** 3
    return list((alpha * cubes / cubes.sum()).tolist())


@lru_cache(maxsize=4096)
def critical(level: float, df: int, comparisons: int) -> float:
    """Dunnett's one-sided value: what the largest of so many t statistics exceeds with probability `level`.

    They are differences to a common arm, each with as many runs, so any two correlate by 1/2.
    """
    from scipy.optimize import brentq

    return float(brentq(lambda value: 1 - _all_below(value, df, comparisons) - level, -1.0, 1e6, xtol=1e-9))


def _all_below(value: float, df: int, comparisons: int) -> float:
    """P(max of t_j <= value) = E over z and s of Phi(sqrt(2) value s - z)^comparisons: given the luck z of the common
    arm, and s, the t_j are independent. Gauss-Hermite in z. In log s the trapezoidal rule: few degrees of freedom make
    small levels a matter of very small s, and there it is as dense as elsewhere."""
    z, of_z = _NORMAL_NODES
    s, of_s = _spreads(df)
    below = ndtr(2**0.5 * value * s[:, None] - z[None, :]) ** comparisons
    return float(of_s @ below @ (of_z / np.sqrt(2 * np.pi)))


@lru_cache(maxsize=64)
def _spreads(df: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of s, where df s^2 is chi-square, equally far apart in log s, and the weight of each."""
    low, high = (0.5 * np.log(2 * quantile(df / 2, 1e-16) / df) for quantile in (gammaincinv, gammainccinv))
    log_s = np.linspace(low, high, _SPREAD_NODES)
    log_density = df * (log_s - np.exp(2 * log_s) / 2)
    weights = np.exp(log_density - log_density.max())
    return np.exp(log_s), weights / weights.sum()


def _pooled(measured: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], float, int]:
    """Means over the first n[arm] runs (shape [arms]), the deviation pooled over all arms, its degrees of freedom."""
    counts = np.arange(len(measured))[:, None] < n
    mean = np.divide(np.where(counts, measured, 0).sum(0), n, out=np.full(len(n), np.nan), where=n > 0)
    squares = float((np.where(counts, measured - mean, 0) ** 2).sum())
    df = int(np.maximum(n - 1, 0).sum())
    return mean, (squares / df) ** 0.5 if df else float("nan"), df


def _against_the_best(
    seen: Sequence[tuple[NDArray[np.float64], float]], last: NDArray[np.int64], standing: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hsu's constrained intervals of each mean less the best of the others, both of shape [arms].

    Two arms are compared at the last look at which both stood. Where the best arm is sent out at no look, its
    differences to all others lie above `mean - width` of the other at all those looks at once: all intervals hold.
    """
    arms = len(last)
    low, high = np.full(arms, np.nan), np.full(arms, np.nan)
    in_race = np.flatnonzero(last >= 0)
    if not seen:
        return low, high
    for arm in in_race:
        others = in_race[in_race != arm]
        at = np.minimum(last[arm], last[others])
        gaps = np.array([seen[look][0][arm] - seen[look][0][other] for look, other in zip(at, others, strict=True)])
        widths = np.array([seen[look][1] for look in at])
        best = np.isin(others, standing)
        high[arm] = max(0.0, float((gaps + widths).min())) if arm in standing else 0.0
        low[arm] = min(0.0, float((gaps - widths)[best].min())) if best.any() else 0.0
    return low, high


def _check(seeds: int, arms: int, alpha: float) -> None:
    if seeds < FEWEST_SEEDS:
        raise UserError(f"{seeds} seed(s) an arm: one says nothing about luck; give {FEWEST_SEEDS} or more")
    if arms < 2:
        raise UserError(f"{arms} arm(s) to compare; give two or more")
    if not 0 < alpha <= 0.5:
        raise UserError(f"alpha: {alpha:g} given; allowed: above 0 and up to 0.5")
