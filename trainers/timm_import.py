"""Import timm beside a CPU-only torch.

timm needs torchvision, whose wheel is built for CUDA and refuses to import without its compiled operators. timm uses
none of them; declaring the schemas of the two that torchvision registers fake kernels for lets the import pass.
"""

from __future__ import annotations

import torch

_LIBRARY: torch.library.Library | None = None  # must outlive the import: its schemas go when it is collected


def prepare() -> None:
    """Call before any `import timm`. Anything but the known failure is raised as it is."""
    global _LIBRARY  # noqa: PLW0603
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _LIBRARY = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
