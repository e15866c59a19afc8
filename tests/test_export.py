"""What `attnas export` writes says what the network says, wherever it is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import timm
import torch
import yaml
from exported_nets import FOLDER, RECIPE, as_trained, images, train
from PIL import Image
from safetensors import safe_open

from search_space import NONE, PRESETS, find_design
from trainers import backbone, cost, parity, timm_registry
from trainers import export as export_module
from trainers.augment import normalise
from trainers.export import export
from trainers.image_decode import central
from trainers.imagenet_recipe import FCA
from trainers.retrained import facts_of, retrained

Attnas = Callable[..., Any]
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("taken")
    return train(root, root / "retrain" / FOLDER)


@pytest.fixture(scope="module")
def taken(folder: Path) -> Path:
    return export(*retrained(folder), folder.parents[1] / "out").directory


LOADER = """
import sys
import trainers.timm_registry
import timm, torch

net = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
images, expected = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    print(torch.equal(net(images), expected), net.pretrained_cfg["label_names"])
"""


def test_timm_in_another_process_gives_the_same_bits_after_importing_the_registration(
    folder: Path, taken: Path, tmp_path: Path
) -> None:
    """Oracle: the training's own state dict in `backbone`. From another folder, with the hub out of reach."""
    with torch.no_grad():
        torch.save((images(3), as_trained(folder)(images(3))), tmp_path / "expected.pt")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOADER, str(taken), str(tmp_path / "expected.pt")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "['a', 'b', 'c', 'd', 'e', 'f']\n"]


