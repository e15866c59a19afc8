"""The generated textures really hold what their class names say. Oracles: Fourier transforms and variances by numpy."""

import numpy as np
import pytest

from search_space.errors import UserError
from trainers import synthetic
from trainers.data import load_data
from trainers.synthetic import Random, class_names, content_hash, generate

SIZE = 32
IMAGES, LABELS = generate(1600, SIZE, Random(5))
FLAT = IMAGES.astype(np.float64) - IMAGES.mean(axis=(2, 3), keepdims=True)


def of_class(part: str) -> np.ndarray:
    """Mask of the images whose class name has this part."""
    return np.array([part in class_names()[label] for label in LABELS])


def test_two_calls_give_the_same_pixels_and_the_same_hash() -> None:
    one, two = load_data("synthetic"), load_data("synthetic")
    assert one.content_hash == two.content_hash
    for split in ("train", "validation", "test"):
        assert (getattr(one, split).images == getattr(two, split).images).all()
        assert (getattr(one, split).labels == getattr(two, split).labels).all()


def test_another_seed_gives_other_pixels() -> None:
    assert (generate(32, SIZE, Random(6))[0] != IMAGES[:32]).mean() > 0.9


def test_the_random_words_are_those_of_pcg64() -> None:
    """Oracle: numpy's Generator, whose doubles are the upper 53 bits of a word."""
    assert np.array_equal(Random(7).uniform(0, 1, 5), np.random.Generator(np.random.PCG64(7)).random(5))


def test_classes_are_balanced_in_every_split() -> None:
    data = load_data("synthetic")
    assert (data.num_classes, data.image_size, data.flip) == (16, 32, False)
    assert len(set(data.classes)) == 16 and "low-horizontal-top-left" in data.classes
    assert data.test is not None
    for split, each in ((data.train, 288), (data.validation, 32), (data.test, 64)):
        assert np.bincount(split.labels.numpy()).tolist() == [each] * 16


def test_train_and_test_images_differ() -> None:
    data = load_data("synthetic", image_size=16)
    assert data.test is not None
    train = {image.numpy().tobytes() for image in data.train.images}
    test = {image.numpy().tobytes() for image in data.test.images}
    assert len(train) == 4608 and len(test) == 1024 and not train & test


def excess_spectrum(part: str) -> np.ndarray:
    """Mean power [rows' frequency, columns' frequency] of one kind of class less that of all, in cycles an image."""
    power = (np.abs(np.fft.fft2(FLAT)) ** 2).mean(axis=1)[:, : SIZE // 2, : SIZE // 2]
    return power[of_class(part)].mean(axis=0) - power.mean(axis=0)


@pytest.mark.parametrize(("name", "cycles"), [("low", 3), ("high", 7)])
@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
def test_the_spectrum_of_a_class_peaks_at_its_frequency_and_orientation(name, cycles, orientation) -> None:
    """Horizontal stripes change from row to row: their power lies on the axis of the rows' frequencies."""
    excess = excess_spectrum(f"{name}-{orientation}")
    along_rows, along_columns = np.unravel_index(excess.argmax(), excess.shape)
    along, across = (along_rows, along_columns) if orientation == "horizontal" else (along_columns, along_rows)
    assert abs(along - cycles) <= 1
    assert across <= 1


@pytest.mark.parametrize("place", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_the_quadrant_of_the_name_varies_most_on_average(place: str) -> None:
    images = FLAT[of_class(place)]
    half = SIZE // 2
    quadrants = {
        "top-left": images[:, :, :half, :half],
        "top-right": images[:, :, :half, half:],
        "bottom-left": images[:, :, half:, :half],
        "bottom-right": images[:, :, half:, half:],
    }
    variance = {name: quadrant.var() for name, quadrant in quadrants.items()}
    assert max(variance, key=variance.__getitem__) == place
    assert variance[place] > 1.15 * sorted(variance.values())[-2]


def test_the_mean_colour_does_not_tell_the_class() -> None:
    """Oracle: nearest class mean of the three channel means, on images it has not seen; chance is 1/16 = 0.0625."""
    colours = IMAGES.mean(axis=(2, 3))
    seen, unseen = slice(0, 1200), slice(1200, None)
    centres = np.stack([colours[seen][LABELS[seen] == label].mean(axis=0) for label in range(16)])
    nearest = ((colours[unseen, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == LABELS[unseen]).mean() < 0.0625 + 4 * (0.0625 * 0.9375 / 400) ** 0.5


@pytest.mark.parametrize("size", [16, 24, 33, 64])
def test_any_size_from_16_pixels_up_works_and_has_its_own_hash(size: int) -> None:
    images, labels = generate(48, size, Random(1))
    assert images.shape == (48, 3, size, size) and len(labels) == 48
    assert content_hash(size) != content_hash(32)


def test_a_changed_number_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_hash(32)
    monkeypatch.setattr(synthetic, "CONTRAST", (1.0, 2.0))
    assert content_hash(32) != before


def test_images_too_small_for_the_high_frequency_are_refused() -> None:
    with pytest.raises(UserError, match="at least 16 px"):
        load_data("synthetic", image_size=8)
