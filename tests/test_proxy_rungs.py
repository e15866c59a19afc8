"""A training that is measured on its way and goes on from its checkpoint (numbers of steps: see `proxy_runs`)."""

import re

import pytest
import torch
from proxy_runs import RECIPE, facts, run
from torch import nn

from search_space import UserError, find_design, settle
from trainers import PROXY, proxy
from trainers.sgd import SGD


@pytest.fixture
def nets(monkeypatch):
    """The networks that the proxy trainer makes."""
    made, real = [], proxy.initialised

    def keeping(*arguments, **options):
        made.append(real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(proxy, "initialised", keeping)
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials" / "one.pt"


def with_dropout(*_, **__):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Dropout(0.5), nn.Linear(288, 4))


@pytest.mark.parametrize(
    ("text", "precision", "cooldown"),
    [
        ("se", "float32", 0.25),
        ("se", "float32", 0.4),
        ("eca", "bfloat16", 0.25),
        ("dct-learned4/mlp-r4", "float32", 0.25),
        ("dropout", "float32", 0.25),
    ],
)
def test_three_rungs_by_checkpoint_end_in_the_bits_of_one_straight_run(
    blobs, path, nets, monkeypatch, text, precision, cooldown
):
    """Oracle: one call without a checkpoint: the same weights, accuracy, loss and curves at 8 epochs."""

    options = {"design": find_design("se" if text == "dropout" else text), "precision": precision, "seed": 3}
    options["recipe"] = RECIPE.changed(cooldown=cooldown)
    if text == "dropout":
        monkeypatch.setattr(proxy, "initialised", lambda *_, **__: nets.append(with_dropout()) or nets[-1])
    straight = run(blobs, **options)
    rungs = [run(blobs, until=epochs, checkpoint=path, **options) for epochs in (2, 4, 8)]
    assert facts(rungs[-1]) == facts(straight)
    assert [outcome.status for outcome in rungs] == ["stopped", "stopped", "complete"]
    assert [record["epoch"] for record in rungs[-1].curves] == [1, 2, 3, 4, 5, 6, 7, 8]
    one, other = nets[0].state_dict(), nets[3].state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one) and len(one) == len(other)
    for rung, epochs in zip(rungs, (2, 4, 8), strict=True):
        assert rung.accuracy == rung.curves[-1]["accuracy"] and rung.curves[-1]["epoch"] == epochs
        assert rung.loss == rung.curves[-1]["loss"]


def test_a_run_that_stops_after_four_epochs_is_the_run_of_a_recipe_of_four(blobs, path):
    stopped, whole = run(blobs, until=4, checkpoint=path), run(blobs, recipe=RECIPE.changed(epochs=4))
    assert (stopped.status, whole.status) == ("stopped", "complete")
    assert facts(stopped) == facts(whole) == facts(run(blobs, until=4))  # whether or not it leaves a checkpoint
    assert stopped.accuracy is not None and stopped.loss is not None


def test_a_stopped_training_of_a_learned_design_says_what_the_measured_network_had_chosen(blobs, nets):

    outcome = run(blobs, find_design("dct-learned4/mlp-r4"), until=1)
    assert outcome.settled == " | ".join(map(str, settle(nets[0]))) and outcome.status == "stopped"


def test_every_step_of_a_rung_takes_the_rate_of_a_training_of_its_length(blobs, path, monkeypatch):
    """Oracle: the rates that the optimiser took, beside those of the recipe (whose shape test_recipe proves)."""
    held, real = [], SGD.step

    def watched(self, rate):
        real(self, rate)
        held.append(rate)

    monkeypatch.setattr(SGD, "step", watched)
    run(blobs, until=2, checkpoint=path)
    run(blobs, until=4, checkpoint=path)
    two, four = ([RECIPE.changed(epochs=n).rate(step, 11) for step in range(11 * n)] for n in (2, 4))
    assert held == two + four[16:]


def test_a_rung_trains_only_what_its_checkpoint_has_not_and_says_how_much_it_was(blobs, path):
    """Oracle: 22 steps; 44 less a trunk of 16; 88 less a trunk of 33; measured once at the end of each epoch left."""
    calls = []
    rungs = []
    for epochs in (2, 4, 8):
        calls.append(0)

        def count():
            calls[-1] += 1

        rungs.append(run(blobs, until=epochs, checkpoint=path, on_step=count))
    assert [outcome.epochs_trained for outcome in rungs] == [22 / 11, 28 / 11, 55 / 11]
    assert calls == [22 + 2, 28 + 3, 55 + 5]


def test_seconds_run_on_through_the_rungs(blobs, path):
    first = run(blobs, until=4, checkpoint=path)
    second = run(blobs, checkpoint=path)
    seconds = [record["seconds"] for record in second.curves]
    assert seconds == sorted(seconds) and seconds[:3] == [record["seconds"] for record in first.curves[:3]]
    assert second.seconds >= seconds[-1] > seconds[2]


def test_epochs_of_the_trunk_are_reported_once(blobs, path):
    seen = [[], []]
    for epochs, records in zip((4, 8), seen, strict=True):
        run(blobs, until=epochs, checkpoint=path, on_epoch=records.append)
    assert [[record["epoch"] for record in records] for records in seen] == [[1, 2, 3, 4], [4, 5, 6, 7, 8]]


def test_the_last_epoch_and_the_linear_schedule_leave_no_checkpoint(blobs, path):
    assert run(blobs, recipe=RECIPE.changed(epochs=1), checkpoint=path).status == "complete"
    assert run(blobs, recipe=PROXY.changed(epochs=1, batch_size=16), checkpoint=path).status == "complete"
    assert not path.exists()


@pytest.mark.parametrize("until", [0, 9, 2.0, "2"])
def test_an_end_outside_the_recipe_is_refused_by_what_was_given_and_what_is_allowed(blobs, until):
    with pytest.raises(UserError, match=f"until: {re.escape(repr(until))} given; allowed: 1 to 8 epochs"):
        run(blobs, until=until)


def test_a_linear_rate_has_no_rungs_and_a_rung_no_longer_a_warm_up_than_a_trunk(blobs):
    with pytest.raises(UserError, match=r"2 of 8 epochs.*'linear'.*schedule=constant"):
        run(blobs, recipe=RECIPE.changed(schedule="linear"), until=2)
    assert run(blobs, recipe=PROXY.changed(epochs=1, batch_size=16), until=1).status == "complete"
    with pytest.raises(UserError, match=r"warmup: 1.0 given; allowed: 0 to 0.75 epochs"):
        run(blobs, recipe=RECIPE.changed(warmup=1.0), until=1)
