"""Checkpoints: a killed retraining goes on to the same weights; what is no checkpoint of it is refused by name."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retrain_tree import carried_out, make_tree

from search_space import UserError, find_design
from trainers import checkpoint, imagenet_run
from trainers.checkpoint import Checkpoint, own_folder
from trainers.imagenet import Halted, Outcome, RetrainRecipe, image_set, retrain

RECIPE = RetrainRecipe(epochs=3, batch_size=8)
REPOSITORY = Path(__file__).parents[1]


def go(tree: Path, output: Path, design: str = "se", **options: Any) -> Outcome:
    fixed = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    return retrain(find_design(design), image_set(tree), output=output, **carried_out(fixed | options))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("resume") / "pets")


@pytest.fixture(scope="module")
def whole(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """An uninterrupted retraining."""
    output = tmp_path_factory.mktemp("whole") / "out"
    return output, go(tree, output)


@pytest.fixture
def finished(whole: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(whole[0], tmp_path / "out"))


def without_times(curves: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in record.items() if k not in ("seconds", "images_per_second")} for record in curves]


def same(a: Path, b: Path) -> bool:
    left, right = (torch.load(path / "model.pt", weights_only=True) for path in (a, b))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


KILLED = """
import os, signal, sys
from pathlib import Path
from results import open_store
from search.retraining import retrain
from search_space import find_design
from trainers.image_batches import Views
from trainers.image_set import image_set
from trainers.imagenet import Execution, RetrainRecipe

reads, read = 0, Views.__getitem__
def counting(self, index):
    global reads
    reads += 1
    if reads == 24 + 12 + 13:  # in the middle of the second epoch: an epoch reads 24 + 12 images
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self, index)
Views.__getitem__ = counting

tree, output, url = sys.argv[1:]
retrain(find_design("se"), image_set(Path(tree)), store=open_store(url), backbone="resnet8", image_size=32,
        recipe=RetrainRecipe(epochs=3, batch_size=8), output=Path(output),
        execution=Execution(workers=0, device="cpu", precision="float32"))
"""


def test_a_retraining_killed_in_its_second_epoch_ends_with_the_weights_of_an_uninterrupted_one(
    tree: Path, whole: tuple[Path, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process, SIGKILL, and the whole way through the storage: the claim of the dead is taken over."""
    from results import open_store
    from search.retraining import retrain as retrain_row

    output, url = tmp_path / "out", f"sqlite:///{tmp_path}/rows.db"
    command = [sys.executable, "-c", KILLED, str(tree), str(output), url]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "epoch 1/3  top-1" in killed.stderr and "epoch 2/3" not in killed.stderr
    assert not (output / "model.pt").exists()
    options: dict[str, Any] = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    with open_store(url) as store:
        assert [row.status for row in store.rows()] == ["running"]
        row = retrain_row(find_design("se"), image_set(tree), store=store, output=output, **carried_out(options))
        assert [row.status for row in store.rows()] == ["complete"]
    assert f"going on after epoch 1 of 3, from {output / 'last.pt'}" in capsys.readouterr().err
    assert same(output, whole[0])
    assert without_times(row.curves) == without_times(whole[1].curves)
    assert (row.accuracy, row.loss) == (whole[1].accuracy, whole[1].loss)
    assert row.seconds is not None and row.seconds >= row.curves[-1]["seconds"] > row.curves[0]["seconds"]


def test_a_retraining_that_was_finished_is_not_trained_again(
    tree: Path, whole: tuple[Path, Outcome], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet_run.Run, "_train_epoch", None)
    (finished / "model.pt").unlink()
    assert go(tree, finished).accuracy == whole[1].accuracy
    assert same(finished, whole[0])


def test_the_seed_and_the_recipe_make_other_weights_and_the_workers_do_not(
    tree: Path, whole: tuple[Path, Outcome], tmp_path: Path
) -> None:
    go(tree, tmp_path / "seed", seed=1)
    assert not same(tmp_path / "seed", whole[0])
    go(tree, tmp_path / "workers", workers=1)
    assert same(tmp_path / "workers", whole[0])


@pytest.mark.parametrize(
    "changed, there, given",
    [
        ({"design": "eca"}, "avg/mlp-r16 in", "avg/conv1d"),
        ({"backbone": "resnet20"}, "in resnet8", "in resnet20"),
        ({"image_size": 40}, "at 32 px", "at 40 px"),
        ({"recipe": replace(RECIPE, epochs=4)}, "3 epochs", "4 epochs"),
        ({"recipe": replace(RECIPE, learning_rate=0.7)}, "peak 0.003125", "peak 0.7"),
        ({"seed": 5}, "seed 0", "seed 5"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused_naming_both(
    tree: Path, finished: Path, changed: dict[str, Any], there: str, given: str
) -> None:
    before = (finished / "last.pt").read_bytes()
    with pytest.raises(UserError) as raised:
        go(tree, finished, **changed)
    assert re.search(
        f"last.pt is the checkpoint of another run:\n  there: .*{there}.*\n  given: .*{given}", f"{raised.value}"
    )
    assert "another --output" in str(raised.value)
    assert (finished / "last.pt").read_bytes() == before


def test_a_checkpoint_of_other_images_is_refused(tree: Path, finished: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tree, tmp_path / "pets"))
    (other / "train" / "a" / "0.jpg").unlink()
    with pytest.raises(UserError, match="another run"):
        go(other, finished)


def test_a_truncated_checkpoint_is_refused_by_name(tree: Path, finished: Path) -> None:
    path = finished / "last.pt"
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=f"{path} is damaged .*(?s:.*)delete it .*another --output"):
            go(tree, finished)


def test_a_flipped_bit_in_the_weights_is_noticed(tree: Path, finished: Path) -> None:
    """torch.load alone would read the wrong weight."""
    path = finished / "last.pt"
    content = bytearray(path.read_bytes())
    weight = Checkpoint.load(path, _identity(path)).model["head.weight"].numpy().tobytes()  # type: ignore[union-attr]
    content[content.index(weight) + 5] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    with pytest.raises(UserError, match=f"{path} is damaged .*wrong checksum"):
        go(tree, finished)


def _identity(path: Path) -> str:
    return str(torch.load(path, weights_only=True)["identity"])


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


def test_a_checkpoint_that_calls_something_is_refused_and_calls_nothing(tree: Path, finished: Path) -> None:
    path, marker = finished / "last.pt", finished / "executed"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"curves": Payload(marker)}, path)
    with pytest.raises(UserError, match=f"{path} is damaged or is no checkpoint"):
        go(tree, finished)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # so it would have


