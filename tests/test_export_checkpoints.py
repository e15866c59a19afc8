"""What `attnas export` takes: checkpoints that say what they are, nothing foreign, and no code of strangers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_nets import FOLDER, RECIPE, Bomb, as_trained, images, train
from safetensors.torch import load_file

from search_space import UserError, find_design
from trainers import backbone
from trainers.execution import Execution
from trainers.export import network_of
from trainers.image_set import image_set
from trainers.imagenet import Halted, retrain
from trainers.retrained import retrained

Attnas = Callable[..., Any]
QUICK = ("--no-onnx", "--no-torch-export")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree `pets` and a retraining on it."""
    root = tmp_path_factory.mktemp("checkpoints")
    train(root, root / "retrain" / FOLDER)
    return root


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A copy of the retraining's folder, where `attnas export` looks for designs."""
    return Path(shutil.copytree(root / "retrain" / FOLDER, tmp_path / "retrain" / FOLDER))


def rewrite(folder: Path, **cells: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | cells))


def claim(folder: Path) -> None:
    """`model.json` says that this is its model.pt."""
    rewrite(folder, weights_sha256=hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest())


def same(state: Any, other: Any) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def test_a_retraining_says_beside_its_weights_what_they_are(root: Path) -> None:
    """Oracle: what was asked of it, its tree, its last record."""
    facts, state = retrained(root / "retrain" / FOLDER)
    images, last = image_set(root / "pets"), torch.load(root / "retrain" / FOLDER / "last.pt", weights_only=True)
    assert (facts.design, facts.network, facts.image_size, facts.seed) == ("dct-top16/mlp-r16", "resnet8", 32, 0)
    assert (facts.classes, facts.scale, facts.gate_start) == (tuple("abcdef"), RECIPE.scale, RECIPE.gate_start)
    assert facts.recipe == {"name": "short", "hash": RECIPE.hash, "epochs": 2, **RECIPE.content}
    assert facts.data is not None and facts.data["content_hash"] == images.content_hash
    assert facts.measured is not None and facts.measured["accuracy"] == last["curves"][-1]["accuracy"]
    assert facts.identity == last["identity"] and state.keys() == last["model"].keys()


def test_a_last_checkpoint_gives_the_averaged_weights_that_were_kept(folder: Path) -> None:
    """Oracle: model.pt, which the training wrote; the weights that were not averaged are others."""
    last = torch.load(folder / "last.pt", weights_only=True)
    facts, state = retrained(folder / "last.pt")
    kept = torch.load(folder / "model.pt", weights_only=True)
    assert same(state, kept) and not same(last["model"], kept)
    assert facts.measured == retrained(folder / "model.pt")[0].measured


def test_a_training_that_is_halted_is_exported_from_its_last_checkpoint_with_no_measurement(
    root: Path, tmp_path: Path, attnas: Attnas
) -> None:
    """Halted in the first epoch: there is no model.pt, and nothing was measured."""
    looks = iter((False, True))
    with pytest.raises(Halted):
        retrain(
            find_design("se"),
            image_set(root / "pets"),
            backbone="resnet8",
            image_size=32,
            recipe=replace(RECIPE, ema=0.0),
            output=tmp_path / "halted",
            execution=Execution(workers=0, device="cpu", precision="float32"),
            stop=lambda: next(looks),
        )
    told = json.loads(attnas("export", "halted", "--to", "out", *QUICK, "--json").out)
    assert (told["design"], told["trained"], told["measured"]) == ("avg/mlp-r16", True, None)
    last = torch.load(tmp_path / "halted" / "last.pt", weights_only=True)
    assert same(load_file("out/model.safetensors"), last["model"])
    assert "## Measured" not in Path("out/README.md").read_text()
    assert told["reached"] == {"epochs": 0, "updates": 2, "chosen": False}


