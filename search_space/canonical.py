"""Two spellings of one function are one design: the rules, each proved by copied weights in the tests."""

from __future__ import annotations

from dataclasses import replace

from search_space.design import AttentionDesign
from search_space.frequencies import TABLES, frequencies, frequency_list, spelled_out
from search_space.vocabulary import EXCITATIONS, STATISTICS

# level-1 detail means differ between these pairs by the sign of some bands, within a pair in nothing
_LEVEL_ONE_TWIN = {"haar": "haar", "bior2.2": "haar", "db2": "db2", "sym4": "db2"}


def absorbs_scale(design: AttentionDesign) -> bool:
    """Whether the first weights can take up one factor common to all squeezed numbers."""
    # standardising within groups removes a factor, but for the epsilon
    return design.excitation is not None and EXCITATIONS[design.excitation].absorbs and design.groups is None


def absorbs_signs(design: AttentionDesign) -> bool:
    """Whether the first weights hold one factor for each selected entry, so that an entry's sign is theirs."""
    if design.excitation == "conv1d":
        return design.each
    return absorbs_scale(design) and design.sharing is None


def canonical(design: AttentionDesign) -> AttentionDesign:
    if len(design.statistics) > 1:
        # every excitation that takes several numbers a channel treats them alike: their order is no part of a function
        design = replace(design, squeeze="+".join(sorted(design.statistics, key=list(STATISTICS).index)))
    if design.squeeze == "wavelet" and design.selection == f"coarse{3 * (design.depth or 0) + 1}":
        design = replace(design, selection="all")
    if design.each and design.entries == 1:
        design = replace(design, each=False)
    if frequency_list(design.selection):
        design = replace(design, selection=_named(frequency_list(design.selection), each=design.each))
    if _is_average(design):
        # DCT(0,0), and the approximation mean of any wavelet at any depth, are the plain mean (FcaNet Theorem 1)
        return replace(design, squeeze="avg", wavelet=None, depth=None, selection=None)
    if design.squeeze == "dct" and design.selection == "top2":
        return replace(design, selection="low2")  # both are (0,0), (0,1)
    if design.squeeze == "wavelet" and design.depth == 1 and design.statistic == "mean":
        # differences of the four polyphase means, whatever the wavelet, up to a sign a band
        twin = "haar" if absorbs_signs(design) else _LEVEL_ONE_TWIN[str(design.wavelet)]
        return replace(design, wavelet=twin)
    return design


def _named(pairs: list[tuple[int, int]], *, each: bool) -> str:
    """The published name of a list of frequencies, else its shortest list."""
    pairs = sorted(pairs) if each else _without_runs(pairs)
    for family in TABLES:
        name = f"{family}{len(pairs)}"
        published = frequencies(name)
        if pairs == (sorted(published) if each else published):
            return name
    return spelled_out(pairs)


def _without_runs(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Channel c takes entry floor(c K / C): a list of runs of m equal entries says what every m-th of it says."""
    for run in range(len(pairs), 1, -1):
        if len(pairs) % run == 0 and all(pairs[i] == pairs[i - i % run] for i in range(len(pairs))):
            return pairs[::run]
    return pairs


def _is_average(design: AttentionDesign) -> bool:
    if design.squeeze == "dct":
        return design.selection in ("low1", "top1")
    return design.squeeze == "wavelet" and design.selection == "coarse1" and design.statistic == "mean"