@pytest.mark.parametrize("batch", [1, 5])
def test_graphs_take_any_batch_and_say_what_the_network_says(folder: Path, taken: Path, batch: int) -> None:
    """Oracle: the training's own state dict in `backbone`, in PyTorch."""
    expected = as_trained(folder)(images(batch)).detach()
    session = onnxruntime.InferenceSession(str(taken / "model.onnx"), providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], {"images": images(batch).numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-5, rtol=0)
    graph = torch.export.load(taken / "model.pt2").module()
    torch.testing.assert_close(graph(images(batch)), expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.05


def test_the_onnx_file_says_its_opset_and_what_it_is(taken: Path) -> None:
    model = onnx.load(taken / "model.onnx")
    assert [one.version for one in model.opset_import if one.domain == ""] == [18]
    sides = [side.dim_param or side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", 3, 32, 32]
    about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert about["design"] == "dct-top16/mlp-r16" and about["classes"] == list("abcdef") and about["state"] == "trained"


def test_the_config_carries_the_design_as_text_and_how_images_are_put(taken: Path) -> None:
    config = json.loads((taken / "config.json").read_text())
    assert config["model_args"]["design"] == "dct-top16/mlp-r16"
    assert config["model_args"]["backbone"] == "resnet8"
    assert (config["pretrained_cfg"]["crop_pct"], config["pretrained_cfg"]["interpolation"]) == (0.875, "bilinear")
    with safe_open(taken / "model.safetensors", "pt") as weights:
        assert set(weights.keys()) == set(backbone("resnet8", PRESETS["fca-ts"], num_classes=6).state_dict())


def test_the_card_has_the_numbers_under_the_name_of_their_data(folder: Path, taken: Path) -> None:
    """Oracle: the training's own last record, and `cost`. YAML as the hub reads it."""
    text = (taken / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    head = yaml.safe_load(front)
    last = torch.load(folder / "last.pt", weights_only=True)["curves"][-1]
    [result] = head["model-index"][0]["results"]
    assert head["library_name"] == "timm" and "license" not in head
    assert result["dataset"]["name"] == "folder:pets, val"
    assert [metric["value"] for metric in result["metrics"]] == [last["accuracy"], last["top5"]]
    assert f"{last['accuracy']:.2%}" in body and "12 images" in body and "UNTRAINED" not in text.upper()
    assert f"{cost(as_trained(folder), 32).params:,}" in body
    assert "imagenet" not in text.lower()


def test_the_card_explains_a_choice_that_training_made_and_shows_no_name_as_markup(tmp_path: Path) -> None:
    facts = facts_of(find_design("fca-nas"), "resnet8", 32, ("<script>", "`b`"), FCA)
    export(facts, None, tmp_path / "out", onnx=False, torch_export=False)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "UNTRAINED" in text and "What these weights chose, as a design: `dct-at" in text
    assert "<script>" not in text and "model-index" not in text


def test_the_code_of_the_card_runs_and_puts_images_as_the_training_did(folder: Path, taken: Path) -> None:
    """Oracle: the training's own central crops and network. Its images are too small to be decoded at less."""
    [code] = re.findall(r"```python\n(.*?)```", (taken / "README.md").read_text(), re.DOTALL)
    path = folder.parents[1] / "pets" / "val" / "a" / "0.jpg"
    names: dict[str, Any] = {"image": Image.open(path).convert("RGB")}
    exec(code.replace("PATH/OF/THIS/FOLDER", str(taken)), names)
    pixels = central(RECIPE, 32)(path.read_bytes())[None]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(names["logits"], as_trained(folder)(normalise(pixels, mean, std)), atol=1e-5, rtol=0)
    assert names["net"].pretrained_cfg["label_names"] == list("abcdef")


def test_checksums_are_those_of_the_files(taken: Path) -> None:
    lines = [line.split("  ") for line in (taken / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == {"config.json", "model.onnx", "model.pt2", "model.safetensors"}
    assert len({path.stat().st_mode for path in taken.iterdir()}) == 1  # readable to whom the card is
    for digest, name in lines:
        assert hashlib.sha256((taken / name).read_bytes()).hexdigest() == digest


WIDE = ("gc", "ema", "sge")  # for which 16 channels are too few


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back_through_timm_bit_for_bit(name: str, tmp_path: Path) -> None:
    """`export` compares; this one compares again, against the network that the seed draws."""
    network = "resnet18-cifar" if name in WIDE else "resnet8"
    torch.manual_seed(0)
    expected = backbone(network, PRESETS[name], num_classes=3, scale="paper", gate_start="paper").eval()
    facts = facts_of(PRESETS[name], network, 32, ("a", "b", "c"), FCA)
    export(facts, None, tmp_path / "out", onnx=False, torch_export=False)
    loaded = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert torch.equal(loaded(images(2)), expected(images(2)))


@pytest.mark.parametrize("network", ["test_efficientnet", "test_byobnet", "test_nfnet"])
def test_a_network_with_attention_of_its_own_comes_back_through_timm_bit_for_bit(network: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = backbone(network, find_design("avg/mlp-r4"), num_classes=3).eval()
    facts = facts_of(find_design("avg/mlp-r4"), network, 32, ("a", "b", "c"), FCA)
    export(facts, None, tmp_path / "out", onnx=False, torch_export=False)
    loaded = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert torch.equal(loaded(images(2)), expected(images(2)))


@pytest.mark.parametrize("name", ["ba", "haar-d2-all-energy/mlp-r16 | entropy/cfc | fca-nas"])
def test_a_network_exports_to_every_form(name: str, tmp_path: Path) -> None:
    """Other kinds than the trained one's: hooks; energies, statistics and learned frequencies, one design a place."""
    made = export(facts_of(find_design(name), "resnet8", 32, ("a", "b", "c"), FCA), None, tmp_path / "out")
    assert [(check.name, check.batch) for check in made.checks] == [
        (name, batch) for name in ("timm.create_model", "torch.export", "ONNX Runtime") for batch in (1, 3)
    ]
    assert {"model.safetensors", "model.onnx", "model.pt2"} < set(made.files)


def test_what_timm_offers_for_its_own_networks_works(tmp_path: Path) -> None:
    """Another number of classes keeps all but the classifier; features come stage by stage."""
    facts = facts_of(find_design("eca"), "resnet18", 32, ("a", "b", "c"), FCA)
    out = export(facts, None, tmp_path / "out", onnx=False, torch_export=False).directory
    whole = timm.create_model(f"local-dir:{out}", pretrained=True)
    tuned = timm.create_model(f"local-dir:{out}", pretrained=True, num_classes=7, drop_path_rate=0.1)
    assert tuned(images(2)).shape == (2, 7)
    assert torch.equal(tuned.layer4[1].conv2.weight, whole.layer4[1].conv2.weight)
    features = timm.create_model(f"local-dir:{out}", pretrained=True, features_only=True)
    assert [tuple(one.shape[1:]) for one in features(images(2))][-2:] == [(256, 2, 2), (512, 1, 1)]


def test_an_export_that_computes_something_else_is_not_made(
    attnas: Attnas, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Logits of ONNX Runtime a ten-thousandth off."""
    real = export_module.runner
    monkeypatch.setattr(export_module, "runner", lambda session: lambda x: real(session)(x) + 1e-4)
    done = attnas("export", folder, "--to", "out", "--no-torch-export")
    assert done.code == 1 and "ONNX Runtime, batch 1: largest difference of logits 1.0e-04" in done.err
    assert "Traceback" not in done.err and not list(tmp_path.iterdir())


def test_parity_allows_a_hundred_thousandth_of_logits_up_to_one_and_a_share_of_larger_ones() -> None:
    x = torch.zeros(3, 2)

    def off(size: float, by: float) -> list[parity.Parity]:
        return parity.compare("it", lambda x: x + size, lambda x: x + size + by, x.double(), exact=False)

    assert off(0.5, 0.9e-5)[0].difference == pytest.approx(0.9e-5)
    assert off(20.0, 19e-5)[0].allowed == pytest.approx(2e-4)
    for size, by in ((0.5, 1.1e-5), (20.0, 21e-5), (0.5, float("nan")), (float("inf"), 0.0)):
        with pytest.raises(parity.ParityError):
            off(size, by)


def test_an_export_is_told_and_measured_the_same_in_json(attnas: Attnas, folder: Path) -> None:
    done = attnas("export", folder, "--to", "here/out", "--no-torch-export", "--no-onnx")
    assert done.code == 0, done.err
    assert "on val of folder:pets, 12 images, after epoch 2, seed 0" in done.out
    assert "timm.create_model, batch 3: largest difference of logits 0.0e+00" in done.out
    assert "here/out: model.safetensors" in done.out
    told = json.loads(attnas("export", folder, "--to", "json", "--no-torch-export", "--no-onnx", "--json").out)
    assert told["trained"] and told["measured"]["images"] == 12 and told["opset"] is None
    assert [check["difference"] for check in told["checks"]] == [0.0, 0.0]


@pytest.mark.parametrize(
    "words, said",
    [
        (["se", "--to", "full"], "full holds 'mine', and nothing is written over"),
        (["se", "--to", "full/mine"], "is there and is no folder"),
        (["se", "--to", "full/mine/out", "--backbone", "resnet8"], "name another place (--to)"),
        (["se", "--to", "out"], "no retraining of it in retrain"),
        (["sea", "--to", "out"], "'sea' is no file or folder that exists, and no design"),
        (["se", "--to", "out", "--backbone", "resnet9"], "'resnet9' does not exist"),
        (["se", "--to", "out", "--backbone", "resnet8", "--opset", 17], "opset: 17 given; allowed: 18 to "),
        (["se", "--to", "out", "--backbone", "resnet8", "--opset", 999], "opset: 999 given; allowed: 18 to "),
        (["full", "--to", "out"], "holds neither model.pt nor last.pt"),
        (["full/mine", "--to", "out"], "allowed: its folder, model.pt or last.pt"),
        (["full", "--to", "out", "--classes", 3], "drop --image-size, --classes and --placement"),
    ],
)
def test_what_can_t_be_exported_is_refused_and_nothing_is_made(attnas: Attnas, words: list[Any], said: str) -> None:
    Path("full").mkdir()
    Path("full/mine").write_text("precious")
    done = attnas("export", *words)
    assert done.code == 2 and said in done.err
    assert Path("full/mine").read_text() == "precious" and [path.name for path in Path().iterdir()] == ["full"]


def test_without_onnx_the_line_to_type_is_said(attnas: Attnas, monkeypatch: pytest.MonkeyPatch) -> None:
    found = export_module.require_onnx.__globals__["find_spec"]
    monkeypatch.setitem(
        export_module.require_onnx.__globals__, "find_spec", lambda name: None if "onnxs" in name else found(name)
    )
    done = attnas("export", "se", "--backbone", "resnet8", "--to", "out")
    assert done.code == 2 and "ONNX needs onnxscript: pip install 'attnas[export]'" in done.err


def test_generated_images_have_the_spectrum_of_photographs() -> None:
    """Oracle: a straight line through log amplitude against log frequency, by NumPy's transform and fit."""
    np = pytest.importorskip("numpy")
    pixels = parity.photograph_like(8, 64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).numpy()
    amplitude = abs(np.fft.fft(pixels, axis=-1)).mean((0, 1, 2))[2:24]
    slope = np.polyfit(np.log(np.arange(2, 24)), np.log(amplitude), 1)[0]
    assert -1.3 < slope < -0.3 and abs(pixels.std() - 1) < 0.2


def test_the_registered_name_builds_a_network_of_its_arguments() -> None:
    net = timm.create_model(
        timm_registry.ARCHITECTURE, design="none", backbone="resnet8", num_classes=4, pretrained_cfg={"num_classes": 4}
    )
    assert net.state_dict().keys() == backbone("resnet8", NONE, num_classes=4).state_dict().keys()
    with pytest.raises(Exception, match="in_chans: 1 given"):
        timm.create_model(timm_registry.ARCHITECTURE, design="se", backbone="resnet8", in_chans=1)
