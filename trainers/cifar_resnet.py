"""ResNets for small images. Their blocks have the modules and names of timm's, whose import takes a second."""

from __future__ import annotations

from torch import Tensor, nn

from trainers.small_shapes import Shape


class _Block(nn.Module):
    """Convolutions, attention in the slot `se`, the shortcut `downsample` if it is not the identity."""

    se: nn.Module | None
    downsample: nn.Module | None

    def _finish(self, branch: Tensor, x: Tensor, activation: nn.Module) -> Tensor:
        if self.se is not None:
            branch = self.se(branch)
        branch += x if self.downsample is None else self.downsample(x)
        out: Tensor = activation(branch)
        return out


class BasicBlock(_Block):
    """Two 3x3 convolutions (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = None
        self.act2 = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        branch = self.act1(self.bn1(self.conv1(x)))
        return self._finish(self.bn2(self.conv2(branch)), x, self.act2)


class Bottleneck(_Block):
    """A 3x3 convolution, which has the stride, between two of 1x1 (He et al. 2016, figure 5 right)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.se = None
        self.act3 = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        branch = self.act1(self.bn1(self.conv1(x)))
        branch = self.act2(self.bn2(self.conv2(branch)))
        return self._finish(self.bn3(self.conv3(branch)), x, self.act3)


class CifarResNet(nn.Module):
    """ResNet for small images: 3x3 stem, no max pooling, 1x1-convolution shortcuts (option B)."""

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
