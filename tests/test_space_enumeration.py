"""The space counted a second way: the product of all axes, filtered and merged by rules written out here.

Nothing of `search_space` takes part in the second count. DCT selections are compared by what channel c hears, a step
function of c / C written out from the published tables: names and lists need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby, product
from math import prod
from typing import Any

import pytest
from test_space_basis_dct import PUBLISHED

from search_space import AttentionDesign, Space

DEFAULT: dict[str, tuple[Any, ...]] = {
    "squeeze": (
        *("none", "avg", "max", "std", "l2", "energy", "entropy"),
        *("avg+max", "avg+std", "avg+skew", "avg+blurmax+relentropy"),
        *("context", "recursive", "ortho-s0", "dct", "wavelet"),
    ),
    "excitation": (
        *("mlp", "mlp-bias", "mlp-ln-bias-add", "mlp-shared-bias", "mlp-mixed"),
        *("conv1d", "conv1d-bias", "affine", "affine-g64", "cfc", "fc-bias-hard", "pfca", "gated", "gaussian"),
    ),
    "reduction": (4, 8, 16),
    "kernel": ("adaptive", "k3", "k7"),
    "frequencies": (
        *("low2", "low4", "low8", "low16"),
        *("top2", "top4", "top8", "top16"),
        *("bottom2", "bottom4", "bottom8", "bottom16"),
        "learned16",
    ),
    "wavelet": ("haar", "db2", "sym4", "bior2.2"),
    "depth": (1, 2, 3),
    "bands": ("coarse4", "details", "all"),
    "statistic": ("mean", "energy"),
    "each": (False, True),
    "placement": ("published",),
}
DCT = DEFAULT | {
    "squeeze": ("avg", "dct"),
    "frequencies": ("low1", "top1", "bottom1", "low2", "top2", "low32", "top32", "bottom7", "learned1", "learned7"),
    "reduction": (16,),
}
WAVELET = DEFAULT | {
    "squeeze": ("none", "avg", "wavelet"),
    "excitation": ("conv1d", "affine", "pfca", "mlp-shared", "mlp-mixed-bias", "fc", "cfc", "gated", "affine-g4"),
    "wavelet": ("sym4", "db2", "haar"),
    "depth": (1, 2, 4),
    "bands": ("coarse1", "coarse4", "coarse7", "all", "details"),
    "reduction": (2,),
    "kernel": ("adaptive",),
}
LISTS = DEFAULT | {
    "squeeze": ("std+avg", "avg+std", "skew+max+avg", "max+skew+avg", "std", "avg", "recursive", "dct"),
    "excitation": ("mlp-shared", "mlp", "conv1d-k5", "fc", "gated", "gaussian", "affine-g8"),
    "reduction": (3, 8),
    "kernel": ("k1",),
    "frequencies": (
        *("low1", "low2", "top3", "at00", "at00.00", "at00.01", "at01.00", "at00.00.01.01", "at00.01.00.01"),
        *("at00.01.60", "at60.00.01", "at66.00", "at00.00.00.01.01.01.60.60.60", "at00.00.01", "learned3"),
    ),
    "placement": ("published", "mid", "before-conv"),
}
SPACES = {"default": DEFAULT, "dct": DCT, "wavelet": WAVELET, "lists": LISTS}
Record = tuple[Any, ...]


def pairs_of(selection: str) -> list[tuple[int, int]]:
    """(u, v) of a table's first K, or of a list; none for a learned selection."""
    if selection.startswith("at"):
        return [(int(pair[0]), int(pair[1])) for pair in selection[2:].split(".")]
    family = selection.rstrip("0123456789")
    return [] if family == "learned" else PUBLISHED[family][: int(selection[len(family) :])]


def entries_of(squeeze: str, raw: dict[str, Any]) -> int:
    if squeeze == "recursive":
        return 4
    if squeeze == "dct":
        return len(pairs_of(raw["frequencies"])) or int(raw["frequencies"].removeprefix("learned"))
    bands = 3 * raw["depth"] + 1
    return {"all": bands, "details": bands - 1}.get(raw["bands"]) or int(raw["bands"].removeprefix("coarse"))


