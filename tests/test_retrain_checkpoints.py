"""What is no checkpoint of a retraining is refused by name; a good one is never lost."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_retraining import RECIPE, go

from search_space import UserError
from trainers import checkpoint
from trainers.checkpoint import Checkpoint
from trainers.imagenet import Halted


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
    pets: Path, finished: Path, changed: dict[str, Any], there: str, given: str
) -> None:
    before = (finished / "last.pt").read_bytes()
    with pytest.raises(UserError) as raised:
        go(pets, finished, **changed)
    assert re.search(
        f"last.pt is the checkpoint of another run:\n  there: .*{there}.*\n  given: .*{given}", f"{raised.value}"
    )
    assert "another --output" in str(raised.value)
    assert (finished / "last.pt").read_bytes() == before


def test_a_checkpoint_of_other_images_is_refused(pets: Path, finished: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pets, tmp_path / "pets"))
    (other / "train" / "a" / "0.jpg").unlink()
    with pytest.raises(UserError, match="another run"):
        go(other, finished)


def test_a_truncated_checkpoint_is_refused_by_name(pets: Path, finished: Path) -> None:
    path = finished / "last.pt"
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=f"{path} is damaged .*(?s:.*)delete it .*another --output"):
            go(pets, finished)


def test_a_flipped_bit_in_the_weights_is_noticed(pets: Path, finished: Path) -> None:
    """torch.load alone would read the wrong weight."""
    path = finished / "last.pt"
    content = bytearray(path.read_bytes())
    weight = Checkpoint.load(path, _identity(path)).model["head.weight"].numpy().tobytes()  # type: ignore[union-attr]
    content[content.index(weight) + 5] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    with pytest.raises(UserError, match=f"{path} is damaged .*wrong checksum"):
        go(pets, finished)


def _identity(path: Path) -> str:
    return str(torch.load(path, weights_only=True)["identity"])


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


def test_a_checkpoint_that_calls_something_is_refused_and_calls_nothing(pets: Path, finished: Path) -> None:
    path, marker = finished / "last.pt", finished / "executed"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"curves": Payload(marker)}, path)
    with pytest.raises(UserError, match=f"{path} is damaged or is no checkpoint"):
        go(pets, finished)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # so it would have


@pytest.mark.parametrize("state", [{"model": {}}, [1, 2], {"identity": "x", "epochs": 3}])
def test_a_file_of_torch_that_is_no_checkpoint_is_refused_by_name(pets: Path, finished: Path, state: Any) -> None:
    torch.save(state, finished / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt is damaged or is no checkpoint"):
        go(pets, finished)


def test_weights_that_do_not_fit_the_network_are_refused_by_name(pets: Path, finished: Path) -> None:
    """As after a version in which a layer was called otherwise."""
    path = finished / "last.pt"
    state = torch.load(path, weights_only=True)
    state["model"]["old_name"] = state["model"].pop("head.weight")
    torch.save(state, path)
    with pytest.raises(UserError, match=f"{path} is damaged or is no checkpoint"):
        go(pets, finished)


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


def test_what_may_pass_is_no_damage(pets: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to delete a good checkpoint because a disk was away, or memory short."""

    def fails(error: Exception) -> None:
        def raising(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(checkpoint, "read", raising)

    fails(OSError(116, "Stale file handle"))
    with pytest.raises(UserError, match=r"last\.pt can't be read now: .*Stale file handle"):
        go(pets, finished)
    fails(MemoryError("no room"))
    with pytest.raises(MemoryError):
        go(pets, finished)


def test_a_damaged_checkpoint_names_the_one_to_go_on_from_and_a_training_begun_anew_leaves_older_ones(
    pets: Path, finished: Path
) -> None:
    (finished / "last.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"Copy epoch-0003\.pt over it to go on from there, delete it"):
        go(pets, finished)
    (finished / "last.pt").unlink()
    looks = iter([False] * 6)  # 3 updates and 2 batches of measuring an epoch
    with pytest.raises(Halted):
        go(pets, finished, stop=lambda: next(looks, True))
    assert {"epoch-0001.pt", "epoch-0003.pt"} <= {path.name for path in finished.iterdir()}
    shutil.copyfile(finished / "epoch-0003.pt", finished / "last.pt")
    assert len(go(pets, finished).curves) == 3
    assert not list(finished.glob("*.part"))