@pytest.mark.parametrize("state", [{"model": {}}, [1, 2], {"identity": "x", "epochs": 3}])
def test_a_file_of_torch_that_is_no_checkpoint_is_refused_by_name(tree: Path, finished: Path, state: Any) -> None:
    torch.save(state, finished / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt is damaged or is no checkpoint"):
        go(tree, finished)


def test_weights_that_do_not_fit_the_network_are_refused_by_name(tree: Path, finished: Path) -> None:
    """As after a version in which a layer was called otherwise."""
    path = finished / "last.pt"
    state = torch.load(path, weights_only=True)
    state["model"]["old_name"] = state["model"].pop("head.weight")
    torch.save(state, path)
    with pytest.raises(UserError, match=f"{path} is damaged or is no checkpoint"):
        go(tree, finished)


def test_a_checkpoint_that_can_not_be_written_leaves_the_one_before(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished / "last.pt"
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(UserError, match=f"{path} can't be written.*No space left.*same command"):
        Checkpoint(identity="x", precision="float32", model={}, optimiser={}, curves=[]).save(path)
    assert path.read_bytes() == before


def test_a_new_checkpoint_takes_the_place_of_the_old_one_which_is_never_written_into(finished: Path) -> None:
    """Oracle: whoever has the old file open still reads it whole, so a kill at any moment leaves one of the two."""
    path = finished / "last.pt"
    before, names = path.read_bytes(), sorted(finished.iterdir())
    with path.open("rb") as old:
        Checkpoint(identity="x", precision="float32", model={}, optimiser={}, curves=[]).save(path)
        assert old.read() == before
    assert Checkpoint.load(path, "x") is not None
    assert sorted(finished.iterdir()) == names


def test_a_training_goes_on_in_its_own_precision(tree: Path, whole: tuple[Path, Outcome], finished: Path) -> None:
    assert go(tree, finished, precision="auto").precision == "float32"
    with pytest.raises(UserError, match=r"'bfloat16' given, but .*last\.pt was trained in float32"):
        go(tree, finished, precision="bfloat16")


HOLD = """
import sys, time
from pathlib import Path
from trainers.checkpoint import own_folder
with own_folder(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_train_into_one_folder_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "mine\n"
            with (
                pytest.raises(UserError, match=r"another process trains into .*another --output"),
                own_folder(tmp_path),
            ):
                pass
        finally:
            other.kill()
    with own_folder(tmp_path):
        pass


def test_an_output_that_is_a_file_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"output .*can't be used.*another --output"):
        go(tree, tmp_path / "out")


def test_the_curves_survive_as_json(whole: tuple[Path, Outcome]) -> None:
    """A row keeps them as JSON."""
    curves = whole[1].curves
    assert json.loads(json.dumps(curves)) == curves
    assert [record["epoch"] for record in curves] == [1, 2, 3]
    names = "epoch train_loss accuracy top5 loss norm_batch learning_rate seconds images_per_second"
    assert [*curves[0]] == ["epoch", "train_loss", "accuracy", "top5", "loss", *names.split()[5:]]


def test_what_may_pass_is_no_damage(tree: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to delete a good checkpoint because a disk was away, or memory short."""

    def fails(error: Exception) -> None:
        def raising(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(checkpoint, "read", raising)

    fails(OSError(116, "Stale file handle"))
    with pytest.raises(UserError, match=r"last\.pt can't be read now: .*Stale file handle"):
        go(tree, finished)
    fails(MemoryError("no room"))
    with pytest.raises(MemoryError):
        go(tree, finished)


def test_a_damaged_checkpoint_names_the_one_to_go_on_from_and_a_training_begun_anew_leaves_older_ones(
    tree: Path, finished: Path
) -> None:
    (finished / "last.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"Copy epoch-0003\.pt over it to go on from there, delete it"):
        go(tree, finished)
    (finished / "last.pt").unlink()
    looks = iter([False] * 6)  # 3 updates and 2 batches of measuring an epoch
    with pytest.raises(Halted):
        go(tree, finished, stop=lambda: next(looks, True))
    assert {"epoch-0001.pt", "epoch-0003.pt"} <= {path.name for path in finished.iterdir()}
    shutil.copyfile(finished / "epoch-0003.pt", finished / "last.pt")
    assert len(go(tree, finished).curves) == 3
    assert not list(finished.glob("*.part"))
