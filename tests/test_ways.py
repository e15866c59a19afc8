"""How a training is carried out fastest: chosen from measurements, which are made once and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from conftest import make_blobs

from search.budget import Budget
from search.objective import Setting
from search_space import AttentionDesign, UserError
from trainers import train, ways
from trainers.cifar_resnet import CifarResNet
from trainers.learner import Learner
from trainers.recipe import Recipe
from trainers.small_shapes import Shape
from trainers.timed_steps import measure
from trainers.way import Way, default_way
from trainers.ways import FEW_STEPS, MANY_SECONDS, SOME_SECONDS, fastest, pick_precision, pick_way

CPU = torch.device("cpu")
PLAIN, ROWS = Way("float32", "contiguous"), Way("float32", "channels_last")
HALF = Way("bfloat16", "channels_last")
FUSED, HALF_FUSED = Way("float32", "contiguous", True), Way("bfloat16", "channels_last", True)
ROWS_FUSED = Way("float32", "channels_last", True)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({PLAIN: 1.0, HALF: 0.9}, PLAIN),  # bfloat16 costs digits: it must win by more than noise
        ({PLAIN: 1.0, HALF: 0.8}, HALF),
        ({PLAIN: 1.0, FUSED: 0.98}, PLAIN),  # as fast: the plainer
        ({PLAIN: 1.0, FUSED: 0.9}, FUSED),
        ({PLAIN: 1.0, ROWS: 0.8, FUSED: 0.78}, ROWS),
        ({HALF: 1.0}, HALF),
        ({PLAIN: 1.0, ROWS: 1.2, HALF: 0.8, FUSED: 0.7, HALF_FUSED: 0.6}, HALF_FUSED),
        ({PLAIN: 1.0, FUSED: 0.6, HALF: 0.8, HALF_FUSED: 0.55}, FUSED),
        ({FUSED: 0.8, HALF_FUSED: 0.6}, HALF_FUSED),
    ],
)
def test_the_fastest_way_is_chosen_and_the_plainer_of_two_that_are_as_fast(seconds, chosen):
    assert fastest(seconds) == chosen
    assert fastest(dict(reversed(seconds.items()))) == chosen


class Measured:
    """In the place of the measurement: what was asked for, and made-up seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.file = folder / "ways.json"
        self.asked: list[list[Way]] = []
        self.seconds = MANY_SECONDS / FEW_STEPS  # of a step in bfloat16
        self.faster: Way | None = None
        monkeypatch.setattr(ways, "measure", self)
        monkeypatch.setattr(ways.native_build, "problem", lambda: None)
        self.forget()

    def forget(self) -> None:
        """As a new process would."""
        ways._of_this_process.cache_clear()

    def __call__(self, among: Sequence[Way], *_: object) -> dict[Way, float]:
        self.asked.append(list(among))
        return {way: self._step(way) for way in among}

    def known(self) -> dict[str, float]:
        """Of the network that `picked` asks for."""
        return json.loads(self.file.read_text())[self._key()]

    def know(self, seconds: dict[str, float]) -> None:
        self.file.write_text(json.dumps(json.loads(self.file.read_text()) | {self._key(): seconds}))
        self.forget()

    def _key(self) -> str:
        return next(key for key in json.loads(self.file.read_text()) if key.endswith("batch 16"))

    def _step(self, way: Way) -> float:
        share = 1 + (way.precision == "float32") - 0.5 * way.fused
        return self.seconds * (share / 2 if way == self.faster else share)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    yield Measured(monkeypatch, tmp_path)
    ways._of_this_process.cache_clear()


@pytest.fixture
def compiling(monkeypatch):
    """As on CUDA, where fused blocks are compiled for each network."""
    monkeypatch.setattr(ways, "is_native", lambda device: False)


def picked(precision: str = "auto", fused: bool | None = None, name: str = "resnet8", steps: int = FEW_STEPS) -> Way:
    return pick_way(precision, fused, name=name, image_size=32, batch_size=16, steps=steps, device=CPU)


QUICK = [PLAIN, ROWS, HALF]
ALL_HALF = [HALF, HALF_FUSED]


