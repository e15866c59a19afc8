"""Whether what was exported says what the network says: the largest difference of logits, and how large logits are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.augment import normalise

LARGEST = 1e-5
"""Difference of logits up to 1; of larger ones it is a share of the largest, for float32 has 7 digits."""

BATCHES = (1, 3)
"""None of them the batch that the graphs were traced with."""

IMAGES = "generated images with the spectrum of photographs (amplitude 1/f), normalised as in config.json"


class ParityError(Exception):
    """An export that does not compute what the network computes."""


@dataclass(frozen=True, slots=True)
class Parity:
    """`difference` is the largest of all logits, `largest` the largest logit, each in absolute value."""

    name: str
    batch: int
    difference: float
    largest: float

    @property
    def allowed(self) -> float:
        return LARGEST * max(1.0, self.largest)

    def __str__(self) -> str:
        return (
            f"{self.name}, batch {self.batch}: largest difference of logits {self.difference:.1e} "
            f"(allowed {self.allowed:.1e}; largest logit {self.largest:.2g})"
        )


def compare(
    name: str, network: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], images: Tensor, *, exact: bool
) -> list[Parity]:
    """One record a batch size. Raises `ParityError` where they differ by more than allowed; by a bit with `exact`."""
    found = []
    for batch in BATCHES:
        with torch.inference_mode():
            expected, given = network(images[:batch]), other(images[:batch])
        if given.shape != expected.shape:
            raise ParityError(f"{name}, batch {batch}: logits {tuple(given.shape)} instead of {tuple(expected.shape)}")
        difference = (given - expected).abs().max().item() if expected.isfinite().all() else float("nan")
        record = Parity(name, batch, difference, expected.abs().max().item())
        if exact and not torch.equal(given, expected):
            raise ParityError(f"{record}: not the same bits")
        if not difference <= record.allowed:  # NaN too
            raise ParityError(str(record))
        found.append(record)
    return found


def photograph_like(count: int, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalised float32 [count, 3, S, S]: noise whose amplitude falls as 1/f (Field 1987), as 8-bit images around the
    mean; the same at every call."""
    noise = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    frequency = (rows**2 + columns**2).sqrt().clamp(min=1 / size)
    pixels = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(size, size))
    pixels = F.layer_norm(pixels, (size, size))
    middle, spread = (torch.tensor(values) for values in (mean, std))
    images = (255 * (middle[:, None, None] + spread[:, None, None] * pixels)).clamp(0, 255).round()
    return normalise(images.to(torch.uint8), middle, spread)