def compares_one_number(gate: str) -> bool:
    return gate.startswith("affine-g") or gate in ("pfca", "gated", "gaussian")


def axes_with_meaning(squeeze: str, gate: str) -> list[str]:
    asked = ["reduction"] if gate.startswith("mlp") else []
    asked += ["kernel"] if gate.startswith("conv1d") and "-k" not in gate else []
    asked += {"dct": ["frequencies"], "wavelet": ["wavelet", "depth", "bands", "statistic"]}.get(squeeze, [])
    asked += ["each"] if squeeze in ("dct", "wavelet", "recursive") and not compares_one_number(gate) else []
    return [*asked, "placement"]


def is_possible(squeeze: str, gate: str, raw: dict[str, Any]) -> bool:
    each, numbers = raw.get("each", False), squeeze.count("+") + 1
    if squeeze in ("dct", "wavelet", "recursive"):
        if squeeze == "wavelet" and entries_of(squeeze, raw) > 3 * raw["depth"] + 1:
            return False
        if each and squeeze == "dct":
            pairs = pairs_of(raw["frequencies"])
            if not pairs or len(set(pairs)) < len(pairs):
                return False
        numbers = entries_of(squeeze, raw) if each else 1
    if "shared" in gate or "mixed" in gate:
        return numbers > 1
    return numbers == 1 or not compares_one_number(gate)


def records(axes: dict[str, tuple[Any, ...]]) -> Iterator[Record]:
    """(squeeze, gate, {axis: value} as a sorted tuple) of every cell that means something, some of them twice."""
    for squeeze, gate in product(axes["squeeze"], axes["excitation"]):
        if squeeze == "none":
            yield ("none",)
            continue
        asked = axes_with_meaning(squeeze, gate)
        for values in product(*(axes[axis] for axis in asked)):
            raw = dict(zip(asked, values, strict=True))
            home = "before-conv" if gate == "gated" else "after-norm"
            raw["placement"] = home if raw["placement"] == "published" else raw["placement"]
            if is_possible(squeeze, gate, raw):
                yield (squeeze, gate, *sorted(raw.items()))


def heard(pairs: list[tuple[int, int]], each: bool) -> Any:
    """What the channels of a DCT design hear: all of a set, or a step function of c / C (value, width of the step)."""
    if each and len(pairs) > 1:
        return frozenset(pairs)
    runs = [(pair, Fraction(len(list(run)), len(pairs))) for pair, run in groupby(pairs)]
    return tuple(runs)


def takes_up_signs(gate: str, each: bool) -> bool:
    if gate.startswith("conv1d"):
        return each
    return not ("shared" in gate or "mixed" in gate or gate.startswith("affine-g") or gate in ("pfca", "gaussian"))


def merged(record: Record) -> Record:
    """One representative of each function. The brute force of test_space_identities shows that these are all rules."""
    if record[0] == "none":
        return record
    squeeze, gate, *items = record
    raw = dict(items)
    each = raw.pop("each", False)
    rest = tuple((axis, raw.pop(axis)) for axis in ("reduction", "kernel", "placement") if axis in raw)
    if squeeze == "dct" and pairs_of(raw["frequencies"]):
        sound: Any = heard(pairs_of(raw["frequencies"]), each)
        squeezed: Any = "avg" if sound == (((0, 0), 1),) else sound
    elif squeeze == "wavelet":
        squeezed = merged_bands(gate, each, **raw)
    elif squeeze in ("dct", "recursive"):
        squeezed = (squeeze, each, *raw.values())
    else:
        squeezed = frozenset(squeeze.split("+")) if "+" in squeeze else squeeze
    return (squeezed, gate, rest)


def merged_bands(gate: str, each: bool, *, wavelet: str, depth: int, bands: str, statistic: str) -> Any:
    count = {"all": 3 * depth + 1, "details": 3 * depth}.get(bands) or int(bands.removeprefix("coarse"))
    if (count, bands == "details", statistic) == (1, False, "mean"):
        return "avg"
    if depth == 1 and statistic == "mean":
        # the sign of an odd-even difference: haar and bior2.2 have one, db2 and sym4 the other
        absorbed = takes_up_signs(gate, each)
        wavelet = "any" if absorbed else {"haar": "+", "bior2.2": "+", "db2": "-", "sym4": "-"}[wavelet]
    return ("wavelet", wavelet, depth, (count, bands == "details"), statistic, each and count > 1)


