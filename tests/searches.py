"""Searches of a small space on tiny images, with the defaults that tests of searches share."""

from typing import Any

from results import Row, Store
from search import search
from search_space import Space
from trainers import PROXY, ImageData

SPACE = Space(squeeze=("none", "avg", "max", "dct"), frequencies=("low2", "top2", "top4"), reduction=(4, 8))
RECIPE = PROXY.changed(epochs=1, batch_size=60, crop_padding=1)
FACTS = {"precision": "float32", "hardware": "none", "versions": {}, "commit": None, "split": "validation"}
"""Of an outcome that was not trained."""


def run(store: Store, data: ImageData, space: Space = SPACE, **options: Any) -> list[Row]:
    """`search.search` of four trials by a cheap sampler, unless `options` say otherwise."""
    usual = {"trials": 4, "sampler": "tpe", "backbone": "resnet8", "recipe": RECIPE}
    usual |= {"precision": "float32", "fused": False}  # nothing to measure
    found: list[Row] = search(space, data=data, store=store, **usual | options)
    return found
