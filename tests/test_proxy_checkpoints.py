"""Checkpoints of a proxy training: never believed when damaged or another's, never missed more than they must be."""

import logging
import os
import pickle
import random
import re

import pytest
import torch
from conftest import make_blobs
from proxy_runs import RECIPE, facts, run

from search_space import PRESETS
from trainers import checkpoint
from trainers.outcome import TrialTimeout


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials" / "one.pt"


def interrupt(at, error=KeyboardInterrupt):
    """An `on_step` that raises at its `at`-th call."""
    calls = iter(range(1, 1_000_000))

    def on_step():
        if next(calls) == at:
            raise error()

    return on_step


@pytest.mark.parametrize("error", [KeyboardInterrupt, TrialTimeout])
def test_a_rung_that_was_cut_off_in_its_decay_goes_on_from_its_trunk(blobs, path, error):
    """Oracle: the 22 steps less the trunk's 16, and the outcome of a run that nobody disturbed."""
    try:
        assert run(blobs, until=2, checkpoint=path, on_step=interrupt(20, error)).failure == "timeout"
    except KeyboardInterrupt:
        assert error is KeyboardInterrupt
    again = run(blobs, until=2, checkpoint=path)
    assert again.epochs_trained == 6 / 11
    assert facts(again) == facts(run(blobs, until=2))


def test_a_checkpoint_that_is_too_far_on_is_not_used_and_not_lost(blobs, path, caplog):
    run(blobs, until=4, checkpoint=path)
    before = path.read_bytes()
    shorter = run(blobs, until=2, checkpoint=path)
    assert shorter.epochs_trained == 2 and facts(shorter) == facts(run(blobs, until=2))
    assert path.read_bytes() == before and not caplog.records


def test_without_a_checkpoint_a_rung_begins_at_the_start_and_nobody_is_warned(blobs, path, caplog):
    outcome = run(blobs, until=2, checkpoint=path)
    assert outcome.epochs_trained == 2 and path.exists() and not caplog.records


OTHERS = {
    "design": PRESETS["eca"],
    "backbone": "resnet20",
    "recipe": RECIPE.changed(weight_decay=1e-3),
    "seed": 1,
    "split": "test",
    "precision": "bfloat16",
}


@pytest.mark.parametrize("what", [*OTHERS, "data"])
def test_a_checkpoint_of_another_training_is_not_used_and_a_warning_names_both(blobs, path, caplog, what):

    run(blobs, until=1, checkpoint=path)
    data = make_blobs(seed=1) if what == "data" else blobs
    options = {} if what == "data" else {what: OTHERS[what]}
    other = run(data, until=1, checkpoint=path, **options)
    assert other.status == "stopped" and other.epochs_trained == 1
    [warning] = caplog.records
    there, given = re.findall(r"(?:there|given): (.*)", warning.getMessage())
    assert there != given and "seed 0, data blobs0 at 8 px" in there and warning.levelno == logging.WARNING
    caplog.clear()
    assert run(data, until=1, checkpoint=path, **options).epochs_trained < 1 and not caplog.records  # now it is its own


def test_a_longer_recipe_goes_on_from_the_rungs_of_a_shorter(blobs, path):
    """The trunk knows no end: how long the recipe is, is no part of it."""
    run(blobs, recipe=RECIPE.changed(epochs=4), until=2, checkpoint=path)
    assert facts(run(blobs, checkpoint=path)) == facts(run(blobs))


def flip_a_bit(content, seed):
    place = random.Random(seed).randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << seed % 8]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "text": lambda content: b"no checkpoint",
    "a pickle": lambda content: pickle.dumps({"identity": "x"}),
    "without its last byte": lambda content: content[:-1],
    **{f"bit {seed}": lambda content, seed=seed: flip_a_bit(content, seed) for seed in range(10)},
}


@pytest.fixture(scope="module")
def kept(blobs, tmp_path_factory):
    """A whole checkpoint, and the outcome that every later call must give."""
    path = tmp_path_factory.mktemp("kept") / "one.pt"
    recipe = RECIPE.changed(epochs=2)
    run(blobs, recipe=recipe, until=1, checkpoint=path)
    return path.read_bytes(), facts(run(blobs, recipe=recipe))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_never_changes_a_result(blobs, path, kept, caplog, damage):
    """Oracle: the undisturbed run. A bit in the padding between the archive's parts harms nothing."""
    content, expected = kept
    path.parent.mkdir()
    path.write_bytes(DAMAGES[damage](content))
    outcome = run(blobs, recipe=RECIPE.changed(epochs=2), checkpoint=path)
    assert facts(outcome) == expected
    assert (outcome.epochs_trained == 2) == ("is damaged" in caplog.text)
    assert "is damaged" in caplog.text or damage.startswith("bit")


def test_a_checkpoint_executes_nothing(blobs, path, caplog, tmp_path):
    """Oracle: the file that the code inside would make."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path.parent.mkdir()
    torch.save({"identity": Bomb()}, path)
    assert run(blobs, until=1, checkpoint=path).status == "stopped"
    assert "is damaged" in caplog.text and not (tmp_path / "executed").exists()


def test_a_full_disk_costs_the_checkpoint_but_not_the_measurement(blobs, path, caplog, monkeypatch):
    run(blobs, until=2, checkpoint=path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", full)
        outcome = run(blobs, until=4, checkpoint=path)
    assert facts(outcome) == facts(run(blobs, until=4))
    assert "one.pt can't be written" in caplog.text and "No space left" in caplog.text
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]  # and its room is free again
    assert run(blobs, checkpoint=path).epochs_trained == (88 - 16) / 11


def test_a_checkpoint_is_replaced_whole_and_what_a_killed_process_left_is_swept(blobs, path):
    """Oracle: whoever has the old file open still reads it whole, so a kill at any moment leaves one of the two."""
    run(blobs, until=2, checkpoint=path)
    path.with_name("one.pt.0123abcd.part").write_bytes(b"half of one")
    path.with_name("two.pt.0123abcd.part").write_bytes(b"another trial's")
    before = path.read_bytes()
    with path.open("rb") as old:
        run(blobs, until=4, checkpoint=path)
        assert old.read() == before != path.read_bytes()
    assert sorted(file.name for file in path.parent.iterdir()) == ["one.pt", "two.pt.0123abcd.part"]
