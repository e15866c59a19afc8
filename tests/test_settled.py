"""What training chose is written back as a design: into the row, onto the screen, and into networks of that text."""

import json
import re
from pathlib import Path

import pytest
import torch
from retrain_tree import carried_out, make_tree
from torch import nn

from results import open_store
from search.objective import Setting, evaluate
from search.recording import key_on
from search.retraining import retrain
from search_space import PRESETS, DesignError, Layered, find_design, settle
from trainers import PROXY, backbone, cost, imagenet_run, proxy, proxy_run, train
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe
from trainers.outcome import NotFiniteError

RECIPE = PROXY.changed(epochs=1, batch_size=16, crop_padding=1)
LEARNED = find_design("dct-learned4/mlp-r4")
THREE = "dct-at00.01/mlp-r4 | dct-at10.11/mlp-r4 | dct-low2/mlp-r4"  # resnet8 has three places


def run(data, design=LEARNED, **options):
    return train(design, data, **{"backbone": "resnet8", "recipe": RECIPE, "precision": "float32"} | options)


@pytest.fixture
def nets(monkeypatch):
    """The networks that the proxy trainer makes."""
    made = []
    real = proxy.initialised

    def keeping(*arguments, **options):
        made.append(real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(proxy, "initialised", keeping)
    return made


def expected(weights: dict[str, torch.Tensor], gate: str) -> str:
    """The text by hand: of each group's 49 logits, in the order (0, 0), (0, 1) ... (6, 6), the largest."""
    texts = []
    for name, logits in weights.items():
        if name.endswith("logits"):
            pairs = [f"{row.index(max(row)) // 7}{row.index(max(row)) % 7}" for row in logits.tolist()]
            texts.append(f"dct-at{'.'.join(pairs)}/{gate}")
    assert len(texts) == 3
    return " | ".join(texts) if len(set(texts)) > 1 else texts[0]


def sharpened(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The softmax over frequencies made a choice of one."""

    def chosen(logits: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(logits.argmax(1), 49).float() * 1e4

    return {name: chosen(value) if name.endswith("logits") else value for name, value in weights.items()}


def test_the_settled_text_names_the_likeliest_frequency_of_every_group_of_every_place(blobs, nets):
    outcome = run(blobs)
    assert outcome.status == "complete" and outcome.settled == expected(nets[0].state_dict(), "mlp-r4")


def test_the_trained_weights_without_the_choice_are_the_weights_of_the_settled_network(blobs, nets):
    """Oracle: a softmax whose logits leave no doubt is a choice, so both networks then give one output."""
    outcome = run(blobs)
    learned = nets[0].eval()
    settled = find_design(outcome.settled)
    assert not settled.learned
    net = backbone("resnet8", settled, num_classes=4, gate_start=RECIPE.gate_start, scale=RECIPE.scale).eval()
    weights = learned.state_dict()
    kept = {name: value for name, value in weights.items() if not name.endswith("logits")}
    assert {name: value.shape for name, value in net.state_dict().items()} == {
        name: value.shape for name, value in kept.items()
    }
    assert cost(learned, 8).params - cost(net, 8).params == 3 * 4 * 49
    net.load_state_dict(kept)
    learned.load_state_dict(sharpened(weights))
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(net(images), learned(images), atol=1e-5)


def test_places_that_chose_the_same_are_one_design(blobs, monkeypatch):
    """At rest every frequency is as likely as any other, and the first is taken."""
    monkeypatch.setattr(proxy_run.Run, "_train_step", lambda self, batch: None)
    assert run(blobs).settled == "dct-at00.00.00.00/mlp-r4"
    elsewhere = run(blobs, find_design("dct-learned2/conv1d@mid"))
    assert elsewhere.settled == "dct-at00.00/conv1d@mid"


def test_of_places_of_which_some_learn_all_are_in_the_settled_text(blobs, monkeypatch):
    monkeypatch.setattr(proxy_run.Run, "_train_step", lambda self, batch: None)
    outcome = run(blobs, find_design("dct-learned2/mlp-r4 | eca | avg/mlp-r8"))
    assert outcome.settled == "dct-at00.00/mlp-r4 | avg/conv1d | avg/mlp-r8"


def test_a_design_that_leaves_nothing_to_choose_and_a_training_that_failed_settle_nothing(blobs, monkeypatch):
    assert run(blobs, PRESETS["eca"]).settled is None and run(blobs, find_design(THREE)).settled is None

    def diverging(self, batch):
        raise NotFiniteError("in the middle")

    monkeypatch.setattr(proxy_run.Run, "_train_step", diverging)
    assert (run(blobs).status, run(blobs).settled) == ("failed", None)


def test_a_retraining_settles_too_and_after_a_resumption_on_the_same(tmp_path, monkeypatch):
    """Oracle: the logits in the saved weights; the second run trains no epoch."""
    tree = make_tree(tmp_path / "pets")
    options = {"backbone": "resnet8", "image_size": 32, "recipe": RetrainRecipe(epochs=1, batch_size=8)}
    options = carried_out(options | {"output": tmp_path / "out"})
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        row = retrain(LEARNED, image_set(tree), store=store, **options)
        assert store.get(row.identity) == row
    assert row.settled == expected(torch.load(tmp_path / "out" / "model.pt", weights_only=True), "mlp-r4")
    monkeypatch.setattr(imagenet_run.Run, "_train_epoch", None)
    with open_store(f"sqlite:///{tmp_path}/b.db") as store:
        assert retrain(LEARNED, image_set(tree), store=store, **options).settled == row.settled


def test_a_design_for_each_place_trains_is_counted_and_is_known_the_second_time(blobs, store):
    """Oracle for the cost: fvcore on the network itself."""
    design = find_design(THREE)
    setting = Setting(blobs, "resnet8", RECIPE, precision="float32")
    row, trained = evaluate(design, 0, setting, store)
    assert trained and (row.status, row.design, row.settled) == ("complete", THREE, None)
    assert row.key == "dct-low2/mlp-r4 | dct-at10.11/mlp-r4 | dct-low2/mlp-r4"  # the first is FcaNet's low2
    counted = cost(backbone("resnet8", design, num_classes=4), 8)
    assert (row.params, row.macs) == (counted.params, counted.macs)
    again, trained = evaluate(design, 0, setting, store)
    assert not trained and again.identity == row.identity and len(store.rows()) == 1
    assert setting.network_key(design) != setting.network_key(find_design("dct-low2/mlp-r4"))


def test_one_design_written_for_each_place_is_the_design(blobs):
    setting = Setting(blobs, "resnet8", RECIPE)
    assert setting.network_key(Layered((PRESETS["eca"],) * 3)) == setting.network_key(PRESETS["eca"])


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_too_few_or_too_many_designs_are_refused_before_anything_is_trained(blobs, store, parts):
    with pytest.raises(DesignError, match=f"{parts} joined by .* allowed: 3, one for each place"):
        evaluate(Layered((PRESETS["eca"],) * parts), 0, Setting(blobs, "resnet8", RECIPE), store)
    assert store.rows() == []


FACTORY = """
from trainers import backbone
def small(num_classes):
    return backbone("resnet8", num_classes=num_classes)
"""


def test_a_factory_that_was_edited_is_another_network(tmp_path, monkeypatch):
    """Two files that differ in a comment; a named network's key has no digest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        Path(f"settled_factory_{number}.py").write_text(FACTORY + f"# {number}\n")
    keys = [key_on(PRESETS["se"], f"settled_factory_{number}:small", 8, 4, scale="unit") for number in (1, 2)]
    found = [re.fullmatch(r"settled_factory_\d:small#([0-9a-f]{16})@8px/4: avg/mlp-r16", key) for key in keys]
    assert found[0] and found[1] and found[0][1] != found[1][1]
    assert "#" not in key_on(PRESETS["se"], "resnet8", 8, 4, scale="unit")


# on the command line

SMALL = ["--backbone", "resnet8", "--image-size", 8, "--precision", "float32", "--set", "batch_size=16", "--epochs", 1]


@pytest.fixture
def learned(attnas, tree):
    done = attnas("train", LEARNED, "eca", "--data", f"folder:{tree}", *SMALL)
    assert done.code == 0, done.err
    return done


def stored(attnas):
    rows = json.loads(attnas("results", "query", "settled is not None", "--json").out)
    assert [row["design"] for row in rows] == ["dct-learned4/mlp-r4"]
    return rows[0]["settled"]


def test_training_prints_what_it_settled_on_once(attnas, learned):
    lines = [line for line in learned.err.splitlines() if line.startswith("settled: ")]
    assert lines == [f"settled: {stored(attnas)}"] and learned.out == ""


def test_a_query_shows_settled_designs_where_there_are_any(attnas, learned):
    assert stored(attnas) in attnas("results", "query", "seed == 0").out
    assert "settled" not in attnas("results", "query", "design == 'avg/conv1d'").out


def test_the_command_that_show_prints_trains_the_settled_design(attnas, learned, tree):
    """Oracle: a shell splits the printed command into words."""
    import shlex

    settled = stored(attnas)
    shown = attnas("results", "show", "dct-learned4/mlp-r4").out
    assert f"settled: {settled}" in shown
    command = shlex.split(re.search(r"attnas (train .*)", shown)[1])
    assert attnas(*command, "--data", f"folder:{tree}", *SMALL).code == 0
    assert f"{settled}  key " in attnas("results", "show", settled).out
    assert "settled" not in attnas("results", "show", "eca").out


def test_show_finds_a_design_that_was_written_for_each_place(attnas, tree):
    """ECA's rule gives k = 3 at all of resnet8's widths."""
    three = " | ".join(["avg/conv1d-k3"] * 3)
    assert attnas("train", three, "--data", f"folder:{tree}", *SMALL).code == 0
    assert three in attnas("results", "show", "eca").out
    assert attnas("results", "show", " | ".join(["eca"] * 4)).code == 2
    assert attnas("results", "show", "avg/conv1d-k5").code == 2


def test_a_wrong_number_of_designs_is_refused_with_exit_code_2(attnas, tree):
    for words in (["train", "--data", f"folder:{tree}"], ["cost"]):
        small = SMALL[:4] if words == ["cost"] else SMALL
        done = attnas(words[0], "eca | eca", *words[1:], *small)
        assert done.code == 2 and "Traceback" not in done.err
        assert "2 joined by |" in done.err and "3, one for each place of this network" in done.err


REVERSED = """
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes, attn_layer):
        super().__init__()
        first, second = attn_layer(16), attn_layer(16)
        self.second = second  # registered before the one that runs before it
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3), first)
        self.head = nn.Linear(16, num_classes)
    def forward(self, x):
        return self.head(self.second(self.first(x)).mean((2, 3)))
def net(num_classes, attn_layer):
    return Net(num_classes, attn_layer)
"""


def test_places_are_settled_in_the_order_in_which_they_run(tmp_path, monkeypatch):
    """Oracle: the factory says which place runs first, and the logits which frequency it chose."""
    (tmp_path / "reversed_net.py").write_text(REVERSED)
    monkeypatch.syspath_prepend(tmp_path)
    net = backbone("reversed_net:net", find_design("dct-learned2/affine"), num_classes=2)
    with torch.no_grad():
        net.first[1][0].pooling.logits[:, 8] = 9.0  # (1, 1) of the 7 x 7 frequencies
    assert [str(design) for design in settle(net)] == ["dct-at11.11/affine", "dct-at00.00/affine"]
