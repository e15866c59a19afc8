"""What a design can't be: every rule with its reason. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_space.errors import refuse
from search_space.frequencies import DCT_LARGEST, FAMILIES, frequency_list
from search_space.vocabulary import BLOCKS, DEEPEST, EXCITATIONS, PLACEMENTS, SQUEEZES, WAVELETS

if TYPE_CHECKING:
    from search_space.design import AttentionDesign

LARGEST_REDUCTION = 99_999
LARGEST_KERNEL = 999
LARGEST_SEED = 999_999
_OPTION_DEFAULTS = {
    "reduction": None,
    "kernel": None,
    "groups": None,
    "sharing": None,
    "norm": False,
    "bias": False,
    "activation": "sigmoid",
    "fusion": "mul",
}


def check(design: AttentionDesign) -> None:
    """Raises `DesignError` naming axis, value and what is allowed."""
    for axis in ("squeeze", "excitation"):
        if not isinstance(getattr(design, axis), str | None):
            refuse(axis, getattr(design, axis), "a word of a design's text, as avg or mlp")
    if design.squeeze not in (*SQUEEZES, *BLOCKS) and not design.statistics:
        refuse("squeeze", design.squeeze, f"{', '.join(SQUEEZES)}, statistics joined by +, or {', '.join(BLOCKS)}")
    if design.squeeze not in ("none", *BLOCKS) and design.excitation not in EXCITATIONS:
        refuse("excitation", design.excitation, ", ".join(EXCITATIONS))  # before its options: mlpp-r16 is a mlp
    _check_basis(design)
    _check_options(design)
    _check_excitation(design)
    _check_placement(design)


def _check_basis(design: AttentionDesign) -> None:
    if design.squeeze == "wavelet":
        if design.wavelet not in WAVELETS:
            refuse("wavelet", design.wavelet, ", ".join(WAVELETS))
        if not _whole(design.depth, 1, DEEPEST):
            refuse("wavelet depth", design.depth, f"1 to {DEEPEST}")
        if design.statistic not in ("mean", "energy"):
            refuse("band statistic", design.statistic, "mean, energy")
    elif design.wavelet is not None or design.depth is not None or design.statistic != "mean":
        refuse(
            "wavelet, depth and band statistic", (design.wavelet, design.depth, design.statistic), "a wavelet squeeze"
        )
    if not isinstance(design.each, bool):
        refuse("each", design.each, "True, False")
    if design.squeeze in ("dct", "wavelet"):
        if design.entries == 0:
            refuse("selection", design.selection, _selections(design))
    elif design.selection is not None:
        refuse("selection", design.selection, "a dct or wavelet squeeze")
    if design.each:
        _check_each(design)
    if not (_whole(design.seed, 0, LARGEST_SEED) if design.squeeze == "ortho" else design.seed is None):
        refuse("seed", design.seed, f"a whole number from 0 to {LARGEST_SEED} for ortho, as in ortho-s0, else none")


def _check_each(design: AttentionDesign) -> None:
    if design.squeeze not in ("dct", "wavelet", "recursive"):
        refuse("selection", (design.selection, design.each), "-each with a dct or wavelet squeeze, or recursive")
    if design.learned:
        refuse("selection", f"{design.selection}-each", "learned frequencies for channel groups, without -each")
    listed = frequency_list(design.selection)
    if len(set(listed)) < len(listed):
        refuse("selection", f"{design.selection}-each", "every frequency once: each channel hears all of them")


def _check_options(design: AttentionDesign) -> None:
    """No option that the operator can't take, none of a wrong type."""
    possible: tuple[str, ...] = ()
    if design.squeeze in BLOCKS:
        option = BLOCKS[design.squeeze].option
        possible = (option,) if option else ()
    elif design.excitation in EXCITATIONS:
        possible = EXCITATIONS[design.excitation].options
    for name, default in _OPTION_DEFAULTS.items():
        if name not in possible and getattr(design, name) != default and design.squeeze != "none":
            takers = [gate for gate, facts in EXCITATIONS.items() if name in facts.options]
            takers += [block for block, facts in BLOCKS.items() if facts.option == name]
            refuse(name, getattr(design, name), f"with {', '.join(takers)} only")
    if "reduction" in possible and not _whole(design.reduction, 1, LARGEST_REDUCTION):
        refuse("reduction", design.reduction, f"a whole number >= 1 and <= {LARGEST_REDUCTION}, as in mlp-r16")
    if design.kernel is not None and not (_whole(design.kernel, 1, LARGEST_KERNEL) and design.kernel % 2):
        refuse("kernel", design.kernel, f"an odd number from 1 to {LARGEST_KERNEL}, as in conv1d-k3")
    if design.groups is not None and not _whole(design.groups, 1, LARGEST_REDUCTION):
        refuse("groups", design.groups, f"a whole number >= 1 and <= {LARGEST_REDUCTION}, as in affine-g64")
    for name in ("norm", "bias"):
        if not isinstance(getattr(design, name), bool):
            refuse(name, getattr(design, name), "True, False")
    if design.sharing not in (None, "shared", "mixed"):
        refuse("sharing", design.sharing, "None, shared, mixed")
    if design.activation not in ("sigmoid", "hard"):
        refuse("activation", design.activation, "sigmoid, hard")
    if design.fusion not in ("mul", "add"):
        refuse("fusion", design.fusion, "mul, add")


def _check_excitation(design: AttentionDesign) -> None:
    if design.squeeze in BLOCKS:
        option = BLOCKS[design.squeeze].option
        if design.excitation is not None:
            refuse("excitation", design.excitation, f"nothing: {design.squeeze} is a whole block")
        if option is not None and getattr(design, option) is None:
            refuse(option, None, f"a whole number, as in {design.squeeze}-{option[0]}16")
        return
    if design.squeeze == "none":
        if design.excitation is not None or any(getattr(design, n) != v for n, v in _OPTION_DEFAULTS.items()):
            refuse("excitation", design.excitation, "nothing: the squeeze is none")
        return
    assert design.excitation is not None  # `check` has refused it
    one = EXCITATIONS[design.excitation].one_number or design.groups is not None
    if one and design.numbers > 1:
        refuse("excitation", design.excitation, "one number a channel; drop `-each` and `+`, or choose mlp or conv1d")
    if design.sharing and design.numbers == 1:
        refuse("sharing", design.sharing, "several numbers a channel, as avg+max or -each give: one shares nothing")
    if design.fusion == "add" and design.activation != "sigmoid":
        refuse("activation", design.activation, "none with -add: what is added passes no sigmoid")


def _check_placement(design: AttentionDesign) -> None:
    if design.placement is None:
        return
    if design.squeeze == "none" or design.placement not in PLACEMENTS:
        refuse("placement", design.placement, "nothing for none" if design.squeeze == "none" else ", ".join(PLACEMENTS))
    if design.squeeze == "ba" and design.placement != "after-norm":
        refuse("placement", design.placement, "after-norm: ba closes a residual block whose convolutions it heard")


def _selections(design: AttentionDesign) -> str:
    if design.squeeze == "dct":
        families = "K, ".join(FAMILIES)
        return f"{families}K with K from 1 to {DCT_LARGEST}, as in top16, or pairs of 0 to 6, as in at00.01.60"
    assert design.depth is not None
    return f"details, all, or coarseK with K from 1 to {3 * design.depth + 1} at depth {design.depth}"


def _whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # True is no number here
