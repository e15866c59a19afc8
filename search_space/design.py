"""A channel-attention design as a value: a frozen dataclass that can only hold what exists. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_space.frequencies import dct_entries
from search_space.validity import check
from search_space.vocabulary import BLOCKS, EXCITATIONS, RECURSIVE_FILTERS, STATISTICS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class AttentionDesign:
    """One channel attention: squeeze [B, C, H, W] -> [B, C, K], excite -> gate [B, C], scale (or add).

    Attributes:
        squeeze: `none`; statistics (`avg max blurmax std skew l2 energy entropy relentropy`, several joined by `+`);
            `context` (GCNet's pooling); `dct`; `wavelet`; `recursive` (2x2 filters down to one pixel); `ortho` (random
            orthonormal); or the name of a block of `search_space.blocks`, which is a whole module and excites nothing.
        wavelet, depth: the analysis, when the squeeze is `wavelet`.
        selection: DCT: `low16 top16 bottom16` (FcaNet's tables), `at00.01.60` (pairs u v on its 7-grid), `learned16`
            (a relaxed choice per channel group); wavelet bands: `coarse4 details all`.
        statistic: what is taken of a band: its `mean` or its `energy` (mean square).
        each: False: channel c of C takes entry floor(c K / C) of the K selected. True: every channel takes all K.
        seed: of the `ortho` basis.
        excitation: `mlp` (SE), `conv1d` (ECA), `affine` (per channel), `fc` (one layer), `cfc` (SRM: per channel, then
            batch norm), `pfca` (parameter-free), `gated` (GCT), `gaussian` (Gaussian context transformer).
        reduction: r of the MLP's hidden width C // r (of a block's likewise).
        kernel: a fixed kernel of `conv1d`, None being ECA's adaptive rule; of `triplet`.
        groups: of `affine` (LCT: numbers are normalised within channel groups first), `ema`, `sge`.
        sharing: of an MLP over several numbers a channel: None: one matrix over all; `shared`: the same MLP for each,
            logits summed (CBAM); `mixed`: that sum with learned weights (CAT).
        norm: layer norm on the MLP's hidden vector. bias: biases in the excitation's layers.
        activation: `sigmoid` or `hard` (hard sigmoid). fusion: `mul`, or `add` (x + excitation, no activation).
        placement: where in a residual block (`PLACEMENTS`); None is the operator's published place.

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
    groups: int | None = None
    seed: int | None = None
    sharing: str | None = None
    norm: bool = False
    bias: bool = False
    activation: str = "sigmoid"
    fusion: str = "mul"
    placement: str | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.placement is not None and self.placement == self.published_placement:
            object.__setattr__(self, "placement", None)  # one spelling of one thing

    @property
    def published_placement(self) -> str:
        if self.is_block:
            return BLOCKS[self.squeeze].placement
        return EXCITATIONS[self.excitation].placement if self.excitation else "after-norm"

    @property
    def place(self) -> str:
        """Where in a residual block it sits: one of `PLACEMENTS`."""
        return self.placement or self.published_placement

    @property
    def moved(self) -> bool:
        """Whether it sits elsewhere than published."""
        return self.placement is not None

    @property
    def is_block(self) -> bool:
        return self.squeeze in BLOCKS

    @property
    def learned(self) -> bool:
        """Whether training chooses the frequencies (see `search_space.settle`)."""
        return self.squeeze == "dct" and str(self.selection).startswith("learned")

    @property
    def statistics(self) -> tuple[str, ...]:
        """The statistics of a squeeze that has no basis: `avg+std` -> (avg, std); empty for every other squeeze."""
        names = tuple(self.squeeze.split("+")) if isinstance(self.squeeze, str) else ()
        return names if set(names) <= set(STATISTICS) and len(set(names)) == len(names) else ()

    @property
    def entries(self) -> int:
        """How many frequencies, bands or filters are selected (1 for a statistic); 0 if the selection names none."""
        if self.squeeze == "recursive":
            return RECURSIVE_FILTERS
        if self.squeeze == "dct":
            return dct_entries(self.selection)
        if self.squeeze != "wavelet":
            return 1
        bands = 3 * (self.depth or 0) + 1
        if self.selection in ("details", "all"):
            return bands - (self.selection == "details")
        match = re.fullmatch(r"coarse([1-9][0-9]{0,3})", str(self.selection))
        return int(match[1]) if match and int(match[1]) <= bands else 0

    @property
    def numbers(self) -> int:
        """K of the squeezed tensor [B, C, K]: how many numbers the excitation gets of each channel."""
        return self.entries if self.each else max(1, len(self.statistics))

    def __str__(self) -> str:
        from search_space.text import text_of

        return text_of(self)

    @classmethod
    def parse(cls, text: str) -> AttentionDesign:
        """The inverse of `str`; a text that names no design raises `DesignError` with the nearest valid spelling."""
        from search_space.text import parse

        return parse(text)

    @property
    def key(self) -> str:
        """Text of the canonical spelling: two designs with one key are one function for every C, H and W.

        They are equal up to a factor or sign of the squeezed numbers that the first weights take up (DESIGN section 2;
        published scale and gate start belong to the recipe, so to every row's identity).
        """
        return str(self.canonical())

    def canonical(self) -> AttentionDesign:
        """The one spelling of this function that stands for all (`search_space.canonical` has the rules)."""
        from search_space.canonical import canonical

        return canonical(self)

    @property
    def layer(self) -> Callable[..., nn.Module]:
        """channels -> module: what timm's blocks take, `block_args=dict(attn_layer=design.layer)`."""
        from functools import partial

        from search_space.module import build

        return partial(build, self)


NONE = AttentionDesign("none")
