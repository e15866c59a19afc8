"""Published designs as points of the space, a line each: name, text, paper. All sit after the last norm of a block."""

from search_space.design import AttentionDesign, DesignError, parse

PRESETS: dict[str, AttentionDesign] = {
    "none": parse("none"),
    "se": parse("avg/mlp-r16"),  # Hu et al., CVPR 2018, eq. 2-4; without biases, as most PyTorch code has it
    "eca": parse("avg/conv1d"),  # Wang et al., CVPR 2020, eq. 9 and 12 (the paper's kernel rule)
    "fca-lf": parse("dct-low2/mlp-r16"),  # Qin et al., ICCV 2021, eq. 9-12; lowest frequencies, best K = 2
    "fca-ts": parse("dct-top16/mlp-r16"),  # the same, two-step selection, best K = 16
}


def find_design(name_or_text: str) -> AttentionDesign:
    """A preset by name, else a design by its text form. Raises `DesignError` naming the nearest valid spelling."""
    preset = PRESETS.get(name_or_text.strip().lower())
    if preset is not None:
        return preset
    try:
        return parse(name_or_text)
    except DesignError as error:
        raise DesignError(f"{error} Presets: {', '.join(PRESETS)}.") from None