def test_of_a_training_that_was_not_finished_every_text_says_so_and_of_the_best_epoch_how_it_was_chosen(
    attnas: Attnas, folder: Path
) -> None:
    """As a training of two epochs leaves its folder after the first: its checkpoint is last and best."""
    whole = json.loads(attnas("export", folder, "--to", "whole", *QUICK, "--json").out)
    assert (whole["state"], whole["reached"]) == ("trained", None)
    (folder / "model.pt").unlink()
    for name, words in {"last.pt": "after epoch 1 of 2, unfinished", "best.pt": "CHOSEN ON VAL: the best of 1"}.items():
        shutil.copyfile(folder / "epoch-0001.pt", folder / name)
        done = attnas("export", folder / name, "--to", name, *QUICK)
        card, config = Path(name, "README.md").read_text(), json.loads(Path(name, "config.json").read_text())
        assert words in done.out and words in card and "2 epochs" not in card
        assert config["pretrained_cfg"]["tag"] == "unfinished" and config["attnas"]["reached"]["epochs"] == 1
    quick = ("--batch-size", 2, "--repeats", 2, "--device", "cpu", "--threads", 1)
    assert "UNFINISHED" in attnas("eval", "best.pt", *quick).out


def test_the_card_says_by_how_many_processes_and_parts_an_update_was_made(attnas: Attnas, root: Path) -> None:
    output = train(root, Path("parts"), "none", accumulate=2)
    facts = json.loads((output / "model.json").read_text())["environment"]
    assert (facts["processes"], facts["accumulate"], facts["norm_batch"]) == (1, 2, 4)
    attnas("export", output, "--to", "out", *QUICK)
    assert "| norm_batch | `4` |" in Path("out/README.md").read_text()


def test_equal_weights_are_exported_to_equal_bytes(attnas: Attnas, folder: Path) -> None:
    """Four times: of two words about weights safetensors writes either first."""
    for number in range(4):
        attnas("export", folder, "--to", f"out{number}", *QUICK)
    assert len({Path(f"out{number}/SHA256SUMS").read_text() for number in range(4)}) == 1


def test_a_finished_training_of_before_gets_what_it_lacks_from_the_same_command(root: Path, folder: Path) -> None:
    """Nothing is trained: the weights stay, and `model.json` comes back."""
    expected = json.loads((folder / "model.json").read_text())
    (folder / "model.json").unlink()
    with pytest.raises(UserError, match=r"model\.json is not there.*attnas retrain"):
        retrained(folder)
    before = torch.load(folder / "model.pt", weights_only=True)
    train(root, folder)
    assert json.loads((folder / "model.json").read_text()) == expected
    assert same(torch.load(folder / "model.pt", weights_only=True), before)


def test_a_design_is_exported_with_the_weights_of_its_retraining(attnas: Attnas, folder: Path) -> None:
    """By any spelling of its key; the network is the one that the training left."""
    done = attnas("export", "fca-ts", "--to", "out", *QUICK)
    assert done.code == 0 and f"of retrain/{FOLDER}" in done.err and "UNTRAINED" not in done.out
    assert same(load_file("out/model.safetensors"), as_trained(folder).state_dict())


def test_a_folder_that_is_missing_is_said_to_be_with_those_beside_it(attnas: Attnas, folder: Path) -> None:
    done = attnas("export", "retrain/nosuch", "--to", "out")
    assert done.code == 2 and f"no such file or folder; retrainings in retrain: {FOLDER}" in done.err
    assert "no design" in attnas("export", "nosuch/mlp-r4", "--to", "out").err


def test_a_design_that_was_retrained_twice_is_not_chosen_for_the_user(attnas: Attnas, folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("other"))
    done = attnas("export", "fca-ts", "--to", "out", *QUICK)
    assert done.code == 2 and "more than once" in done.err and f"retrain/{FOLDER}, retrain/other" in done.err


def test_a_design_without_weights_is_exported_untrained_and_every_text_says_so(attnas: Attnas, folder: Path) -> None:
    """Oracle: the network that seed 0 draws."""
    done = attnas("export", "se", "--backbone", "resnet8", "--classes", 5, "--to", "out", *QUICK)
    assert done.code == 0 and "UNTRAINED: the weights are what seed 0 draws" in done.out
    card = Path("out/README.md").read_text()
    assert "**UNTRAINED: the weights are what seed 0 draws" in card
    assert "model-index" not in card and "## Training" not in card
    assert json.loads(Path("out/config.json").read_text())["pretrained_cfg"]["tag"] == "untrained"
    torch.manual_seed(0)
    net = backbone("resnet8", find_design("se"), num_classes=5, scale="paper", gate_start="paper")
    assert same(load_file("out/model.safetensors"), net.state_dict())


