"""Searches that train nothing: for tests of what is said about them, and of what is made of their rows."""

from functools import partial

import searches

from search import objective as objective_module
from trainers import PROXY
from trainers.outcome import Outcome

RECIPE = PROXY.changed(epochs=9, batch_size=60, crop_padding=1)
_FACTS = {"precision": "float32", "hardware": "none", "versions": {"torch": "2"}, "commit": None}


def quality(design, until: int) -> float:
    """What every training of `pretend` gives: a function of the design and of how far it was trained."""
    return 0.5 + 0.1 * (design.squeeze == "dct") + 0.1 * (design.excitation == "conv1d") + until / 100


def pretend(monkeypatch, *, fails=lambda design: False, seconds: float = 2.0):
    """Trainings take no time and say that an epoch took `seconds`; a design that `fails` runs into a NaN."""

    def train(design, *_, recipe, until=None, on_epoch=None, **__):
        until = recipe.epochs if until is None else until
        if fails(design):
            return Outcome(
                status="failed", failure="nan", error="Traceback\nNotFiniteError: a cause", split="validation", **_FACTS
            )
        accuracy = quality(design, until)
        curves = [
            {"epoch": epoch, "train_loss": 1.0, "accuracy": accuracy, "loss": 1.0} for epoch in range(1, until + 1)
        ]
        for record in curves:
            if on_epoch is not None:
                on_epoch(record)
        facts = {"accuracy": accuracy, "loss": 1 - accuracy, "curves": curves, "split": "validation"}
        facts |= {"seconds": seconds * until, "epochs_trained": float(until)}
        return Outcome(status="stopped" if until < recipe.epochs else "complete", **facts, **_FACTS)

    monkeypatch.setattr(objective_module, "train", train)


run = partial(searches.run, trials=9, recipe=RECIPE)
