"""The validation split, the channel statistics, and what the user may ask for."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space.errors import UserError
from trainers.data import default_cache_dir, load_data
from trainers.image_data import ImageData, channel_statistics, validation_mask


def test_cifar100_splits_into_45000_and_5000_with_fifty_validation_images_a_class() -> None:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(100), 500))
    mask = validation_mask(labels, [str(i) for i in range(100)])
    assert mask.sum() == 5000
    assert np.bincount(labels[mask], minlength=100).tolist() == [50] * 100


def test_the_validation_images_are_those_whose_digests_come_first() -> None:
    """Oracle: the rule written out again, hence the same on every machine and for every version of torch and numpy."""
    labels = np.array([0, 1] * 20)
    mask = validation_mask(labels, ["a", "b"])
    for label in (0, 1):
        digests = [hashlib.sha256(f"sha256-stratified-1of10-v1:{label}:{k}".encode()).hexdigest() for k in range(20)]
        first_two = sorted(range(20), key=digests.__getitem__)[:2]
        assert np.flatnonzero(mask[labels == label]).tolist() == sorted(first_two)


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_every_class_keeps_a_tenth_for_validation_and_at_least_one_image_on_each_side(counts, random) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    random.shuffle(labels)
    array = np.array(labels, dtype=np.int64)
    mask = validation_mask(array, [str(i) for i in range(len(counts))])
    for label, count in enumerate(counts):
        assert mask[array == label].sum() == max(1, count // 10) < count


def test_a_class_of_one_image_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'lonely' has 1 "):
        validation_mask(np.array([0, 0, 1]), ["many", "lonely"])


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_mean_and_std_are_exact(count: int, seed: int) -> None:
    """Oracle: numpy's float64 mean and std, to float32 precision."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    mean, std = channel_statistics(images)
    pixels = images.astype(np.float64) / 255
    assert mean.tolist() == pytest.approx(pixels.mean(axis=(0, 2, 3)).tolist(), rel=1e-6)
    assert std.tolist() == pytest.approx(pixels.std(axis=(0, 2, 3)).tolist(), rel=1e-6)


def test_statistics_span_more_images_than_are_summed_at_once() -> None:
    """Oracle: 1,500 black and 1,500 white images have mean 1/2 and deviation 1/2."""
    images = np.zeros((3000, 3, 2, 2), dtype=np.uint8)
    images[1500:] = 255
    mean, std = channel_statistics(images)
    assert mean.tolist() == std.tolist() == [0.5] * 3


def test_the_statistics_hear_neither_validation_nor_test_images() -> None:
    """Oracle: train images are all of grey level 51 = 0.2 x 255, the others of another."""
    labels = np.array([0, 1] * 10)
    images = np.full((20, 3, 2, 2), 51, dtype=np.uint8)
    images[validation_mask(labels, ["a", "b"])] = 200
    test = (np.full((4, 3, 2, 2), 250, dtype=np.uint8), np.zeros(4, dtype=np.int64))
    data = ImageData.carve(name="x", content_hash="0", classes=["a", "b"], train=(images, labels), test=test, flip=True)
    assert data.mean.tolist() == pytest.approx([0.2] * 3)
    assert data.std.tolist() == [0.0] * 3
    assert (data.validation.images == 200).all() and data.test is not None and (data.test.images == 250).all()
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 4)
    assert data.train.images.dtype == torch.uint8 and data.train.labels.dtype == torch.int64


@pytest.mark.parametrize("spec", ["cifar10", "folder", "folder:", "", "synthetic:1"])
def test_unknown_data_is_refused_with_the_list_of_what_is_known(spec: str) -> None:
    with pytest.raises(UserError) as error:
        load_data(spec)
    for known in ("cifar100", "folder:PATH", "synthetic", repr(spec)):
        assert known in str(error.value)


def test_an_image_size_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="image size 0"):
        load_data("synthetic", image_size=0)


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("ATTNAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert default_cache_dir() == tmp_path / "me" / ".cache" / "attnas"
