"""One process that searches with attnas; what it is asked comes as JSON."""

from __future__ import annotations

import json
import sys

from benchmarks.engines.small import BACKBONE, RECIPE, small_data
from results import open_store
from search import search


def main() -> None:
    asked = json.loads(sys.argv[1])
    url = asked.pop("storage")
    with open_store(url) as store:
        search(
            store=store,
            data=small_data(),
            backbone=BACKBONE,
            recipe=RECIPE.changed(epochs=asked.pop("epochs", 1)),
            warm_start_from="none",
            **{"halving": False} | asked,
        )


if __name__ == "__main__":
    main()
