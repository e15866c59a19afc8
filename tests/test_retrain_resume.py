"""A killed retraining goes on to the same weights, a finished one is not trained again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from finished_retraining import RECIPE, REPOSITORY, go, same, without_times
from retrain_tree import carried_out

from search_space import UserError, find_design
from trainers import imagenet_run
from trainers.checkpoint import own_folder
from trainers.imagenet import Outcome, image_set

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
    pets: Path, whole: tuple[Path, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process, SIGKILL, and the whole way through the storage: the claim of the dead is taken over."""
    from results import open_store
    from search.retraining import retrain as retrain_row

    output, url = tmp_path / "out", f"sqlite:///{tmp_path}/rows.db"
    command = [sys.executable, "-c", KILLED, str(pets), str(output), url]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "epoch 1/3  top-1" in killed.stderr and "epoch 2/3" not in killed.stderr
    assert not (output / "model.pt").exists()
    options: dict[str, Any] = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    with open_store(url) as store:
        assert [row.status for row in store.rows()] == ["running"]
        row = retrain_row(find_design("se"), image_set(pets), store=store, output=output, **carried_out(options))
        assert [row.status for row in store.rows()] == ["complete"]
    assert f"going on after epoch 1 of 3, from {output / 'last.pt'}" in capsys.readouterr().err
    assert same(output, whole[0])
    assert without_times(row.curves) == without_times(whole[1].curves)
    assert (row.accuracy, row.loss) == (whole[1].accuracy, whole[1].loss)
    assert row.seconds is not None and row.seconds >= row.curves[-1]["seconds"] > row.curves[0]["seconds"]


def test_a_retraining_that_was_finished_is_not_trained_again(
    pets: Path, whole: tuple[Path, Outcome], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet_run.Run, "_train_epoch", None)
    (finished / "model.pt").unlink()
    assert go(pets, finished).accuracy == whole[1].accuracy
    assert same(finished, whole[0])


def test_the_seed_and_the_recipe_make_other_weights_and_the_workers_do_not(
    pets: Path, whole: tuple[Path, Outcome], tmp_path: Path
) -> None:
    go(pets, tmp_path / "seed", seed=1)
    assert not same(tmp_path / "seed", whole[0])
    go(pets, tmp_path / "workers", workers=1)
    assert same(tmp_path / "workers", whole[0])


def test_a_training_goes_on_in_its_own_precision(pets: Path, whole: tuple[Path, Outcome], finished: Path) -> None:
    assert go(pets, finished, precision="auto").precision == "float32"
    with pytest.raises(UserError, match=r"'bfloat16' given, but .*last\.pt was trained in float32"):
        go(pets, finished, precision="bfloat16")


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


def test_an_output_that_is_a_file_is_refused(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"output .*can't be used.*another --output"):
        go(pets, tmp_path / "out")


def test_the_curves_survive_as_json(whole: tuple[Path, Outcome]) -> None:
    """A row keeps them as JSON."""
    curves = whole[1].curves
    assert json.loads(json.dumps(curves)) == curves
    assert [record["epoch"] for record in curves] == [1, 2, 3]
    names = "epoch train_loss accuracy top5 loss norm_batch learning_rate seconds images_per_second"
    assert [*curves[0]] == ["epoch", "train_loss", "accuracy", "top5", "loss", *names.split()[5:]]