@pytest.mark.parametrize("name", ["model.pt", "last.pt"])
def test_a_checkpoint_that_would_execute_something_executes_nothing(
    attnas: Attnas, folder: Path, tmp_path: Path, name: str
) -> None:
    torch.save({"identity": "x", "weight": Bomb(tmp_path / "boom")}, folder / name)
    claim(folder)
    done = attnas("export", folder / name, "--to", "out", *QUICK)
    assert done.code == 2 and "Nothing of it was used" in done.err and not (tmp_path / "boom").exists()
    torch.load(folder / name, weights_only=False)
    assert (tmp_path / "boom").exists()  # the bomb is one


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / "model.pt").write_bytes(b"\x80\x02."), "is damaged or is no checkpoint"),
        (lambda folder: ((folder / "model.pt").write_bytes(b"no"), claim(folder)), "is damaged or is no checkpoint"),
        (lambda folder: torch.save({"a": torch.ones(1)}, folder / "model.pt"), "is not the file that model.json"),
        (lambda folder: (torch.save([1], folder / "model.pt"), claim(folder)), "no state dict of tensors"),
        (lambda folder: (torch.save({"a": 1}, folder / "model.pt"), claim(folder)), "no state dict of tensors"),
        (lambda folder: (torch.save({"a": torch.ones(1)}, folder / "model.pt"), claim(folder)), "Missing key"),
        (lambda folder: rewrite(folder, weights_sha256=None), "its training has not ended"),
        (lambda folder: rewrite(folder, design="avg/mlp-r4"), "the weights are not those of avg/mlp-r4 in resnet8"),
        (lambda folder: rewrite(folder, classes=["a", "b"]), "size mismatch"),
        (lambda folder: rewrite(folder, design="avg/nothing"), "avg/nothing"),
        (lambda folder: rewrite(folder, backbone="resnet9"), "'resnet9' does not exist"),
        (lambda folder: rewrite(folder, scale="other"), "scale"),
        (lambda folder: rewrite(folder, classes="abc"), "classes: 'abc' is no tuple"),
        (lambda folder: rewrite(folder, image_size=True), "image_size: 'True' is no int"),
        (lambda folder: rewrite(folder, measured={"split": "val"}), "measured: no images"),
        (lambda folder: rewrite(folder, data=None), "measured, and not by which training"),
        (lambda folder: rewrite(folder, format=2), 'no object with "format": 1'),
        (lambda folder: (folder / "model.json").write_text("[" * 100_000), "can't be read as what"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff"), "can't be read as what"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_in_words(
    attnas: Attnas, folder: Path, damage: Callable[[Path], Any], said: str
) -> None:
    damage(folder)
    done = attnas("export", folder, "--to", "out", *QUICK)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err and not Path("out").exists()


def test_a_checkpoint_beside_another_runs_facts_is_refused(attnas: Attnas, folder: Path) -> None:
    rewrite(folder, identity="another run")
    done = attnas("export", folder / "last.pt", "--to", "out", *QUICK)
    assert done.code == 2 and "is the checkpoint of another run" in done.err and "another run" in done.err


FACTORY = """
from pathlib import Path
Path("imported").touch()
from trainers.cifar_resnet import CifarResNet
from trainers.small_shapes import SMALL
def net(num_classes):
    return CifarResNet(SMALL["resnet8"], num_classes)
"""


def test_code_that_a_checkpoint_names_is_imported_only_when_it_is_allowed_by_name(
    attnas: Attnas, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "my_nets.py").write_text(FACTORY)
    rewrite(folder, backbone="my_nets:net#0123")
    done = attnas("export", folder, "--to", "out", *QUICK)
    assert done.code == 2 and "allow it first: --backbone my_nets:net" in done.err and not Path("imported").exists()
    allowed = attnas("export", folder, "--to", "out", *QUICK, "--backbone", "my_nets:net")
    assert allowed.code == 0, allowed.err
    assert "is not the source that these weights were trained with" in caplog.text
    assert "trainers.timm_registry.allow('my_nets:net')" in Path("out/README.md").read_text()


def test_a_backbone_that_the_checkpoint_is_not_of_is_refused(attnas: Attnas, folder: Path) -> None:
    done = attnas("export", folder, "--to", "out", "--backbone", "resnet20")
    assert done.code == 2 and "is of resnet8; drop it" in done.err


def test_a_network_of_facts_is_in_evaluation_mode_and_leaves_the_callers_random_numbers_alone(folder: Path) -> None:
    facts, state = retrained(folder)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    net = network_of(facts, state)
    assert torch.rand(1) == expected and not net.training
    assert torch.equal(net(images(2)), as_trained(folder)(images(2)))
