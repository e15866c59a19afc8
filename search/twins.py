"""Which rows are of a design: other spellings may be the same network (`avg/conv1d-k3` is ECA wherever C is small)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from search_space import AttentionDesign, Layered

COLUMNS = ("key", "backbone", "image_size", "num_classes", "network_key")
"""What `rows_of` needs of a frame."""


def keys_like(keys: Iterable[str], wanted: AttentionDesign | Layered) -> list[str]:
    """Those of the keys that could be this design on some network, its own among them if it is there."""
    own = wanted.key
    stem = _stem(own)
    return [key for key in keys if key == own or _stem(key) == stem]


def rows_of(frame: pd.DataFrame, wanted: AttentionDesign | Layered) -> pd.Series[bool]:
    """Whether each row is of this design."""
    network = ["backbone", "image_size", "num_classes"]
    same = frame["key"] == wanted.key
    exact = frame[same]
    same |= frame["network_key"].isin(exact["network_key"].unique())
    # where the design itself was trained that is all; elsewhere its network has to be resolved, which needs PyTorch
    told = set(exact[network].drop_duplicates().itertuples(index=False, name=None))
    like = frame[~same & frame["key"].isin(keys_like(frame["key"].unique(), wanted))]
    untold = [place not in told for place in like[network].itertuples(index=False, name=None)]
    twins = like[untold]
    if twins.empty:
        return same
    from search.recording import key_on
    from trainers.factories import is_factory

    for _, rows in twins.groupby(network):
        backbone, image_size, classes = rows[network].iloc[0]
        if is_factory(backbone):
            continue  # a storage may come from anywhere: no code that its rows name is run
        try:
            key = key_on(wanted, backbone, int(image_size), int(classes), scale="unit")
        except UserError:
            continue  # the design does not exist on that network
        same.loc[rows.index] = rows["network_key"] == key
    return same


@cache
def _stem(key: str) -> str:
    """What keys must share to be one network: reduction, kernel and groups follow from the width, places may agree."""
    return " | ".join(sorted({re.sub("-[rkg][0-9]+", "", one) for one in key.split(" | ")}))
