"""The picture of one training: losses and accuracies by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from results.figure_style import BLUE, INK, MUTED, ORANGE, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOSSES = (("train_loss", "training", ORANGE), ("loss", "{split}", BLUE))
_ACCURACIES = (("accuracy", "top-1", BLUE), ("top5", "top-5", MUTED))


def run_figure(curves: Sequence[Mapping[str, float]], *, split: str, caption: str | None = None) -> Figure:
    """Of the records of its epochs. The training loss is of images that are augmented and mixed, with smoothed labels,
    so that it may lie above that of `split`."""
    from matplotlib.ticker import MaxNLocator

    with style():
        figure = new_figure(8.4, 3.5, caption)
        losses, accuracies = figure.subplots(1, 2)
        for axes, lines, factor in ((losses, _LOSSES, 1), (accuracies, _ACCURACIES, 100)):
            for name, words, colour in lines:
                points = [(record["epoch"], record[name] * factor) for record in curves if name in record]
                if points:
                    marker = "o" if len(points) == 1 else ""
                    axes.plot(*zip(*points, strict=True), color=colour, label=words.format(split=split), marker=marker)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.margins(x=0.02)
            axes.legend(loc="best", labelcolor=INK)
            axes.tick_params(color=MUTED)
        losses.set_ylabel("loss")
        accuracies.set_ylabel(f"{split} accuracy (%)")
    return figure
