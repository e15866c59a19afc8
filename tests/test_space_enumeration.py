"""The space counted a second way: the flat product of all axes, filtered and merged by rules written out here."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from search_space import AttentionDesign, Space

DEFAULT: dict[str, tuple[Any, ...]] = {
    "squeeze": ("none", "avg", "max", "std", "energy", "dct", "wavelet"),
    "excitation": ("mlp", "conv1d", "affine", "pfca"),
    "reduction": (4, 8, 16),
    "frequencies": (
        *("low2", "low4", "low8", "low16"),
        *("top2", "top4", "top8", "top16"),
        *("bottom2", "bottom4", "bottom8", "bottom16"),
    ),
    "wavelet": ("haar", "db2", "sym4", "bior2.2"),
    "depth": (1, 2, 3),
    "bands": ("coarse4", "details", "all"),
    "statistic": ("mean", "energy"),
    "each": (False, True),
}
NARROW_DCT = DEFAULT | {
    "squeeze": ("avg", "dct"),
    "frequencies": ("low1", "top1", "bottom1", "low2", "top2", "low32", "top32", "bottom7"),
    "reduction": (16,),
}
NARROW_WAVELET = DEFAULT | {
    "squeeze": ("none", "avg", "wavelet"),
    "excitation": ("conv1d", "affine", "pfca"),
    "wavelet": ("sym4", "db2", "haar"),
    "depth": (1, 2, 4),
    "bands": ("coarse1", "coarse4", "coarse7", "all", "details"),
}
Record = tuple[Any, ...]


def meaning(raw: dict[str, Any]) -> Record | None:
    """What is left of one cell of the flat product when the axes without meaning are dropped; None if impossible."""
    squeeze, excitation = raw["squeeze"], raw["excitation"]
    if squeeze == "none":
        return ("none",)
    gate = (excitation, raw["reduction"] if excitation == "mlp" else 0)
    each = raw["each"] and excitation != "pfca"
    if squeeze == "dct":
        return ("dct", raw["frequencies"], each, gate)
    if squeeze == "wavelet":
        depth, selection = raw["depth"], raw["bands"]
        if selection.startswith("coarse") and int(selection[6:]) > 3 * depth + 1:
            return None
        return ("wavelet", raw["wavelet"], depth, selection, raw["statistic"], each, gate)
    return (squeeze, gate)


def merged(record: Record) -> Record:
    """One representative of each function. The brute force of test_space_identities shows that these are all rules."""
    gate = record[-1]
    if record[0] == "dct":
        _, selection, each, _ = record
        if selection in ("low1", "top1"):
            return ("avg", gate)
        return ("dct", "low2" if selection == "top2" else selection, each and selection != "bottom1", gate)
    if record[0] != "wavelet":
        return record
    _, wavelet, depth, selection, statistic, each, _ = record
    count = int(selection[6:]) if selection.startswith("coarse") else 3 * depth + (selection == "all")
    if (count, statistic) == (1, "mean"):
        return ("avg", gate)
    bands = "details" if selection == "details" else count
    if depth == 1 and statistic == "mean":
        # the sign of an odd-even difference: haar and bior2.2 have one, db2 and sym4 the other; weights with an
        # entry for each band take it up
        signs = gate[0] in ("mlp", "affine") or (gate[0] == "conv1d" and each)
        wavelet = "any" if signs else {"haar": "+", "bior2.2": "+", "db2": "-", "sym4": "-"}[wavelet]
    return ("wavelet", wavelet, depth, bands, statistic, each and count > 1, gate)


def record_of(design: AttentionDesign) -> Record:
    """The same record, read off a design."""
    raw = {
        "squeeze": design.squeeze,
        "excitation": design.excitation,
        "reduction": design.reduction,
        "frequencies": design.selection,
        "wavelet": design.wavelet,
        "depth": design.depth,
        "bands": design.selection,
        "statistic": design.statistic,
        "each": design.each,
    }
    record = meaning(raw)
    assert record is not None
    return record


@pytest.mark.parametrize("axes", [DEFAULT, NARROW_DCT, NARROW_WAVELET], ids=["default", "dct", "wavelet"])
class TestEnumeration:
    def cells(self, axes: dict[str, tuple[Any, ...]]) -> list[Record | None]:
        return [meaning(dict(zip(axes, cell, strict=True))) for cell in product(*axes.values())]

    def test_the_counts_are_those_of_the_filtered_flat_product(self, axes: dict[str, tuple[Any, ...]]) -> None:
        cells = self.cells(axes)
        valid = set(cells) - {None}
        assert Space(**axes).count()["raw"] == len(cells)
        assert Space(**axes).count()["valid"] == len(valid)

    def test_the_designs_are_those_of_the_filtered_flat_product_each_once(
        self, axes: dict[str, tuple[Any, ...]]
    ) -> None:
        designs = Space(**axes).designs()
        records = [record_of(design) for design in designs]
        assert len(set(records)) == len(designs)
        assert set(records) == set(self.cells(axes)) - {None}

    def test_distinct_designs_are_the_merged_cells_of_the_flat_product(self, axes: dict[str, tuple[Any, ...]]) -> None:
        functions = {merged(cell) for cell in self.cells(axes) if cell is not None}
        space = Space(**axes)
        distinct = space.distinct()
        assert {merged(record_of(design)) for design in distinct} == functions
        assert len(distinct) == space.count()["distinct"] == len(functions)

    def test_every_design_has_one_distinct_design_of_its_key_the_first_spelling(
        self, axes: dict[str, tuple[Any, ...]]
    ) -> None:
        space = Space(**axes)
        first: dict[str, AttentionDesign] = {}
        for design in space.designs():
            first.setdefault(design.key, design)
        assert set(space.distinct()) == set(first.values())


def test_the_default_axes_are_those_written_out_here() -> None:
    assert Space().axes() == DEFAULT
    assert Space().count()["raw"] == 7 * 4 * 3 * 12 * 4 * 3 * 3 * 2 * 2


def test_all_designs_of_the_default_space_are_counted_by_hand() -> None:
    """4 statistics x 6 gates; 12 selections x (5 gates x 2 + pfca); 72 analyses x (5 x 2 + 1); and none."""
    assert Space().count()["valid"] == 4 * 6 + 12 * 11 + 4 * 3 * 3 * 2 * 11 + 1
