"""A design in words: what each half computes, where it sits, and what else it is called. Imports no torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from search_space.design import AttentionDesign
from search_space.errors import DesignError
from search_space.frequencies import frequencies
from search_space.presets import PRESETS, PUBLISHED
from search_space.space import Space
from search_space.text import excitation_fields, excitation_text, squeeze_fields
from search_space.vocabulary import BLOCKS, EXCITATIONS, PLACEMENTS, STATISTICS

_PLACES = {
    "after-norm": "at the end of the residual branch, after its last norm, before the shortcut is added",
    "before-norm": "between the last spatial convolution of the residual branch and its norm",
    "before-conv": "before every convolution of the residual branch",
    "mid": "before the last convolution of the residual branch",
}


def in_words(design: AttentionDesign) -> dict[str, str]:
    """{part: sentence}: `squeeze`, `excitation` and `output`, or `equation` of a block; and `placement`."""
    if design.squeeze == "none":
        return {"equation": "y = x"}
    place = {"placement": _PLACES[design.place]}
    if design.is_block:
        return {"equation": PUBLISHED[design.squeeze].equation} | place
    output = "y = x + that, for every position" if design.fusion == "add" else "y = gate * x, for every position"
    return {"squeeze": _squeeze(design), "excitation": _excitation(design), "output": output} | place


def _squeeze(design: AttentionDesign) -> str:
    if design.statistics:
        names = ", ".join(STATISTICS[name] for name in design.statistics)
        return f"{names} of each channel's map"
    if design.squeeze == "context":
        return "sum of every channel's map weighted by one softmax over the positions of w x + b"
    if design.squeeze == "ortho":
        return f"inner product with a random filter of the channel's own, all orthonormal (seed {design.seed})"
    if design.learned:
        return f"DCT coefficient learned among all 49 for each of {design.entries} channel groups"
    whose = "every channel hears all of them" if design.each else "channel c of C hears entry floor(c K / C) of the K"
    return f"{_rows(design)}; {whose}"


def _rows(design: AttentionDesign) -> str:
    if design.squeeze == "recursive":
        return "four orthonormal 2x2 filters, each applied with stride 2 down to one pixel"
    if design.squeeze == "dct":
        pairs = " ".join(f"({u},{v})" for u, v in frequencies(str(design.selection)))
        return f"DCT coefficients of frequencies (along H, along W) {pairs}"
    what = "energy" if design.statistic == "energy" else "mean"
    bands = f"{design.entries} bands ({design.selection})"
    return f"{what} of {bands} of a {design.wavelet} analysis of depth {design.depth}"


def _excitation(design: AttentionDesign) -> str:
    assert design.excitation is not None
    said = [EXCITATIONS[design.excitation].words]
    if design.reduction is not None:
        said.append(f"hidden width C // {design.reduction}")
    if design.excitation == "conv1d":
        said.append(f"kernel {design.kernel or 'about (log2 C + 1) / 2'}")
    if design.groups is not None:
        said.append(f"z standardised in {design.groups} channel groups first")
    if design.sharing == "shared":
        said.append("the same for each of the channel's numbers, summed")
    if design.sharing == "mixed":
        said.append("the same for each of the channel's numbers, summed with learned weights")
    if design.norm:
        said.append("layer norm before the ReLU")
    if design.bias:
        said.append("with biases")
    if design.fusion == "mul" and design.excitation not in ("gated", "gaussian"):
        return f"gate = {'hard sigmoid' if design.activation == 'hard' else 'sigmoid'} of {', '.join(said)}"
    return f"{'added' if design.fusion == 'add' else 'gate'} = {', '.join(said)}"


def aliases(design: AttentionDesign) -> list[str]:
    """Presets and texts that are the same function: those of the default axes and of single frequencies and bands."""
    names = [name for name, preset in PRESETS.items() if preset.key == design.key]
    if design.is_block or design.squeeze == "none":
        return names
    texts = []
    for squeeze in _spellings():
        with suppress(DesignError):  # not every squeeze goes with every excitation
            other = AttentionDesign(**squeeze, **_right_side(design))
            texts += [str(other)] if other.key == design.key and other != design else []
    return names + texts


def _right_side(design: AttentionDesign) -> dict[str, Any]:
    return (excitation_fields(excitation_text(design)) or {}) | {"placement": design.placement}


@cache
def _spellings() -> tuple[dict[str, Any], ...]:
    """The left sides that the default axes and single frequencies and bands can spell."""
    here = Space()
    space = Space(
        squeeze=here.squeeze[1:],
        excitation=("mlp",),
        reduction=(1,),
        frequencies=("low1", "top1", *here.frequencies),
        bands=("coarse1", *here.bands),
    )
    return tuple(squeeze_fields(str(design).partition("/")[0]) or {} for design in space.designs())


def neighbours(design: AttentionDesign) -> dict[str, list[str]]:
    """{axis: texts} of the distinct designs that differ from this one in that axis alone.

    Those of the default space, widened by the design's own values. A block's are its other placements, and half and
    double its number.
    """
    if design.is_block:
        return _block_neighbours(design)
    space = _space_around(design)
    here = space.choices(design)
    found: dict[str, list[str]] = {}
    for other in space.neighbours(design):
        there = space.choices(other)
        axis = next(axis for axis in here.keys() & there.keys() if here[axis] != there[axis])
        found.setdefault(axis, []).append(str(other))
    return found


def _space_around(design: AttentionDesign) -> Space:
    """The default space, with the values of this design among those of each axis."""
    own = {
        "squeeze": design.squeeze if design.squeeze in ("dct", "wavelet") else _squeeze_word(design),
        "excitation": excitation_text(design, "g"),
        "reduction": design.reduction,
        "kernel": f"k{design.kernel}" if design.kernel else None,
        "frequencies" if design.squeeze == "dct" else "bands": design.selection,
        "wavelet": design.wavelet,
        "depth": design.depth,
        "placement": design.placement,
    }
    here = Space()
    if design.squeeze == "none":
        return here
    known = here.axes()
    return here.narrow(
        {axis: [*known[axis], value] for axis, value in own.items() if value is not None and value not in known[axis]}
    )


def _squeeze_word(design: AttentionDesign) -> str:
    return str(replace(design, each=False) if design.each else design).partition("/")[0]


def _block_neighbours(design: AttentionDesign) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    option = BLOCKS[design.squeeze].option
    if option is not None:
        number = getattr(design, option)
        changed = [number - 2, number + 2] if option == "kernel" else [number // 2, number * 2]
        found[option] = [str(replace(design, **{option: other})) for other in changed if other > 0]
    if design.squeeze != "ba":
        elsewhere = (place for place in PLACEMENTS if place != design.place)
        found["placement"] = [str(replace(design, placement=place)) for place in elsewhere]
    return found