def test_a_network_is_measured_once_for_all_processes_of_a_machine(measured):
    assert picked() == HALF_FUSED
    measured.forget()
    assert picked() == HALF_FUSED and picked("float32", False).precision == "float32"
    assert measured.asked == [QUICK, ALL_HALF]
    assert picked(name="resnet20") == HALF_FUSED
    assert len(measured.asked) == 4


def test_what_was_not_measured_yet_is_and_what_was_stays(measured, tmp_path):
    assert picked("float32", False).precision == "float32"
    assert picked("bfloat16", None) == HALF_FUSED
    kept = json.loads((tmp_path / "ways.json").read_text())
    assert len(kept) == 1 and len(measured.asked) == 3
    assert {"float32 contiguous", "float32 channels_last", "bfloat16 channels_last fused"} <= set(
        *map(set, kept.values())
    )


def test_few_steps_are_not_worth_a_measurement_of_their_network(measured):
    assert picked(steps=FEW_STEPS - 1) == HALF and picked("float32", steps=1) == PLAIN
    assert measured.asked == [[default_way("float32"), default_way("bfloat16")]]  # of the ResNet-8, for any network


def test_blocks_are_compiled_and_measured_only_for_as_much_training_as_wins_that_back(measured, compiling):
    measured.seconds /= 2
    assert picked() == HALF and measured.asked == [QUICK]
    assert picked(steps=2 * FEW_STEPS) == HALF_FUSED and measured.asked[-1] == ALL_HALF
    assert picked() == HALF_FUSED, "what is known is used"


def test_on_a_cpu_fused_blocks_are_measured_for_every_training_that_is_worth_a_measurement(measured):
    measured.seconds = 1e-6
    assert picked() == HALF_FUSED and measured.asked == [QUICK, ALL_HALF]


def test_fused_blocks_are_compiled_only_in_the_format_that_is_faster_without_them(measured):
    assert picked() == HALF_FUSED and measured.asked == [QUICK, ALL_HALF]
    measured.faster = PLAIN  # as fast as bfloat16, which costs digits
    assert picked(name="resnet20") == PLAIN and measured.asked[2:] == [QUICK, [PLAIN, FUSED, ROWS, ROWS_FUSED]]


def test_blocks_that_are_known_to_be_faster_are_used_where_that_wins_back_their_loading(measured, compiling):
    assert picked() == HALF_FUSED
    kept = {key: value * SOME_SECONDS / MANY_SECONDS for key, value in measured.known().items()}
    measured.know(kept)
    assert picked() == HALF_FUSED and picked(steps=FEW_STEPS - 1) == HALF
    measured.know({key: value * 0.99 for key, value in kept.items()})
    assert picked() == HALF


def test_a_way_that_is_said_keeps_its_measured_layout_however_short_the_training(measured):
    """As that of a worker, whose driver has decided for all of its trainings."""
    measured.seconds = 1e-6
    measured.faster = ROWS
    assert picked("float32", False) == ROWS
    assert picked("float32", False, steps=1) == ROWS and picked("float32", steps=1) == PLAIN


def test_what_was_decided_for_all_is_not_chosen_again(measured):
    """A state between rungs goes on only in its own way, whatever the cache says meanwhile."""
    recipe = Recipe(name="two", epochs=2, batch_size=16, learning_rate=0.05)
    setting = Setting(make_blobs(seed=0), "resnet8", recipe, device="cpu", chosen=ROWS)
    assert setting.way() == setting.decided(10**6).way() == ROWS and not measured.asked
    outcome = setting.train(AttentionDesign.parse("none"), 0)
    assert outcome.status == "complete" and outcome.precision == "float32" and not measured.asked


def test_many_short_trainings_of_a_process_are_worth_what_a_long_one_is(measured, compiling):
    recipe = Recipe(name="short", epochs=10, batch_size=18, learning_rate=0.05)
    setting = Setting(make_blobs(seed=0), "resnet8", recipe, device="cpu")  # 180 images: 100 steps
    measured.seconds = MANY_SECONDS / 900
    assert setting.decided(8).fused is False and setting.decided(9).fused is True