def record_of(design: AttentionDesign) -> Record:
    """The same record, read off a design."""
    if design.squeeze == "none":
        return ("none",)
    squeeze, _, gate = str(design).partition("@")[0].partition("/")
    words = [word for word in gate.split("-") if not (word[0] == "r" and word[1:].isdigit())]
    gate = "-".join(word for word in words if word not in ("k1", "k3", "k7"))  # k5 is a word of LISTS, not of an axis
    family = design.squeeze if design.squeeze in ("dct", "wavelet", "recursive") else squeeze
    values = {
        "reduction": design.reduction,
        "kernel": f"k{design.kernel}" if design.kernel else "adaptive",
        "frequencies": design.selection,
        "wavelet": design.wavelet,
        "depth": design.depth,
        "bands": design.selection,
        "statistic": design.statistic,
        "each": design.each,
        "placement": design.place,
    }
    return (family, gate, *sorted((axis, values[axis]) for axis in axes_with_meaning(family, gate)))


@pytest.mark.parametrize("axes", SPACES.values(), ids=SPACES)
class TestEnumeration:
    def test_the_counts_are_those_of_the_filtered_product(self, axes: dict[str, tuple[Any, ...]]) -> None:
        space = Space(**axes)
        assert space.count() == {
            "raw": prod(map(len, axes.values())),
            "valid": len(set(records(axes))),
            "distinct": len({merged(record) for record in records(axes)}),
        }

    def test_the_designs_are_those_of_the_filtered_product_each_once(self, axes: dict[str, tuple[Any, ...]]) -> None:
        designs = Space(**axes).designs()
        found = [record_of(design) for design in designs]
        assert len(set(found)) == len(designs)
        assert set(found) == set(records(axes))

    def test_distinct_designs_are_the_merged_cells_of_the_product(self, axes: dict[str, tuple[Any, ...]]) -> None:
        distinct = [merged(record_of(design)) for design in Space(**axes).distinct()]
        assert len(set(distinct)) == len(distinct)
        assert set(distinct) == {merged(record) for record in records(axes)}

    def test_every_key_is_the_key_of_one_merged_cell(self, axes: dict[str, tuple[Any, ...]]) -> None:
        cell_of: dict[str, Record] = {}
        for design in Space(**axes).designs():
            assert cell_of.setdefault(design.key, merged(record_of(design))) == merged(record_of(design)), str(design)

    def test_distinct_designs_are_the_first_spelling_of_each_key(self, axes: dict[str, tuple[Any, ...]]) -> None:
        space = Space(**axes)
        first: dict[str, AttentionDesign] = {}
        for design in space.designs():
            first.setdefault(design.key, design)
        assert space.distinct() == tuple(first.values())


def test_the_default_axes_are_those_written_out_here() -> None:
    assert Space().axes() == DEFAULT


def test_the_default_space_is_counted_by_hand() -> None:
    """Gates by what they can hear; an MLP comes at 3 reductions, a conv1d with 3 kernels.

    One number a channel: mlp, mlp-bias, mlp-ln-bias-add (9 gates), conv1d and conv1d-bias (6), affine, cfc, fc (3),
    and affine-g64, pfca, gated, gaussian (4): 22. Several: 9 + 6 + 3 and the shared and the mixed MLP (6): 24.
    """
    one, several = 9 + 6 + 3 + 4, 9 + 6 + 3 + 6
    statistics = 8 * one + 4 * several  # avg max std l2 energy entropy context ortho; four sums
    recursive = one + several  # by channel group, each
    dct = 12 * (one + several) + one  # learned16 only without `each`
    wavelet = 4 * 3 * 3 * 2 * (one + several)
    counts = Space().count()
    assert counts["raw"] == 16 * 14 * 3 * 3 * 13 * 4 * 3 * 3 * 2 * 2 * 1 == 3_773_952
    assert counts["valid"] == statistics + recursive + dct + wavelet + 1 == 4_205
    assert counts["distinct"] == 3_545
