"""ResNets for small images, built of timm's blocks."""

from __future__ import annotations

from torch import Tensor, nn

from trainers.timm_import import prepare

prepare()
from timm.models.resnet import BasicBlock, Bottleneck  # noqa: E402


class CifarResNet(nn.Module):
    """ResNet for small images: 3x3 stem, no max pooling, timm's blocks, 1x1-convolution shortcuts (option B)."""

    def __init__(
        self, block: type[BasicBlock | Bottleneck], depths: list[int], widths: list[int], num_classes: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                out = width * block.expansion
                shortcut = None if stride == 1 and channels == out else _projection(channels, out, stride)
                blocks.append(block(channels, width, stride, shortcut))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def _projection(channels: int, out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


# 6n + 2 layers with 16, 32, 64 channels (He et al. 2016, section 4.2); the ImageNet shapes with a 3x3 stem
CIFAR: dict[str, tuple[type[BasicBlock | Bottleneck], list[int], list[int]]] = {
    **{f"resnet{6 * n + 2}": (BasicBlock, [n] * 3, [16, 32, 64]) for n in (1, 3, 5, 9, 18)},
    "resnet18-cifar": (BasicBlock, [2, 2, 2, 2], [64, 128, 256, 512]),
    "resnet34-cifar": (BasicBlock, [3, 4, 6, 3], [64, 128, 256, 512]),
    "resnet50-cifar": (Bottleneck, [3, 4, 6, 3], [64, 128, 256, 512]),
}