@pytest.mark.parametrize(
    ("budget", "trainings"),
    [
        ({"trials": 41}, 20),
        ({"trials": 1}, 1),
        ({"trials": None, "epochs": 100.0}, 5),
        ({"trials": 6, "epochs": 100.0}, 3),
        ({"trials": None, "seconds": 9.0}, 1),
        ({"trials": None, "seconds": 7200.0}, 10**6),
    ],
)
def test_a_budget_is_so_many_trainings_of_ten_epochs_for_each_of_two_workers(budget, trainings):
    assert Budget(**budget).trainings(workers=2, epochs=10) == trainings


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "null"])
def test_measurements_that_cannot_be_read_are_made_again(measured, tmp_path, caplog, content):
    (tmp_path / "ways.json").write_text(content)
    assert picked() == HALF_FUSED and "can't be read" in caplog.text
    measured.forget()
    assert picked() == HALF_FUSED and len(measured.asked) == 2


def test_without_a_place_to_keep_them_measurements_are_made_all_the_same(measured, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "file"))
    assert picked() == HALF_FUSED and "can't be written" in caplog.text


def test_a_network_without_a_block_that_can_be_fused_is_trained_as_it_is(tmp_path, monkeypatch, caplog):
    """A real measurement."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(ways.native_build, "problem", lambda: None)
    ways._of_this_process.cache_clear()
    options = {"name": "convnext_atto", "image_size": 32, "batch_size": 2, "steps": FEW_STEPS, "device": CPU}
    way = pick_way("float32", None, **options)
    assert way.precision == "float32" and not way.fused and not caplog.text
    with pytest.raises(UserError, match=r"--fuse"):
        pick_way("float32", True, **options)


def test_precision_is_measured_on_a_small_network_where_nothing_else_is_known(measured):
    assert pick_precision("auto", CPU) == "bfloat16" and pick_precision("float32", CPU) == "float32"
    with pytest.raises(UserError, match="float32, bfloat16"):
        pick_precision("int4", CPU)


def one_block(num_classes: int) -> CifarResNet:
    return CifarResNet(Shape(depths=(1,), widths=(8,)), num_classes)


def test_a_fused_training_has_the_curve_of_the_plain_one_and_its_row_says_so(tmp_path, monkeypatch):
    """Two epochs of one seed; float32 rounds otherwise in the sixth digit, which 20 steps make the third."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    ways._of_this_process.cache_clear()
    recipe = Recipe(name="two", epochs=2, batch_size=16, learning_rate=0.05)
    found = {}
    for fused in (False, True):
        found[fused] = train(
            AttentionDesign.parse("avg/affine"),
            make_blobs(seed=0),
            backbone="test_ways:one_block",
            recipe=recipe,
            device="cpu",
            precision="float32",
            fused=fused,
        )
    plain, fused = found[False], found[True]
    assert plain.status == fused.status == "complete", fused.error
    assert ("fused blocks" in fused.versions, "fused blocks" in plain.versions) == (True, False)
    for ours, theirs in zip(fused.curves, plain.curves, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)


def test_a_faster_way_that_computes_something_else_is_none(monkeypatch, caplog):
    """Real steps; those of one way learn nothing, as an empty recording would, and those of another from wrong
    gradients."""
    learn = Learner.update

    def update(self, images, labels, rate):
        if self.way == ROWS:
            return torch.tensor(4.6)
        return learn(self, images, labels.flip(0) if self.way == HALF else labels, rate)

    monkeypatch.setattr(Learner, "update", update)
    half_rows = Way("bfloat16", "contiguous")
    found = measure([PLAIN, ROWS, half_rows, HALF], "resnet8", 8, 16, CPU)
    # the plainest of bfloat16 is what its other way is compared with, so here that other is the one to differ
    assert found.keys() == {PLAIN, HALF} and "not those of float32 contiguous" in caplog.text


def test_layouts_and_formats_of_one_training_agree(caplog):
    every = [PLAIN, ROWS, HALF, Way("bfloat16", "contiguous")]
    assert measure(every, "resnet8", 8, 16, CPU).keys() == set(every) and not caplog.text


def test_what_can_not_be_had_for_a_while_is_tried_again_by_the_next_process(measured, monkeypatch):
    monkeypatch.setattr(ways, "measure", lambda among, *_: {PLAIN: 1.0} if PLAIN in among else {})
    assert picked("float32", None) == PLAIN
    measured.forget()
    monkeypatch.setattr(ways, "measure", measured)
    assert picked("float32", None) == FUSED
