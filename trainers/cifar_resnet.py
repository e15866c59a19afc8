"""ResNets for small images, built of timm's blocks."""

from __future__ import annotations

from torch import Tensor, nn

from trainers.small_shapes import Shape
from trainers.timm_import import prepare

prepare()
from timm.models.resnet import BasicBlock, Bottleneck  # noqa: E402


class CifarResNet(nn.Module):
    """ResNet for small images: 3x3 stem, no max pooling, timm's blocks, 1x1-convolution shortcuts (option B)."""

    def __init__(self, shape: Shape, num_classes: int) -> None:
        super().__init__()
        block: type[BasicBlock | Bottleneck] = Bottleneck if shape.is_bottleneck else BasicBlock
        depths, widths = shape.depths, shape.widths
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
