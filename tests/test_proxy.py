"""The proxy trainer on images it can learn in a blink."""

import errno
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from search_space import NONE, PRESETS, AttentionDesign, UserError
from trainers import PROXY, train
from trainers import proxy as module
from trainers.image_data import Split
from trainers.outcome import TrialTimeout, failure_class, observe
from trainers.ways import pick_precision

RECIPE = PROXY.changed(epochs=2, batch_size=16, crop_padding=1)


def run(data, design=PRESETS["se"], **options):
    return train(design, data, **{"backbone": "resnet8", "recipe": RECIPE, "precision": "float32"} | options)


def test_easy_classes_are_learned_and_the_outcome_says_where_and_how(blobs):
    seen = []
    outcome = run(blobs, recipe=RECIPE.changed(epochs=4), on_epoch=seen.append)
    assert outcome.status == "complete" and outcome.failure is None
    assert outcome.accuracy > 0.9  # four colours: chance is 0.25
    assert [record["epoch"] for record in outcome.curves] == [1, 2, 3, 4] and seen == outcome.curves
    assert outcome.curves[-1]["loss"] == outcome.loss < outcome.curves[0]["loss"]
    assert outcome.split == "validation" and outcome.precision == "float32"
    assert outcome.hardware and outcome.versions["torch"] == torch.__version__
    assert outcome.seconds > 0 and outcome.epochs_trained == 4


def test_permuted_labels_give_chance(blobs):
    """Oracle: 20 validation images of 4 balanced classes, labels unrelated to images."""
    labels = blobs.train.labels[torch.from_numpy(np.random.default_rng(0).permutation(len(blobs.train.labels)))]
    shuffled = replace(blobs, train=Split(blobs.train.images, labels))
    accuracy = np.mean([run(shuffled, seed=seed).accuracy for seed in range(3)])
    assert accuracy < 0.6  # 60 draws at 0.25: six standard deviations below


def test_a_seed_repeats_to_the_bit_and_another_differs(blobs):
    def facts(outcome):
        return [{key: value for key, value in record.items() if key != "seconds"} for record in outcome.curves]

    first, again, other = (facts(run(blobs, seed=seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_the_callers_random_state_is_left_alone(blobs):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(blobs, recipe=RECIPE.changed(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_accuracy_and_loss_are_those_of_the_named_split(blobs):
    """Oracle: a validation and a test split with opposite labels cannot both be right."""
    wrong = replace(blobs, test=Split(blobs.validation.images, (blobs.validation.labels + 1) % 4))
    recipe = RECIPE.changed(epochs=4)
    validation, test = run(wrong, recipe=recipe), run(wrong, recipe=recipe, split="test")
    assert validation.accuracy > 0.9 and test.accuracy < 0.1 and test.loss > validation.loss
    assert test.split == "test"


def test_a_training_that_turns_nan_is_a_failed_outcome_of_class_nan(blobs):
    outcome = run(blobs, recipe=RECIPE.changed(learning_rate=1e30))
    assert (outcome.status, outcome.failure, outcome.accuracy) == ("failed", "nan", None)
    assert "NotFiniteError" in outcome.error


def test_a_training_that_runs_out_of_memory_is_a_failed_outcome_of_class_oom(blobs):
    """A real allocation that no machine can meet, by the real CPU allocator."""

    class Huge(nn.Module):
        def forward(self, x):
            return x + torch.empty(2**60, dtype=torch.uint8).sum()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "initialised", lambda *_, **__: nn.Sequential(nn.Conv2d(3, 4, 1), Huge()))
        outcome = run(blobs)
    assert (outcome.status, outcome.failure) == ("failed", "oom")
    assert failure_class(torch.OutOfMemoryError()) == "oom"


def test_a_bug_is_a_failed_outcome_with_its_traceback_and_a_users_error_is_raised(blobs):
    def broken(*_, **__):
        raise ZeroDivisionError("inside the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "initialised", broken)
        outcome = run(blobs)
    assert (outcome.status, outcome.failure) == ("failed", "bug")
    assert "inside the network" in outcome.error and "test_proxy.py" in outcome.error
    with pytest.raises(UserError, match="resnet9"):
        run(blobs, backbone="resnet9")
    with pytest.raises(UserError, match="depth"):
        run(blobs, design=AttentionDesign.parse("haar-d5-all/affine"))
    with pytest.raises(UserError, match="test"):
        run(replace(blobs, test=None), split="test")
    with pytest.raises(UserError, match="batch"):
        run(blobs, recipe=RECIPE.changed(batch_size=4096))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "infra"),
        (ConnectionResetError("by the peer"), "infra"),
        (FileNotFoundError("gone"), "infra"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "oom"),
        (MemoryError(), "oom"),
        # cudaGetErrorString of CUDA 12, as torch raises it
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "infra"),
        (RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), "infra"),
        (RuntimeError("No CUDA GPUs: no CUDA-capable device is detected"), "infra"),
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RuntimeError("CUDA error: device-side assert triggered"), "bug"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "bug"),
        (ValueError("uncorrectable ECC error"), "bug"),
        (TrialTimeout("60 s"), "timeout"),
    ],
)
def test_a_failure_is_of_the_class_of_whoever_can_mend_it(blobs, error, failure):
    """The machine (infra), the size (oom), the time given (timeout), or us (bug)."""

    def fail():
        raise error

    outcome = run(blobs, on_step=fail)
    assert (outcome.status, outcome.failure, outcome.accuracy) == ("failed", failure, None)
    assert type(error).__name__ in outcome.error


