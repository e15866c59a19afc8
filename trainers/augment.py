"""Random crops and mirror images of whole batches, on the device the images are on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, *, pad: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Crop each image at a random place of its zero-padded self and, if `flip`, mirror half of them left to right.

    The random numbers are drawn on the generator's device, so one seed can give the same batches everywhere.

    Args:
        images: uint8 [B, 3, H, W].
        pad: zeros added on every side, in pixels.

    Returns:
        uint8 [B, 3, H, W], contiguous.
    """
    B = len(images)
    device = generator.device
    offsets = torch.randint(0, 2 * pad + 1, (2, B), generator=generator, device=device)
    mirrored = torch.zeros(B, dtype=torch.bool, device=device)
    if flip:
        mirrored = torch.rand(B, generator=generator, device=device) < 0.5
    return crop_and_mirror(images, pad, offsets.to(images.device), mirrored.to(images.device))


def crop_and_mirror(images: Tensor, pad: int, offsets: Tensor, mirrored: Tensor) -> Tensor:
    """Crop image b at row offsets[0, b] and column offsets[1, b] of its padded self; mirror it where mirrored[b].

    Both are one gather: a mirrored image reads its columns backwards. On a CPU core this is twice as fast as windows
    (`unfold`) followed by a flip (0.23 against 0.43 ms for 64 images of 32 px).

    Args:
        images: [B, C, H, W]; offsets: int64 [2, B] in 0..2 pad; mirrored: bool [B].
    """
    B, C, H, W = images.shape
    rows = offsets[0, :, None] + torch.arange(H, device=images.device)  # [B, H]
    columns = torch.arange(W, device=images.device)
    columns = offsets[1, :, None] + torch.where(mirrored[:, None], W - 1 - columns, columns)  # [B, W]
    pixels = (rows[:, :, None] * (W + 2 * pad) + columns[:, None, :]).view(B, 1, H * W)
    padded = F.pad(images, (pad, pad, pad, pad)).flatten(2)
    return padded.gather(2, pixels.expand(-1, C, -1)).view(B, C, H, W)


def normalise(
    images: Tensor,
    mean: Tensor,
    std: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """(images / 255 - mean) / std as `dtype` in `memory_format`; computed in float32.

    Args:
        images: uint8 [B, 3, H, W]; mean, std: float [3] in 0..1, on the same device. A channel that never changes
            (std = 0) comes out as zeros.
    """
    scale = 1 / (255 * std.clamp_min(1 / 255))  # below one grey level there is nothing to scale up
    shift = -mean * 255 * scale
    # channel by channel, then into the layout: on a CPU a third of the time of computing in channels_last
    values = images.float().mul_(scale[:, None, None]).add_(shift[:, None, None])
    return values.to(dtype, memory_format=memory_format)
