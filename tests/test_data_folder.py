"""Trees of image files: layout, pixels, hash, cache, and everything that can be wrong with them."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_space.errors import UserError
from trainers import folder
from trainers.data import load_data
from trainers.folder_cache import ARRAY_NAMES, FolderCache
from trainers.folder_decode import pixels
from trainers.image_data import ImageData

CLASSES = ("cat", "dog")


def picture(seed: int, width: int = 12, height: int = 8) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """pets/train/{cat,dog} with 12 images each, pets/val with 2 each."""
    root = tmp_path / "pets"
    for part, count in (("train", 12), ("val", 2)):
        for label, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                picture(100 * label + i + count).save(root / part / name / f"{i:02d}.png")
    return root


def load(tree: Path, size: int = 8, skip_corrupt: bool = False) -> ImageData:
    return load_data(f"folder:{tree}", image_size=size, cache_dir=tree.parent / "cache", skip_corrupt=skip_corrupt)


def contents(data: ImageData) -> list[tuple[bytes, int]]:
    """Every (pixels, label) of every split."""
    splits = [split for split in (data.train, data.validation, data.test) if split is not None]
    return [(i.numpy().tobytes(), int(y)) for split in splits for i, y in zip(split.images, split.labels, strict=True)]


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(folder, "decode", refuse)


def test_a_tree_becomes_train_validation_and_test_with_each_image_once(tree: Path) -> None:
    """Oracle: each file decoded alone; 12 a class leave 11 to train and 1 to validate."""
    data = load(tree)
    assert (data.name, data.classes, data.image_size, data.flip) == ("folder:pets", CLASSES, 8, True)
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 4)
    expected = [
        (pixels(path.read_bytes(), 8).tobytes(), CLASSES.index(path.parent.name)) for path in tree.rglob("*.png")
    ]
    assert sorted(contents(data)) == sorted(expected)


def test_a_tree_without_val_has_no_test_set(tree: Path) -> None:
    shutil.rmtree(tree / "val")
    assert load(tree).test is None


def test_the_middle_square_is_kept_and_channels_come_first() -> None:
    """Oracle: a picture painted blue, red, green from left to right whose middle square is red."""
    image = Image.new("RGB", (60, 20), "blue")
    image.paste("red", (20, 0, 40, 20))
    image.paste("lime", (40, 0, 60, 20))
    file = io.BytesIO()
    image.save(file, "png")
    red = np.array([255, 0, 0])[:, None, None]
    assert (pixels(file.getvalue(), 20) == red).all()
    for size in (10, 40):  # at another size the filter reaches over the border of the square
        result = pixels(file.getvalue(), size)
        assert result.shape == (3, size, size) and result.dtype == np.uint8
        assert (result[:, :, size // 4 : -size // 4] == red).all()


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    """Oracle: a fine checkerboard of black and white is grey when seen from afar."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(board).save(file, "png")
    assert np.abs(pixels(file.getvalue(), 8).astype(int) - 127).max() <= 6


@pytest.mark.parametrize(
    ("mode", "extension"), [("L", "JPG"), ("P", "png"), ("CMYK", "jpeg"), ("RGBA", "webp"), ("1", "bmp")]
)
def test_every_format_and_mode_is_read_as_rgb(tree: Path, mode: str, extension: str) -> None:
    picture(7).convert(mode).save(tree / "train" / "cat" / f"odd.{extension}")
    data = load(tree)
    assert len(data.train) + len(data.validation) == 25