class Counter:
    """Counts its calls and raises at one of them."""

    def __init__(self, error=None, at=0):
        self.error, self.at, self.calls = error, at, 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.at:
            raise self.error


def test_on_step_is_called_before_each_step_and_each_batch_of_the_measuring(blobs):
    """Oracle: 180 images in whole batches of 16 are 11 steps; 600 images in batches of 500 are 2; twice."""
    many = replace(blobs, validation=Split(*(part.repeat(30, *[1] * (part.ndim - 1)) for part in pair(blobs))))
    counter = Counter()
    assert run(many, on_step=counter).status == "complete"
    assert counter.calls == 2 * (11 + 2)


def pair(data):
    return data.validation.images, data.validation.labels


def test_a_training_out_of_time_has_its_cost_and_the_epochs_that_it_finished(blobs):
    """Oracle: the 16th call comes after 11 steps, one batch of measuring and 3 more steps."""
    outcome = run(blobs, on_step=Counter(TrialTimeout("no time left"), at=16))
    assert (outcome.failure, len(outcome.curves), outcome.epochs_trained) == ("timeout", 1, 14 / 11)
    assert "no time left" in outcome.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, type("Leave", (BaseException,), {})])
def test_what_is_no_exception_goes_through_a_training(blobs, error):
    with pytest.raises(error):
        run(blobs, on_step=Counter(error(), at=5))


def test_a_trainer_without_an_effort_has_trained_the_records_of_this_call():
    def training():
        yield {"accuracy": 0.5, "loss": 1.0, "seconds": 9.0}

    facts = {"split": "test", "precision": "float32", "device": torch.device("cpu")}
    earlier = [{"accuracy": 0.1, "loss": 2.0, "seconds": 7.0}] * 3
    outcome = observe(training, earlier=earlier, seconds_before=7.0, **facts)
    assert (outcome.epochs_trained, len(outcome.curves), outcome.status) == (1.0, 4, "complete")
    assert 7.0 < outcome.seconds < 9.0


def test_bfloat16_learns_too_and_auto_picks_one_of_both(blobs):
    outcome = run(blobs, recipe=RECIPE.changed(epochs=4), precision="bfloat16")
    assert outcome.precision == "bfloat16" and outcome.accuracy > 0.9
    assert pick_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")
    with pytest.raises(UserError, match="float32, bfloat16"):
        pick_precision("int4", torch.device("cpu"))


@pytest.mark.parametrize(
    "text", ["max/conv1d", "std/affine", "energy/pfca", "dct-top4/mlp-r4", "db2-d1-all-energy-each/affine", "none"]
)
def test_every_kind_of_design_trains_in_both_precisions(blobs, text):
    for precision in ("float32", "bfloat16"):
        outcome = run(blobs, AttentionDesign.parse(text), recipe=RECIPE.changed(epochs=1), precision=precision)
        assert outcome.status == "complete" and math.isfinite(outcome.loss), outcome.error


def test_without_a_design_the_network_has_no_gate(blobs):
    assert run(blobs, NONE).status == "complete"
