"""Confirmations of trainings that take no time and whose truth is known."""

import hashlib
from dataclasses import replace

import numpy as np

from search import confirm as confirm_module
from search import failures
from search import objective as objective_module
from search.confirm import Asked, begin, confirm, find
from search_space import find_design
from trainers import PROXY
from trainers.outcome import Outcome

RECIPE = PROXY.changed(epochs=4, batch_size=60, crop_padding=1)
TRUTH = {"max/conv1d": 0.80, "avg/conv1d": 0.60, "avg/mlp-r4": 0.60, "avg/mlp-r16": 0.58, "none": 0.50}
FACTS = {"precision": "float32", "hardware": "none", "versions": {"torch": "2"}, "commit": None}


class World:
    """Trainings that give the truth of a design and a luck of their own; counted, and made to fail on demand."""

    def __init__(self, monkeypatch, sd: float = 0.01) -> None:
        self.sd, self.trained, self.fails, self.stop_after = sd, [], {}, None
        monkeypatch.setattr(objective_module, "train", self.train)

    def train(self, design, data, *, recipe, seed, split, on_epoch=None, **_):
        if len(self.trained) == self.stop_after:
            raise KeyboardInterrupt
        text = str(design)
        self.trained.append((text, seed, split, recipe.name))
        if (text, seed) in self.fails:
            failure = self.fails[text, seed]
            return Outcome(status="failed", failure=failure, error=f"Traceback\nError: {failure}", split=split, **FACTS)
        drawn = np.random.default_rng(int(hashlib.sha256(f"{text} {seed} {split}".encode()).hexdigest()[:8], 16))
        accuracy = float(np.clip(TRUTH[text] + self.sd * drawn.normal(), 0, 1))
        curves = [{"epoch": n, "train_loss": 1.0, "accuracy": accuracy, "loss": 1.0} for n in (1, 2)]
        for record in curves:
            if on_epoch is not None:
                on_epoch(record)
        facts = {"accuracy": accuracy, "loss": 1 - accuracy, "curves": curves, "seconds": 1.0}
        facts["epochs_trained"] = float(recipe.epochs)
        return Outcome(status="complete", split=split, **facts, **FACTS)


def pretend(monkeypatch) -> World:
    """No training takes time, nor does waiting for one."""
    monkeypatch.setattr(confirm_module, "_POLL_SECONDS", 0.02)
    at_once = replace(failures.POLICIES["oom"], again=(0.0,))  # tried again, but not a second later
    monkeypatch.setitem(failures.POLICIES, "oom", at_once)
    return World(monkeypatch)


def searched(setting, store):
    """What a search left: a lucky seed of each design; and the frame of it."""
    for text, lucky in (("avg/conv1d", 0.9), ("max/conv1d", 0.85), ("avg/mlp-r4", 0.7), ("avg/mlp-r16", 0.4)):
        running = setting.row(find_design(text), 7)
        store.finish(replace(running, status="complete", accuracy=lucky, loss=1.0, seconds=1.0))
    return store.frame()


def confirmed(setting, store, **asked):
    words = Asked(**{"top": 3, "seeds": 4, "report_seeds": 3} | asked)
    plan = find(words, setting.context, store) or begin(words, setting, store, searched(setting, store))
    return plan, confirm(plan, setting, store)


def on_test(setting, **changes):
    return replace(setting, recipe=PROXY.changed(**({"epochs": 6, "batch_size": 60} | changes)), split="test")


SMALL = ("--backbone", "resnet8", "--image-size", 12)
FLOAT = ("--precision", "float32")
SETTINGS = ("--set", "batch_size=6", "--set", "crop_padding=1")
