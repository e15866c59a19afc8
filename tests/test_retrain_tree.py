"""Image trees read batch by batch: layout, order, augmentation, corrupt files."""

import hashlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from retrain_tree import CLASSES, make_tree

from search_space import UserError
from trainers.execution import Execution
from trainers.image_batches import Batches
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "pets")


def batches(tree: Path, *, workers: int = 0, seed: int = 0, batch_size: int = 5) -> Batches:
    recipe = RetrainRecipe(batch_size=batch_size)
    return Batches(
        image_set(tree), recipe, image_size=16, seed=seed, execution=Execution(device="cpu", workers=workers)
    )


def epoch_of(tree: Path, epoch: int, **options: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*batches(tree, **options).train(epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_a_tree_is_named_and_counted_without_opening_an_image(tree: Path) -> None:
    (tree / "train" / "a" / "0.jpg").write_bytes(b"no image")
    facts = image_set(tree)
    assert (facts.name, facts.classes) == ("folder:pets", CLASSES)
    assert (len(facts.train.labels), len(facts.val.labels)) == (24, 12)


def test_the_listing_hash_is_that_of_sorted_paths_and_sizes(tree: Path) -> None:
    """Oracle: the same text written with os-independent paths from a recursive search."""
    files = sorted((path.relative_to(tree).as_posix(), path.stat().st_size) for path in tree.rglob("*.jpg"))
    text = "".join(f"{path}\0{size}\n" for path, size in files)
    assert image_set(tree).content_hash == f"listing:{hashlib.sha256(text.encode()).hexdigest()}"


def test_the_listing_hash_changes_with_a_file_and_not_with_the_place(tree: Path, tmp_path: Path) -> None:
    before = image_set(tree).content_hash
    moved = tree.rename(tmp_path / "moved")
    assert image_set(moved).content_hash == before
    image = moved / "val" / "a" / "0.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    assert image_set(moved).content_hash != before


@pytest.mark.parametrize(
    "broken, said",
    [
        (shutil.rmtree, "no such directory"),
        (lambda root: shutil.rmtree(root / "train"), "no directory `train`"),
        (lambda root: shutil.rmtree(root / "val"), "no directory `val`"),
        (
            lambda root: [shutil.rmtree(root / part / name) for part in ("train", "val") for name in "bcdef"],
            "one class",
        ),
        (lambda root: [path.unlink() for path in (root / "train" / "c").iterdir()], "without an image.*: c"),
        (lambda root: shutil.rmtree(root / "val" / "d"), "same classes.* d"),
    ],
)
def test_a_tree_that_is_none_is_refused_with_what_is_missing(tree: Path, broken: object, said: str) -> None:
    broken(tree)  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        image_set(tree)


def test_an_epoch_shows_each_image_once_and_drops_the_rest(tree: Path) -> None:
    """24 images, batches of 5: four whole ones; as many of each class as there are when nothing is dropped."""
    assert len(epoch_of(tree, 1)[1]) == 20
    assert epoch_of(tree, 1, batch_size=8)[1].bincount().tolist() == [4] * 6


def test_order_and_augmentation_follow_from_seed_and_epoch(tree: Path) -> None:
    images, labels = epoch_of(tree, 3)
    again = epoch_of(tree, 3)
    assert torch.equal(images, again[0]) and torch.equal(labels, again[1])
    for other in (epoch_of(tree, 4), epoch_of(tree, 3, seed=1)):
        assert not torch.equal(labels, other[1])
        assert not torch.equal(images.sort(0).values, other[0].sort(0).values)


def test_the_number_of_workers_changes_no_image(tree: Path) -> None:
    alone, shared = epoch_of(tree, 1), epoch_of(tree, 1, workers=2)
    assert torch.equal(alone[0], shared[0]) and torch.equal(alone[1], shared[1])


def test_reading_images_leaves_the_callers_random_numbers_alone(tree: Path) -> None:
    random.seed(7)
    torch.manual_seed(7)
    expected = random.random(), torch.rand(1)
    random.seed(7)
    torch.manual_seed(7)
    epoch_of(tree, 1)
    assert (random.random(), torch.rand(1)) == expected


def test_val_images_are_the_centre_of_the_resized_image_in_the_trees_order(tree: Path) -> None:
    """Oracle: Pillow by hand. 44 x 40 becomes floor(16 / 0.875) = 18 pixels on the shorter side, 19 on the other."""
    images = torch.cat([images for images, _ in batches(tree).val()]).numpy()
    paths = sorted((tree / "val").rglob("*.jpg"))
    for image, path in zip(images, paths, strict=True):
        small = Image.open(path).resize((19, 18), Image.Resampling.BILINEAR)
        assert np.array_equal(image.transpose(1, 2, 0), np.asarray(small.crop((2, 1, 18, 17))))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_corrupt_image_is_named_and_never_replaced_by_another(tree: Path, workers: int, part: str) -> None:
    path = tree / part / "b" / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    source = batches(tree, workers=workers, batch_size=8)
    with pytest.raises(UserError) as raised:
        list(source.train(1) if part == "train" else source.val())
    assert str(raised.value).startswith(f"1 image(s) can't be read, and 0 may be left out (--skip-corrupt N): {path}: ")
    assert "Traceback" not in str(raised.value)


def test_an_image_of_16_bits_is_named_instead_of_clipped(tree: Path) -> None:
    path = tree / "val" / "a" / "0.png"
    Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16)).save(path)
    with pytest.raises(UserError, match=f"{path}.*more than 8 bits"):
        list(batches(tree).val())


def test_grey_and_transparent_images_become_rgb(tree: Path) -> None:
    Image.new("L", (20, 20), 90).save(tree / "val" / "a" / "g.png")
    Image.new("RGBA", (20, 20), (90, 90, 90, 10)).save(tree / "val" / "a" / "t.png")
    images = torch.cat([images for images, _ in batches(tree).val()])
    assert images.shape == (14, 3, 16, 16)
    assert torch.equal(images[2:4], torch.full((2, 3, 16, 16), 90, dtype=torch.uint8))
