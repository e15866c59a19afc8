"""Several processes train as one that computes their batches in turn."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_retraining import after, go, same, without_times
from retrain_tree import carried_out, make_tree
from together import together
from torch import nn

from search_space import UserError, find_design
from trainers.backbones import initialised
from trainers.batch_statistics import RunningStatistics
from trainers.execution import Execution
from trainers.image_batches import Batches
from trainers.image_set import image_set
from trainers.imagenet import Halted, RetrainRecipe
from trainers.imagenet_run import Run
from trainers.processes import ALONE, Processes

RECIPE = RetrainRecipe(epochs=1, batch_size=8)
EXACT: dict[str, Any] = {
    "recipe": RetrainRecipe(epochs=2, batch_size=8, base_rate=1.0, mixup=0.2, cutmix=1.0, ema=0.9),
    "precision": "float64",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("together") / "pets")


def state(output: Path) -> dict[str, Any]:
    return torch.load(output / "last.pt", weights_only=True)  # type: ignore[no-any-return]


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """{path: value} of nested dicts and lists."""
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {path: found for key, each in pairs for path, found in flat(each, f"{name}/{key}").items()}
    return {name: value}


def agree(left: Path, right: Path, tolerance: float) -> None:
    """Everything that a checkpoint holds, but for times and the number of batches that a norm has seen."""
    a, b = (
        {name: value for name, value in flat(state(output)).items() if not name.endswith(("seconds", "per_second"))}
        for output in (left, right)
    )
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, torch.Tensor) and not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, b[name], rtol=tolerance, atol=tolerance, msg=name)
        elif isinstance(value, float):
            assert value == pytest.approx(b[name], rel=tolerance), name


@pytest.mark.parametrize("accumulate", [1, 2], ids=lambda number: f"{number}_batches_each")
def test_two_processes_are_one_that_accumulates_their_batches_to_the_last_digits(
    tree: Path, tmp_path: Path, accumulate: int
) -> None:
    """Gradients, momentum, averaged weights, and the statistics that batch norm takes of each batch alone."""
    assert together(tree, tmp_path / "two", accumulate=accumulate, **EXACT) == [0, 0]
    go(tree, tmp_path / "one", accumulate=2 * accumulate, **EXACT)
    agree(tmp_path / "two", tmp_path / "one", 1e-10)
    go(tree, tmp_path / "whole", **EXACT)
    with pytest.raises(AssertionError):  # batch norm over all images at once is another network
        agree(tmp_path / "two", tmp_path / "whole", 1e-6)


def test_an_accumulated_update_is_that_of_a_plain_loop(tree: Path, tmp_path: Path) -> None:
    """Oracle: PyTorch alone on the same batches: mean gradient, momentum and weight decay by torch.optim.SGD, running
    statistics by their definition."""
    settings = {
        "learning_rate": 0.1,
        "warmup_epochs": 0,
        "label_smoothing": 0.0,
        "decay_norms": True,
        "nesterov": False,
    }
    recipe = RetrainRecipe(epochs=1, batch_size=24, **settings)  # type: ignore[arg-type]
    net = initialised("resnet8", find_design("se"), recipe, seed=0, num_classes=6, image_size=32, drop_path=0.0)
    expected = copy.deepcopy(net).double().train()
    execution = Execution(device="cpu", precision="float64", accumulate=3, workers=0)
    batches = Batches(image_set(tree), recipe, image_size=32, seed=0, execution=execution)
    run = Run(net, batches, recipe=recipe, seed=0, execution=execution)
    run.net.train()
    given = list(batches.train(1))
    assert [len(labels) for _, labels in given] == [8, 8, 8]
    run.update(given)
    optimiser = torch.optim.SGD(
        expected.parameters(), lr=run.optimiser.param_groups[0]["lr"], momentum=0.9, weight_decay=1e-4
    )
    before, seen = copy.deepcopy(expected.state_dict()), []
    for images, labels in given:
        expected.load_state_dict(before)  # each batch begins with the same running statistics
        (nn.functional.cross_entropy(expected(run._input(images)), labels) / 3).backward()
        seen.append(copy.deepcopy(expected.state_dict()))
    optimiser.step()
    for name, value in run.net.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(value, sum(each[name] for each in seen) / 3, rtol=1e-12, atol=1e-12, msg=name)
        elif "num_batches" not in name:
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("batches", [1, 2, 3, 7])
@pytest.mark.parametrize("momentum", [0.1, 0.9, 1.0])
def test_running_statistics_move_once_an_update_by_the_mean_of_its_batches(batches: int, momentum: float) -> None:
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum)).double().train()
    net[0].running_mean.copy_(torch.randn(3))
    start = net[0].running_mean.clone()
    images = torch.randn(batches, 5, 3, 4, 4, dtype=torch.float64)
    statistics = RunningStatistics(net, batches, ALONE)
    for number in range(batches):
        with statistics.batch(number):
            net(images[number])
    expected = (1 - momentum) * start + momentum * images.mean((0, 1, 3, 4))
    torch.testing.assert_close(net[0].running_mean, expected, rtol=1e-12, atol=1e-12)


def test_stopped_by_any_process_all_save_and_go_on_to_the_same_bits_and_another_number_of_them_to_the_same_numbers(
    tree: Path, tmp_path: Path
) -> None:
    assert together(tree, tmp_path / "whole", **EXACT) == [0, 0]
    assert together(tree, tmp_path / "two", halted=4, **EXACT) == [40, 40]
    halted = state(tmp_path / "two")
    assert (len(halted["curves"]), halted["updates"]) == (0, 3) or len(halted["curves"]) == 1
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "last.pt").write_bytes((tmp_path / "two" / "last.pt").read_bytes())
    assert together(tree, tmp_path / "two", **EXACT) == [0, 0]
    assert same(tmp_path / "two", tmp_path / "whole")
    assert without_times(state(tmp_path / "two")["curves"]) == without_times(state(tmp_path / "whole")["curves"])
    go(tree, tmp_path / "one", accumulate=2, **EXACT)
    agree(tmp_path / "one", tmp_path / "whole", 1e-10)


def test_where_one_process_is_killed_the_other_says_so_and_they_go_on_to_the_same_bits(
    tree: Path, tmp_path: Path
) -> None:
    recipe = RetrainRecipe(epochs=2, batch_size=8)
    assert together(tree, tmp_path / "whole", recipe=recipe) == [0, 0]
    assert together(tree, tmp_path / "two", recipe=recipe, killed={1: 7}) == [41, -9]
    assert together(tree, tmp_path / "two", recipe=recipe) == [0, 0]
    assert same(tmp_path / "two", tmp_path / "whole")


@pytest.mark.parametrize("place", ["set-up", "data", "epoch"])
@pytest.mark.parametrize("error", [RuntimeError("out of memory"), UserError("a corrupt image")], ids=["bug", "users"])
def test_what_one_process_runs_into_it_says_and_ends_the_other_too(
    tree: Path, tmp_path: Path, place: str, error: Exception
) -> None:
    """Neither waits for the other, and no failed outcome is made of it: the same command goes on."""
    rank = 0 if place == "epoch" else 1  # the report is the first one's alone
    recipe = RetrainRecipe(epochs=2, batch_size=8)
    codes = together(tree, tmp_path / "out", recipe=recipe, raising=(rank, place, error))
    assert (codes[rank], codes[1 - rank]) == (42, 41)


def test_processes_share_every_update_and_every_image_of_val_between_them(tree: Path) -> None:
    images, recipe = image_set(tree), RetrainRecipe(batch_size=12)

    def batches(**options: Any) -> Batches:
        execution = Execution(device="cpu", workers=0, **options)
        return Batches(images, recipe, image_size=16, seed=0, execution=execution)

    whole, parts = batches(), [batches(processes=Processes(rank, 3), accumulate=2) for rank in range(3)]
    for skip in (0, 1):
        turns = [part.shares(2, skip) for part in parts]
        in_turn = [number for shares in zip(*turns, strict=True) for share in shares for number in share]
        assert in_turn == whole.order(2)[12 * skip :]
    labels = [label for part in parts for _, batch in part.val() for label in batch.tolist()]
    assert labels == images.val.labels.tolist()
    assert max(len(list(part.val())) for part in parts) == parts[0].rounds


@pytest.mark.parametrize(
    "options, world, said",
    [
        ({"accumulate": 3}, 1, "8 over 1 x 3 batches"),
        ({}, 3, "8 over 3 x 1 batches"),
        ({"accumulate": 4}, 2, "2 images or more"),
        ({"sync_norm": True}, 2, "synchronised batch norm: given on cpu"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(options: dict[str, Any], world: int, said: str) -> None:
    given = carried_out(options | {"processes": Processes(0, world)})["execution"]
    with pytest.raises(UserError, match=said):
        given.check(RetrainRecipe(batch_size=8))
    with pytest.raises(UserError, match="an even number of images"):
        Execution(device="cpu", accumulate=2).check(RetrainRecipe(batch_size=6, mixup=0.2))


@pytest.mark.parametrize("options", [{"precision": "float16"}, {"deterministic": True}, {"accumulate": 2}], ids=str)
def test_however_it_is_carried_out_a_resumption_ends_with_the_same_bits(
    tree: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    """In float16 the factor of the loss is a state as well."""
    done = go(tree, tmp_path / "whole", recipe=RECIPE, **options)
    assert done.precision == options.get("precision", "float32")
    assert bool(state(tmp_path / "whole")["scaler"]) == (done.precision == "float16")
    with pytest.raises(Halted):
        go(tree, tmp_path / "out", recipe=RECIPE, stop=after(2), **options)
    go(tree, tmp_path / "out", recipe=RECIPE, **options)
    assert same(tmp_path / "out", tmp_path / "whole")
    assert torch.are_deterministic_algorithms_enabled() is False


def test_a_compiled_network_trains_to_nearly_the_same_numbers_and_keeps_the_names_of_its_weights(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accumulated: batch norms must not make it compile anew for each batch. Its graphs are run by PyTorch here: to
    make C++ of them takes minutes."""
    compiled = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda net: compiled(net, backend="aot_eager"))
    options: dict[str, Any] = {"recipe": RECIPE, "accumulate": 2}
    plain = go(tree, tmp_path / "plain", **options)
    torch._dynamo.reset()
    counted = torch._dynamo.utils.counters
    counted.clear()
    fast = go(tree, tmp_path / "fast", compiled=True, **options)
    assert counted["stats"]["unique_graphs"] <= 2, "training, and not one for each batch"
    assert fast.curves[0]["train_loss"] == pytest.approx(plain.curves[0]["train_loss"], rel=1e-3)
    assert state(tmp_path / "fast")["model"].keys() == state(tmp_path / "plain")["model"].keys()
