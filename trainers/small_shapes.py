"""The shapes of the ResNets for small images. Imports no torch: who only asks for the sizes of maps need not wait."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """Blocks and channels of each stage; the maps of each are half as wide as those before."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    is_bottleneck: bool = False

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels at the end of each stage's blocks: of a bottleneck four times its own."""
        return tuple((4 if self.is_bottleneck else 1) * width for width in self.widths)


_BASIC = (64, 128, 256, 512)
# 6n + 2 layers with 16, 32, 64 channels (He et al. 2016, section 4.2); the ImageNet shapes with a 3x3 stem
SMALL = {f"resnet{6 * n + 2}": Shape((n, n, n), (16, 32, 64)) for n in (1, 3, 5, 9, 18)} | {
    "resnet18-cifar": Shape((2, 2, 2, 2), _BASIC),
    "resnet34-cifar": Shape((3, 4, 6, 3), _BASIC),
    "resnet50-cifar": Shape((3, 4, 6, 3), _BASIC, is_bottleneck=True),
}
