"""Image sets in Parquet as the Hugging Face hub publishes them. The oracle is the same images as a tree of files."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from retrain_tree import CLASSES, make_tree

from search_space import UserError
from trainers.execution import Execution
from trainers.image_batches import Batches
from trainers.image_parquet import ParquetPart
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe

ALONE = Execution(device="cpu", workers=0)


def write_parquet(tree: Path, root: Path, *, files: int = 2, group: int = 5, names: bool = True) -> Path:
    """The images of a tree as `datasets` writes them: image {bytes, path}, label, the classes' names in the schema."""
    (root / "data").mkdir(parents=True)
    for part, called in (("train", "train"), ("val", "validation")):
        paths = sorted((tree / part).rglob("*.jpg"))
        rows = [({"bytes": path.read_bytes(), "path": path.name}, CLASSES.index(path.parent.name)) for path in paths]
        for number in range(files):
            here = rows[number * len(rows) // files : (number + 1) * len(rows) // files]
            table = pa.table(
                {
                    "image": pa.array(
                        [image for image, _ in here], pa.struct({"bytes": pa.binary(), "path": pa.string()})
                    ),
                    "label": pa.array([label for _, label in here], pa.int64()),
                }
            )
            features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
            if names:
                info = json.dumps({"info": {"features": features}})
                table = table.replace_schema_metadata({"huggingface": info})
            name = f"{called}-{number:05}-of-{files:05}.parquet"
            parquet.write_table(table, root / "data" / name, row_group_size=group, compression="snappy")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "pets")


@pytest.fixture
def published(tree: Path, tmp_path: Path) -> Path:
    return write_parquet(tree, tmp_path / "pets-parquet")


def test_the_same_images_are_the_same_tensors_from_files_and_from_parquet(tree: Path, published: Path) -> None:
    """Of every index the same image, class, crop and mirror: both list the images in the same order here."""
    recipe = RetrainRecipe(batch_size=4)
    both = [Batches(image_set(root), recipe, image_size=16, seed=3, execution=ALONE) for root in (tree, published)]
    for epoch in (1, 2):
        files, rows = (batches.augmented(epoch) for batches in both)
        for index in range(24):
            (image, label), (same, alike) = files[index], rows[index]
            assert torch.equal(image, same) and label == alike, (epoch, index)
    measured = [torch.cat([images for images, _ in batches.val()]) for batches in both]
    assert torch.equal(*measured)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_shows_each_image_once_in_an_order_of_its_own(published: Path, workers: int) -> None:
    batches = Batches(
        image_set(published),
        RetrainRecipe(batch_size=8),
        image_size=16,
        seed=0,
        execution=replace(ALONE, workers=workers),
    )
    first, second = ([labels for _, labels in batches.train(epoch)] for epoch in (1, 2))
    assert torch.cat(first).bincount().tolist() == torch.cat(second).bincount().tolist() == [4] * 6
    assert not torch.equal(torch.cat(first), torch.cat(second))


def test_facts_are_told_without_reading_an_image(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParquetPart, "read", lambda *_: pytest.fail("an image was read"))
    images = image_set(published)
    assert (images.name, images.classes) == ("parquet:pets-parquet", CLASSES)
    assert images.train.labels.tolist() == [label for label in range(6) for _ in range(4)]
    assert images.content_hash.startswith("listing:")