def test_sixteen_bit_images_are_named_not_clipped(tree: Path) -> None:
    Image.fromarray(np.full((8, 8), 40000, dtype=np.uint16)).save(tree / "train" / "cat" / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png \(mode I;16"):
        load(tree)


def test_other_files_and_hidden_ones_are_no_images(tree: Path) -> None:
    before = load(tree).content_hash
    (tree / "train" / "cat" / "notes.txt").write_text("x")
    (tree / "train" / "cat" / "._00.png").write_bytes(b"macOS")
    (tree / "train" / ".hidden").mkdir()
    assert load(tree).content_hash == before


def test_the_second_run_decodes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tree)
    forbid_decoding(monkeypatch)
    second = load(tree)
    assert contents(second) == contents(first)
    assert second.content_hash == first.content_hash


def test_the_content_hash_knows_neither_the_place_nor_the_time_of_the_files(tree: Path) -> None:
    first = load(tree)
    other = tree.parent / "elsewhere" / "pets"
    shutil.copytree(tree, other)
    for path in other.rglob("*.png"):
        os.utime(path, (1, 1))
    assert load(other).content_hash == first.content_hash


@pytest.mark.parametrize("change", ["pixels", "name", "class", "size"])
def test_the_content_hash_changes_with(tree: Path, change: str) -> None:
    first = load(tree)
    path, size = tree / "train" / "cat" / "00.png", 8
    match change:
        case "pixels":
            picture(999).save(path)
        case "name":
            path.rename(path.with_name("zz.png"))
        case "class":
            path.rename(tree / "train" / "dog" / "zz.png")
        case "size":
            size = 9
    assert load(tree, size).content_hash != first.content_hash


def test_a_file_changed_in_place_is_decoded_anew(tree: Path) -> None:
    """Oracle: the new file decoded alone is among the images, the old one no longer."""
    path = tree / "val" / "cat" / "00.png"
    old = pixels(path.read_bytes(), 8).tobytes()
    load(tree)
    picture(999).save(path)
    images = [image for image, _ in contents(load(tree))]
    assert pixels(path.read_bytes(), 8).tobytes() in images and old not in images


def damage_by_flipping_a_pixel(entry: Path) -> None:
    content = bytearray((entry / "train_images.npy").read_bytes())
    content[-1] ^= 1
    (entry / "train_images.npy").write_bytes(content)


def damage_by_truncation(entry: Path) -> None:
    path = entry / "test_images.npy"
    path.write_bytes(path.read_bytes()[:-10])


def damage_by_a_pickled_array(entry: Path) -> None:
    np.save(entry / "train_labels.npy", np.array([{}], dtype=object), allow_pickle=True)


def damage_by_half_a_json(entry: Path) -> None:
    (entry / "entry.json").write_text((entry / "entry.json").read_text()[:20])


def damage_by_a_missing_array(entry: Path) -> None:
    (entry / "train_labels.npy").unlink()


def damage_by_an_empty_array(entry: Path) -> None:
    (entry / "train_labels.npy").write_bytes(b"")


DAMAGES = [
    damage_by_flipping_a_pixel,
    damage_by_truncation,
    damage_by_a_pickled_array,
    damage_by_half_a_json,
    damage_by_a_missing_array,
    damage_by_an_empty_array,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_cache_entry_is_rebuilt_not_trusted(tree: Path, damage, capsys, monkeypatch) -> None:
    """Oracle: the first load's images; and the load after the rebuild decodes nothing."""
    first = load(tree)
    damage(tree.parent / "cache" / "folder" / first.content_hash)
    assert contents(load(tree)) == contents(first)
    assert "damaged" in capsys.readouterr().err
    forbid_decoding(monkeypatch)
    assert contents(load(tree)) == contents(first)


def test_a_half_written_listing_is_rebuilt(tree: Path) -> None:
    first = load(tree)
    (listing,) = (tree.parent / "cache" / "folder" / "listings").iterdir()
    listing.write_text(listing.read_text()[:15])
    assert load(tree).content_hash == first.content_hash
    assert json.loads(listing.read_text())["dropped"] == {}


def test_nothing_half_written_stays_in_the_cache(tree: Path) -> None:
    data = load(tree)
    assert {path.name for path in (tree.parent / "cache" / "folder").iterdir()} == {"listings", data.content_hash}


def test_an_entry_that_another_process_finished_first_is_kept(tmp_path: Path) -> None:
    """Oracle: the file's inode stays; a damaged entry is replaced by a new file."""
    cache = FolderCache(tmp_path)
    arrays = {name: np.arange(3) for name in ARRAY_NAMES}
    cache.write_arrays("hash", arrays)
    written = tmp_path / "hash" / "train_images.npy"
    inode = written.stat().st_ino
    cache.write_arrays("hash", arrays)
    assert written.stat().st_ino == inode
    written.write_bytes(b"")
    cache.write_arrays("hash", arrays)
    assert cache.read_arrays("hash") is not None


def spoil(tree: Path) -> None:
    """One truncated JPEG to train on, one file of garbage to test on."""
    file = io.BytesIO()
    picture(1, 64, 64).save(file, "jpeg")
    (tree / "train" / "cat" / "cut.jpg").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    (tree / "val" / "dog" / "garbage.png").write_bytes(b"no image")


def test_corrupt_images_are_named_and_refused_also_from_the_cache(tree: Path) -> None:
    spoil(tree)
    for _ in range(2):
        with pytest.raises(UserError, match=r"2 image.*train/cat/cut\.jpg.*val/dog/garbage\.png.*--skip-corrupt"):
            load(tree)


def test_skipped_corrupt_images_are_announced_and_leave_the_rest_as_if_they_never_were(tree: Path, capsys) -> None:
    clean = load(tree)
    spoil(tree)
    for _ in range(2):
        capsys.readouterr()
        data = load(tree, skip_corrupt=True)
        announced = capsys.readouterr().err
        assert "2 image(s)" in announced and "cut.jpg" in announced and "left out" in announced
        assert data.content_hash == clean.content_hash
        assert contents(data) == contents(clean)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        load(tmp_path / "nowhere")


def test_class_folders_without_train_are_recognised(tree: Path) -> None:
    with pytest.raises(UserError, match=r"no directory `train`.*holds class folders \(cat, dog"):
        load((tree / "train").rename(tree / "loose"))


def test_a_directory_of_something_else_shows_the_layout(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    with pytest.raises(UserError) as error:
        load(tmp_path / "music")
    assert "PATH/train/<class>" in str(error.value) and "class folders" not in str(error.value)


def test_a_tree_without_images_is_refused(tree: Path) -> None:
    for path in (tree / "train").rglob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match="no images in"):
        load(tree)


def test_a_tree_of_one_class_is_refused(tree: Path) -> None:
    shutil.rmtree(tree / "train" / "dog")
    with pytest.raises(UserError, match="only one class, 'cat'"):
        load(tree)


def test_an_empty_class_is_refused_by_name(tree: Path) -> None:
    (tree / "train" / "eel").mkdir()
    with pytest.raises(UserError, match=r"without an image.*eel"):
        load(tree)


def test_a_class_of_one_image_is_refused_by_name(tree: Path) -> None:
    (tree / "train" / "eel").mkdir()
    (tree / "val" / "eel").mkdir()
    picture(1).save(tree / "train" / "eel" / "a.png")
    picture(2).save(tree / "val" / "eel" / "a.png")
    with pytest.raises(UserError, match="'eel' has 1 "):
        load(tree)


def test_a_val_of_other_classes_is_refused(tree: Path) -> None:
    (tree / "val" / "dog").rename(tree / "val" / "wolf")
    with pytest.raises(UserError, match=r"same classes.*dog, wolf"):
        load(tree)


def test_more_pixels_than_memory_are_refused_before_decoding(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: 28 images x 3 x 8 x 8 bytes, twice, is 10,752 bytes."""
    monkeypatch.setattr(folder, "available_memory_bytes", lambda: 10_752)
    load(tree)
    monkeypatch.setattr(folder, "available_memory_bytes", lambda: 10_751)
    forbid_decoding(monkeypatch)
    with pytest.raises(UserError, match="GiB of memory"):
        load(tree)


def test_the_available_memory_is_between_nothing_and_the_whole() -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**20 < folder.available_memory_bytes() <= whole


def test_plain_lines_go_to_stderr_and_nothing_to_stdout_away_from_a_terminal(tree: Path, capsys) -> None:
    load(tree)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 4 and "24 images" in lines[0] and "done in" in lines[1]
