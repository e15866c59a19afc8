"""The one text form of a design: what people read, type, grep and store. `text_of` and `parse` are inverse."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from search_space.design import NONE, AttentionDesign
from search_space.errors import DesignError
from search_space.vocabulary import BLOCKS, EXCITATIONS, PLACEMENTS, SQUEEZES

# words after an excitation's name, in this order
_WORDS: dict[str, tuple[str, Any]] = {
    "shared": ("sharing", "shared"),
    "mixed": ("sharing", "mixed"),
    "ln": ("norm", True),
    "bias": ("bias", True),
    "hard": ("activation", "hard"),
    "add": ("fusion", "add"),
}
_NUMBERS = {"r": "reduction", "k": "kernel", "g": "groups"}


def text_of(design: AttentionDesign) -> str:
    place = f"@{design.placement}" if design.placement else ""
    if design.squeeze == "none":
        return "none"
    if design.is_block:
        return f"{design.squeeze}{_numbers_of(design)}{place}"
    return f"{_squeeze_text(design)}/{excitation_text(design)}{place}"


def _squeeze_text(design: AttentionDesign) -> str:
    squeeze = design.squeeze
    if squeeze == "dct":
        squeeze = f"dct-{design.selection}"
    elif squeeze == "ortho":
        squeeze = f"ortho-s{design.seed}"
    elif squeeze == "wavelet":
        squeeze = f"{design.wavelet}-d{design.depth}-{design.selection}"
        squeeze += "-energy" if design.statistic == "energy" else ""
    return f"{squeeze}-each" if design.each else squeeze


def excitation_text(design: AttentionDesign, numbers: str = "rkg") -> str:
    """`mlp-r16-bias`; with fewer of its numbers, `mlp-bias`: the word of the space's excitation axis."""
    words = [word for word, (name, value) in _WORDS.items() if getattr(design, name) == value]
    return "-".join([f"{design.excitation}{_numbers_of(design, numbers)}", *words])


def _numbers_of(design: AttentionDesign, letters: str = "rkg") -> str:
    given = {letter: getattr(design, _NUMBERS[letter]) for letter in letters}
    return "".join(f"-{letter}{number}" for letter, number in given.items() if number is not None)


_SQUEEZE = re.compile(
    r"(?P<squeeze>[a-z0-9+]+)(?P<plain_each>-each)?"
    r"|ortho-s(?P<seed>[0-9]{1,6})"
    r"|dct-(?P<frequencies>[a-z]+[0-9]+(\.[0-9]+)*)(?P<dct_each>-each)?"
    r"|(?P<wavelet>[a-z]+[0-9.]*)-d(?P<depth>[0-9]{1,3})-(?P<bands>[a-z]+[0-9]*)(?P<energy>-energy)?(?P<each>-each)?"
)
_BLOCK = re.compile(rf"(?P<name>{'|'.join(BLOCKS)})(-(?P<letter>[rkg])(?P<number>[0-9]{{1,6}}))?")


def parse(text: str) -> AttentionDesign:
    text = text.strip()
    if text == "none":
        return NONE
    words, at, placement = text.partition("@")
    fields = _fields(words)
    if fields is None or (at and not placement):
        raise DesignError(_no_design(text))
    if at:
        fields["placement"] = placement
    try:
        design = AttentionDesign(**fields)
    except DesignError as error:
        raise DesignError(f"design {text!r}: {error} {_nearest(text)}".rstrip()) from None
    if str(design) != text:  # one text form: dct-top016 is no second spelling of dct-top16
        raise DesignError(_no_design(text))
    return design


def _fields(words: str) -> dict[str, Any] | None:
    """The dataclass fields that the text without its placement spells; None if it spells none."""
    block = _BLOCK.fullmatch(words)
    if block is not None:
        number = {_NUMBERS[block["letter"]]: int(block["number"])} if block["letter"] else {}
        return {"squeeze": block["name"]} | number
    left, slash, right = words.partition("/")
    squeeze, excitation = squeeze_fields(left), excitation_fields(right)
    return squeeze | excitation if slash and squeeze is not None and excitation is not None else None


@cache
def squeeze_fields(text: str) -> dict[str, Any] | None:
    """`haar-d3-all-each` -> the fields of its left side; None if the text has no such form. Not to be changed."""
    match = _SQUEEZE.fullmatch(text)
    if match is None:
        return None
    if match["squeeze"]:
        return {"squeeze": match["squeeze"], "each": bool(match["plain_each"])}
    if match["seed"]:
        return {"squeeze": "ortho", "seed": int(match["seed"])}
    if match["frequencies"]:
        return {"squeeze": "dct", "selection": match["frequencies"], "each": bool(match["dct_each"])}
    return {
        "squeeze": "wavelet",
        "wavelet": match["wavelet"],
        "depth": int(match["depth"]),
        "selection": match["bands"],
        "statistic": "energy" if match["energy"] else "mean",
        "each": bool(match["each"]),
    }


@cache
def excitation_fields(text: str) -> dict[str, Any] | None:
    """`mlp-r16-bias` -> the fields of its right side; None if the text has no such form. Not to be changed."""
    name, *words = text.split("-")
    fields: dict[str, Any] = {"excitation": name}
    for word in words:
        if word in _WORDS:
            field, value = _WORDS[word]
        elif re.fullmatch(r"[rkg][0-9]{1,6}", word):
            field, value = _NUMBERS[word[0]], int(word[1:])
        else:
            return None
        if field in fields:
            return None
        fields[field] = value
    return fields if name else None


def _no_design(text: str) -> str:
    return (
        f"design {text[:200]!r} is not a design text. {_nearest(text)} A design is SQUEEZE/EXCITATION[@PLACEMENT], as "
        f"avg/mlp-r16, avg+std/cfc, dct-top16-each/affine or haar-d3-all-energy/conv1d-k3@mid; or a block, as simam or "
        f"ema-g32; or none. Squeezes: {', '.join(SQUEEZES[1:])}; excitations: {', '.join(EXCITATIONS)}; blocks: "
        f"{', '.join(BLOCKS)}; placements: {', '.join(PLACEMENTS)}."
    )


def _nearest(text: str) -> str:
    """Did-you-mean, from the presets and the default space."""
    import difflib

    from search_space.presets import PRESETS

    text = text.strip().lower()[:100]
    if text in PRESETS:
        return f"It is the name of a preset: find_design({text!r}), or {str(PRESETS[text])!r}."
    meant = _spellings()
    near = [f"{text}/mlp-r16"] if _is_squeeze(text) else difflib.get_close_matches(text, meant, n=1, cutoff=0.5)
    return f"Nearest valid spelling: {meant.get(near[0], near[0])}." if near else ""


def _is_squeeze(text: str) -> bool:
    fields = squeeze_fields(text)
    if fields is None:
        return False
    try:
        return bool(AttentionDesign(**fields, excitation="fc").squeeze)
    except DesignError:
        return False


@cache
def _spellings() -> dict[str, str]:
    """{what may be typed: what it should be}."""
    from search_space.presets import NICKNAMES, PRESETS
    from search_space.space import Space

    texts = [*PRESETS, *map(str, PRESETS.values()), *map(str, Space().designs())]
    return {text: text for text in texts} | NICKNAMES
