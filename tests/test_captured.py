"""A step that is recorded once and replayed is the step. Without a CUDA device a replay runs the function; all else,
the places of arguments, the rate that lies on the device, the undone warm-up, is as it is there."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from conftest import make_blobs
from timm.models.resnet import BasicBlock

from search_space import AttentionDesign, UserError
from trainers.backbones import initialised
from trainers.captured import Captured, nowhere, on_cuda
from trainers.learner import Learner
from trainers.recipe import PROXY
from trainers.way import Way

PLAIN, RECORDED = Way("float32", "contiguous"), Way("float32", "contiguous", captured=True)
DEVICES = [
    pytest.param("cpu", nowhere, id="cpu"),
    pytest.param(
        "cuda", on_cuda, id="cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]


def learner(way: Way, record, device: str, name: str = "resnet8", text: str = "avg/mlp-r4") -> Learner:
    net = initialised(name, AttentionDesign.parse(text), PROXY, seed=0, num_classes=4, image_size=8)
    half = torch.full((3,), 0.5)
    return Learner(net, PROXY, way, mean=half, std=half, device=torch.device(device), record=record)


@pytest.mark.parametrize(("device", "record"), DEVICES)
@pytest.mark.parametrize("fused", [False, True], ids=["", "fused"])
def test_recorded_steps_are_the_steps_of_a_plain_loop_whatever_the_rate(device, record, fused):
    if fused and device == "cpu":
        pytest.skip("compiled blocks have tests of their own on a CPU")
    data = make_blobs(seed=0)
    images, labels = data.train.images.to(device), data.train.labels.to(device)
    plain = learner(PLAIN, record, device)
    recorded = learner(Way("float32", "contiguous", fused, True), record, device)
    for step, rate in enumerate((0.1, 0.05, 0.0, 0.2)):
        part = slice(16 * step, 16 * step + 16)
        ours = recorded.update(images[part], labels[part], rate).item()
        assert ours == pytest.approx(plain.update(images[part], labels[part], rate).item(), rel=1e-3 if fused else 1e-4)
    for one, other in zip(plain._state(), recorded._state(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)
    for one in (plain, recorded):
        one.net.eval()
    with torch.inference_mode():
        for size in (20, 20, 7):  # the last batch of a split is smaller
            torch.testing.assert_close(
                recorded.predict(images[:size]), plain.predict(images[:size]), rtol=1e-3, atol=1e-3
            )


@pytest.mark.parametrize(("device", "record"), DEVICES)
def test_the_steps_before_a_recording_leave_no_trace(device, record):
    weight, momentum = torch.ones(3, device=device), torch.zeros(3, device=device)

    def function(x: torch.Tensor) -> torch.Tensor:
        momentum.add_(x)
        weight.add_(momentum)
        return weight * 1

    captured, state = Captured(record), lambda: [weight, momentum]
    assert captured(function, state, torch.full((3,), 2.0, device=device)).tolist() == [3.0] * 3
    assert captured(function, state, torch.full((3,), 1.0, device=device)).tolist() == [6.0] * 3
    assert weight.tolist() == [6.0] * 3 and momentum.tolist() == [3.0] * 3


@pytest.mark.parametrize("name", ["ghostnet_050", "test_captured:dropout"])
def test_a_network_that_drops_units_is_not_recorded(name):
    with pytest.raises(UserError, match="at random"):
        learner(RECORDED, nowhere, "cpu", name, "none")


def dropout(num_classes: int) -> torch.nn.Module:
    stem = (torch.nn.Conv2d(3, 8, 3), BasicBlock(8, 8), torch.nn.Dropout(0.1))
    return torch.nn.Sequential(
        *stem, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, num_classes)
    )


def test_what_can_not_be_recorded_is_computed_with_a_warning(caplog):
    def refuse(function, warm_up):
        warm_up()
        raise RuntimeError("operation not permitted when stream is capturing")

    data = make_blobs(seed=0)
    plain, refused = learner(PLAIN, nowhere, "cpu"), learner(RECORDED, refuse, "cpu")
    for step in range(3):
        part = slice(16 * step, 16 * step + 16)
        given = (data.train.images[part], data.train.labels[part], 0.1)
        assert refused.update(*given).item() == plain.update(*given).item()
    assert caplog.text.count("can't be recorded") == 1 and "is capturing" in caplog.text


@pytest.mark.parametrize("way", [PLAIN, RECORDED], ids=str)
def test_a_training_is_gone_with_its_last_name(way):
    """And with it what it holds of an accelerator's memory, without waiting for Python to look for cycles."""

    def record(function, warm_up):
        warm_up()
        return lambda: torch.zeros(())  # as a graph, which keeps no function

    data = make_blobs(seed=0)
    one = learner(way, record, "cpu")
    one.update(data.train.images[:16], data.train.labels[:16], 0.1)
    gone = weakref.ref(one)
    gc.disable()
    try:
        del one
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("text", ["haar-d1-details-energy/mlp-r4", "dct-learned16/mlp-r4"])
def test_a_forward_pass_makes_no_constant_anew(text, monkeypatch):
    """To bring it to the device would make a recording fail."""
    net = learner(PLAIN, nowhere, "cpu", text=text).net
    images = torch.randn(2, 3, 8, 8)
    net(images)
    monkeypatch.setattr(torch, "from_numpy", None)
    net(images)