def test_rows_of_a_few_groups_are_shuffled_together_and_every_group_is_read_once(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 rows in groups of 5, 5, 2 a file; two groups are a window."""
    part = ParquetPart.open(sorted((published / "data").glob("train*")))
    part.window = 2
    order = part.order(np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(24))
    groups = [int(np.searchsorted(part.starts, index, side="right")) - 1 for index in order]
    read: list[int] = []
    opened = parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        parquet.ParquetFile,
        "read_row_group",
        lambda self, i, **options: (read.append(i), opened(self, i, **options))[1],
    )
    for index in order.tolist():
        part.read(index)
    assert len(read) == 6 and len(set(groups[:6])) == 2


def test_classes_without_names_are_their_numbers(tree: Path, tmp_path: Path) -> None:
    assert image_set(write_parquet(tree, tmp_path / "p", names=False)).classes == tuple("012345")


def test_the_hash_changes_with_the_content_and_not_with_the_place(published: Path, tree: Path, tmp_path: Path) -> None:
    before = image_set(published).content_hash
    moved = published.rename(tmp_path / "moved")
    assert image_set(moved).content_hash == before
    path = sorted((tree / "train" / "a").iterdir())[0]
    Image.new("RGB", (44, 40), (1, 2, 3)).save(path)
    assert image_set(write_parquet(tree, tmp_path / "other")).content_hash != before


def _broken(root: Path, **columns: Any) -> None:
    parquet.write_table(pa.table(columns), root / "data" / "train-00000-of-00002.parquet")


@pytest.mark.parametrize(
    "broken, said",
    [
        (lambda root: [path.unlink() for path in (root / "data").glob("val*")], "none for validation"),
        (lambda root: (root / "data" / "train-00000-of-00002.parquet").unlink(), "of 2 files like .* are missing: 0"),
        (
            lambda root: (root / "data" / "train-00000-of-00002.parquet").write_bytes(b"PAR1"),
            "can't be read as Parquet",
        ),
        (lambda root: _broken(root, picture=[b"x"], label=[1]), "has the columns picture, label; allowed: `image`"),
        (lambda root: _broken(root, image=["text"], label=[1]), "has the columns image, label; allowed: `image`"),
        (lambda root: _broken(root, image=[b"x"], label=[None]), "missing; allowed: whole numbers"),
        (lambda root: _broken(root, image=[b"x"], label=[-1]), "names other classes|labels from -1"),
    ],
)
def test_files_that_are_none_of_images_are_refused_with_what_is_wrong(published: Path, broken: Any, said: str) -> None:
    broken(published)
    with pytest.raises(UserError, match=said):
        image_set(published)


def test_a_corrupt_image_is_named_by_file_group_and_row(published: Path, tree: Path, tmp_path: Path) -> None:
    path = sorted((tree / "val" / "b").iterdir())[1]
    path.write_bytes(path.read_bytes()[:600])
    images = image_set(write_parquet(tree, tmp_path / "broken", files=1))
    batches = Batches(images, RetrainRecipe(batch_size=4), image_size=16, seed=0, execution=ALONE)
    with pytest.raises(UserError, match=r"validation-00000-of-00001.parquet, row group 0, row 3: .*runcated"):
        list(batches.val())


def test_png_images_are_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), (9, 99, 199)).save(buffer, "PNG")
    for part in ("train", "validation"):
        table = pa.table({"image": [buffer.getvalue()] * 4, "label": [0, 1, 0, 1]})
        parquet.write_table(table, tmp_path / "data" / f"{part}-00000-of-00001.parquet")
    batches = Batches(
        image_set(tmp_path),
        RetrainRecipe(batch_size=4),
        image_size=16,
        seed=0,
        execution=ALONE,
    )
    [(images, labels)] = batches.val()
    assert labels.tolist() == [0, 1, 0, 1]
    assert torch.equal(images[:, :, 8, 8], torch.tensor([[9, 99, 199]] * 4, dtype=torch.uint8))


def test_rows_that_stand_by_class_and_are_too_many_to_be_shuffled_at_once_are_refused(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.image_parquet._WINDOW_BYTES", 1)  # two row groups
    with pytest.raises(UserError, match=r"rows of train stand by class \(. of 4 in 4 neighbours\)"):
        image_set(write_parquet(tree, tmp_path / "sorted", files=1, group=2))


def test_labels_without_names_that_are_no_numbers_of_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for part in ("train", "validation"):
        table = pa.table({"image": [b"x"] * 2, "label": [7, 3_000_000]})
        parquet.write_table(table, tmp_path / "data" / f"{part}-00000-of-00001.parquet")
    with pytest.raises(UserError, match="labels up to 3000000 of 2 classes"):
        image_set(tmp_path)
