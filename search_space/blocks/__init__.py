"""The published attention modules that are no squeeze-excite-scale product, by the name a design text gives them."""

from search_space.blocks.base import Block
from search_space.blocks.bridge import Bridge
from search_space.blocks.cat import CAT
from search_space.blocks.cbam import CBAM
from search_space.blocks.coordinate import Coordinate
from search_space.blocks.ema import EMA
from search_space.blocks.sge import SGE
from search_space.blocks.simam import SimAM
from search_space.blocks.triplet import Triplet
from search_space.blocks.wavenet_ae import WaveNetAE

BLOCKS: dict[str, type[Block]] = {
    "simam": SimAM,
    "ema": EMA,
    "cbam": CBAM,
    "cat": CAT,
    "coordinate": Coordinate,
    "triplet": Triplet,
    "sge": SGE,
    "ba": Bridge,
    "wavenet-ae": WaveNetAE,
}

__all__ = ["BLOCKS", "Block"]
