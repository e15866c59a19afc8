"""The maps of our networks for small images, told without PyTorch: to import it takes longer than to make a report."""

from __future__ import annotations

from search_space import AttentionDesign, Site

# channels at the end of each stage; a test holds them against `trainers.sites`
_STAGES: dict[str, tuple[int, ...]] = {f"resnet{layers}": (16, 32, 64) for layers in (8, 20, 32, 56, 110)}
_STAGES |= dict.fromkeys(("resnet18-cifar", "resnet34-cifar"), (64, 128, 256, 512))
_STAGES |= {"resnet50-cifar": (256, 512, 1024, 2048)}


def small_maps(design: AttentionDesign, backbone: str, image_size: int) -> tuple[Site, ...] | None:
    """The first place of each size of map; None for another network, or a design that is not at the end of a branch."""
    if backbone not in _STAGES or design.place != "after-norm":
        return None
    sides = [-(-image_size // 2**stage) for stage in range(len(_STAGES[backbone]))]
    return tuple(Site(channels, side, side) for channels, side in zip(_STAGES[backbone], sides, strict=True))
