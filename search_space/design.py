"""A channel-attention design as a value: five axes, one text form, one canonical key. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from search_space.errors import UserError

STATISTICS = ("avg", "max", "std", "energy")  # one number a channel, no basis to choose
WAVELETS = ("haar", "db2", "sym4", "bior2.2")
EXCITATIONS = ("mlp", "conv1d", "affine", "pfca")
DCT_LARGEST = 32  # FcaNet publishes three ordered tables of 32 frequencies
DEEPEST = 10  # 2^10 = 1,024 pixels: no network attends to larger maps
FAMILIES = ("low", "top", "bottom")
LARGEST_REDUCTION = 99_999
LARGEST_KERNEL = 999
# excitations whose first weights can take up one factor common to all squeezed numbers
ABSORBS_SCALE = ("mlp", "conv1d", "affine")
# level-1 detail means differ between these pairs by the sign of some bands, within a pair in nothing
_LEVEL_ONE_TWIN = {"haar": "haar", "bior2.2": "haar", "db2": "db2", "sym4": "db2"}


class DesignError(UserError, ValueError):
    """A design that does not exist, or does not fit the network it is put into."""


def refuse(axis: str, given: object, allowed: str) -> NoReturn:
    raise DesignError(f"{axis}: {given!r} is not possible; allowed: {allowed}.")


@dataclass(frozen=True, slots=True)
class AttentionDesign:
    """One channel attention: squeeze [B, C, H, W] -> [B, C, K], excite -> gate [B, C], scale.

    Attributes:
        squeeze: `none`, a statistic (`avg max std energy`), `dct`, or `wavelet`.
        wavelet, depth: the analysis, when the squeeze is `wavelet`.
        selection: `low16 top16 bottom16` (DCT, FcaNet's tables); `coarse4 details all` (wavelet bands).
        statistic: what is taken of a band: its `mean` or its `energy` (mean square).
        each: False: channel c of C takes entry floor(c K / C) of the K selected. True: every channel takes all K.
        excitation: `mlp` (SE), `conv1d` (ECA), `affine` (per channel), `pfca` (parameter-free).
        reduction: r of the MLP's hidden width C // r.
        kernel: a fixed kernel of `conv1d`; None is ECA's adaptive rule.

    A field without meaning for the chosen operator is None or its default, and is not in the text form.
    Construction of anything else raises `DesignError` naming axis, value and what is allowed.
    """

    squeeze: str
    wavelet: str | None = None
    depth: int | None = None
    selection: str | None = None
    statistic: str = "mean"
    each: bool = False
    excitation: str | None = None
    reduction: int | None = None
    kernel: int | None = None

    def __post_init__(self) -> None:
        if self.squeeze not in ("none", *STATISTICS, "dct", "wavelet"):
            refuse("squeeze", self.squeeze, f"none, {', '.join(STATISTICS)}, dct, wavelet")
        self._check_basis()
        self._check_excitation()

    def _check_basis(self) -> None:
        if self.squeeze == "wavelet":
            if self.wavelet not in WAVELETS:
                refuse("wavelet", self.wavelet, ", ".join(WAVELETS))
            if not _whole(self.depth, 1, DEEPEST):
                refuse("wavelet depth", self.depth, f"1 to {DEEPEST}")
            if self.statistic not in ("mean", "energy"):
                refuse("band statistic", self.statistic, "mean, energy")
        elif self.wavelet is not None or self.depth is not None or self.statistic != "mean":
            refuse("wavelet, depth and band statistic", (self.wavelet, self.depth, self.statistic), "a wavelet squeeze")
        if not isinstance(self.each, bool):
            refuse("each", self.each, "True, False")
        if self.squeeze in ("dct", "wavelet"):
            if self.entries == 0:
                refuse("selection", self.selection, self._selections())
        elif self.selection is not None or self.each:
            refuse("selection", (self.selection, self.each), "a dct or wavelet squeeze")

    def _check_excitation(self) -> None:
        if self.squeeze == "none":
            if (self.excitation, self.reduction, self.kernel) != (None, None, None):
                refuse("excitation", self.excitation, "nothing: the squeeze is none")
            return
        if self.excitation not in EXCITATIONS:
            refuse("excitation", self.excitation, ", ".join(EXCITATIONS))
        if self.excitation == "mlp":
            if not _whole(self.reduction, 1, LARGEST_REDUCTION):
                refuse("reduction", self.reduction, f"a whole number >= 1 and <= {LARGEST_REDUCTION}, as in mlp-r16")
        elif self.reduction is not None:
            refuse("reduction", self.reduction, "the mlp excitation only")
        if self.kernel is not None and self.excitation != "conv1d":
            refuse("kernel", self.kernel, "the conv1d excitation only")
        if self.kernel is not None and not (_whole(self.kernel, 1, LARGEST_KERNEL) and self.kernel % 2):
            refuse("kernel", self.kernel, f"an odd number from 1 to {LARGEST_KERNEL}, as in conv1d-k3")
        if self.excitation == "pfca" and self.each and self.entries > 1:
            refuse("excitation", "pfca", "one number a channel; drop `-each` or choose mlp, conv1d or affine")

    def _selections(self) -> str:
        if self.squeeze == "dct":
            return f"{'K, '.join(FAMILIES)}K with K from 1 to {DCT_LARGEST}, as in top16"
        assert self.depth is not None
        return f"details, all, or coarseK with K from 1 to {3 * self.depth + 1} at depth {self.depth}"

    @property
    def entries(self) -> int:
        """How many frequencies or bands are selected (1 for a statistic); 0 if the selection names none."""
        if self.squeeze not in ("dct", "wavelet"):
            return 1
        depth = self.depth or 0
        if self.squeeze == "wavelet" and self.selection in ("details", "all"):
            return 3 * depth + (self.selection == "all")
        match = re.fullmatch(r"([a-z]+)([1-9][0-9]{0,3})", str(self.selection))
        families, largest = (FAMILIES, DCT_LARGEST) if self.squeeze == "dct" else (("coarse",), 3 * depth + 1)
        if match is None or match[1] not in families or int(match[2]) > largest:
            return 0
        return int(match[2])

    @property
    def numbers(self) -> int:
        """K of the squeezed tensor [B, C, K]: how many numbers the excitation gets of each channel."""
        return self.entries if self.each else 1

    def __str__(self) -> str:
        return text_of(self)

    @classmethod
    def parse(cls, text: str) -> AttentionDesign:
        """The inverse of `str`; a text that names no design raises `DesignError` with the nearest valid spelling."""
        return parse(text)

    @property
    def key(self) -> str:
        """Text of the canonical spelling: two designs with one key are one function for every C, H and W.

        They are equal up to a factor or sign of the squeezed numbers that the first weights take up (DESIGN section 2;
        published scale and gate start belong to the recipe, so to every row's identity).
        """
        return str(self.canonical())

    def canonical(self) -> AttentionDesign:
        design = self
        if design.squeeze == "wavelet" and design.selection == f"coarse{3 * (design.depth or 0) + 1}":
            design = replace(design, selection="all")
        if design.each and design.entries == 1:
            design = replace(design, each=False)
        if _is_average(design):
            # DCT(0,0), and the approximation mean of any wavelet at any depth, are the plain mean (FcaNet Theorem 1)
            return AttentionDesign(
                "avg", excitation=design.excitation, reduction=design.reduction, kernel=design.kernel
            )
        if design.squeeze == "dct" and design.selection == "top2":
            return replace(design, selection="low2")  # both are (0,0), (0,1)
        if design.squeeze == "wavelet" and design.depth == 1 and design.statistic == "mean":
            # differences of the four polyphase means, whatever the wavelet, up to a sign a band
            twin = "haar" if _absorbs_signs(design) else _LEVEL_ONE_TWIN[str(design.wavelet)]
            return replace(design, wavelet=twin)
        return design


def _is_average(design: AttentionDesign) -> bool:
    if design.squeeze == "dct":
        return design.selection in ("low1", "top1")
    return design.squeeze == "wavelet" and design.selection == "coarse1" and design.statistic == "mean"


def _absorbs_signs(design: AttentionDesign) -> bool:
    """Whether the first weights hold one factor for each selected entry, so that an entry's sign is theirs."""
    return design.excitation in ("mlp", "affine") or (design.excitation == "conv1d" and design.each)


def _whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # True is no number here


NONE = AttentionDesign("none")


def text_of(design: AttentionDesign) -> str:
    if design.squeeze == "none":
        return "none"
    squeeze = design.squeeze
    if squeeze == "dct":
        squeeze = f"dct-{design.selection}"
    elif squeeze == "wavelet":
        squeeze = f"{design.wavelet}-d{design.depth}-{design.selection}"
        squeeze += "-energy" if design.statistic == "energy" else ""
    excitation = str(design.excitation)
    if design.reduction is not None:
        excitation += f"-r{design.reduction}"
    if design.kernel is not None:
        excitation += f"-k{design.kernel}"
    return f"{squeeze}{'-each' if design.each else ''}/{excitation}"


_SQUEEZE = re.compile(
    r"(?P<statistic>[a-z]+)"
    r"|dct-(?P<frequencies>[a-z]+[0-9]+)(?P<dct_each>-each)?"
    r"|(?P<wavelet>[a-z]+[0-9.]*)-d(?P<depth>[0-9]{1,3})-(?P<bands>[a-z]+[0-9]*)(?P<energy>-energy)?(?P<each>-each)?"
)
_EXCITATION = re.compile(r"(?P<name>[a-z0-9]+?)(-r(?P<reduction>[0-9]{1,6}))?(-k(?P<kernel>[0-9]{1,4}))?")


def parse(text: str) -> AttentionDesign:
    text = text.strip()
    if text == "none":
        return NONE
    left, _, right = text.partition("/")
    squeeze, excitation = _SQUEEZE.fullmatch(left), _EXCITATION.fullmatch(right)
    if squeeze is None or excitation is None:
        raise DesignError(_no_design(text))
    try:
        design = _design_of(squeeze, excitation)
    except DesignError as error:
        raise DesignError(f"design {text!r}: {error} {_nearest(text)}".rstrip()) from None
    if str(design) != text:  # one text form: dct-top016 is no second spelling of dct-top16
        raise DesignError(_no_design(text))
    return design


def _design_of(squeeze: re.Match[str], excitation: re.Match[str]) -> AttentionDesign:
    gate: dict[str, Any] = {
        "excitation": excitation["name"],
        "reduction": int(excitation["reduction"]) if excitation["reduction"] else None,
        "kernel": int(excitation["kernel"]) if excitation["kernel"] else None,
    }
    if squeeze["statistic"]:
        return AttentionDesign(squeeze["statistic"], **gate)
    if squeeze["frequencies"]:
        return AttentionDesign("dct", selection=squeeze["frequencies"], each=bool(squeeze["dct_each"]), **gate)
    return AttentionDesign(
        "wavelet",
        wavelet=squeeze["wavelet"],
        depth=int(squeeze["depth"]),
        selection=squeeze["bands"],
        statistic="energy" if squeeze["energy"] else "mean",
        each=bool(squeeze["each"]),
        **gate,
    )


def _no_design(text: str) -> str:
    return (
        f"design {text!r} is not a design text. A design is written SQUEEZE/EXCITATION: "
        f"{' | '.join(STATISTICS)} | dct-top16[-each] | haar-d3-all[-energy][-each], "
        f"then / and mlp-r16 | conv1d | affine | pfca; or none. {_nearest(text)}"
    ).rstrip()


def _nearest(text: str) -> str:
    """Did-you-mean, from the presets and the default space. Imported late: only an error needs it."""
    import difflib

    from search_space.presets import PRESETS
    from search_space.space import Space

    known = [*PRESETS, *map(str, Space().designs())]
    matches = difflib.get_close_matches(text.lower()[:100], known, n=1, cutoff=0.5)
    return f"Nearest valid spelling: {matches[0]}" if matches else ""
