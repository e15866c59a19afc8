"""The CIFAR-100 reader, on archives assembled opcode by opcode as Python 2 wrote the published ones."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_space.errors import UserError
from trainers.cifar100 import ARCHIVE, URL, download, load_cifar100, read_archive
from trainers.data import load_data

RNG = np.random.default_rng(0)
NAMES = [f"class{i:02d}" for i in range(100)]
TRAIN = RNG.integers(0, 256, (300, 3072), dtype=np.uint8)
TRAIN_LABELS = [i % 100 for i in range(300)]
TEST = RNG.integers(0, 256, (100, 3072), dtype=np.uint8)
TEST_LABELS = list(reversed(range(100)))


def py2(value: Any) -> bytes:
    """Opcodes of pickle protocol 2 for a value; a Python 2 `str` is BINSTRING, which Python 3 never writes."""
    match value:
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case str():
            return py2(value.encode("ascii"))
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(py2, value)) + b"e"
        case dict():
            return b"}(" + b"".join(py2(k) + py2(v) for k, v in value.items()) + b"u"
        case np.ndarray():
            state = b"(K\x03" + py2("|") + b"NNN" + py2(-1) + py2(-1) + b"K\x00t"
            dtype = b"cnumpy\ndtype\n" + py2("u1") + b"K\x00K\x01\x87R" + state + b"b"
            empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + b"K\x00\x85" + py2("b") + b"\x87R"
            shape = py2(value.shape[0]) + py2(value.shape[1]) + b"\x86"
            return empty + b"(K\x01" + shape + dtype + b"\x89" + py2(value.tobytes()) + b"tb"
    raise AssertionError(value)


def py2_pickle(value: Any) -> bytes:
    return b"\x80\x02" + py2(value) + b"."


def batch(data: np.ndarray, labels: list[int]) -> bytes:
    coarse = [label // 5 for label in labels]
    return py2_pickle({"batch_label": "one", "fine_labels": labels, "coarse_labels": coarse, "data": data})


def members() -> dict[str, bytes]:
    return {
        "meta": py2_pickle({"fine_label_names": NAMES, "coarse_label_names": ["a"]}),
        "train": batch(TRAIN, TRAIN_LABELS),
        "test": batch(TEST, TEST_LABELS),
    }


def write_archive(directory: Path, files: dict[str, bytes]) -> tuple[Path, str]:
    """Write the archive and return its path and sha256."""
    path = directory / ARCHIVE
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


class Malicious:
    """Creates a file when unpickled by the ordinary unpickler."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def test_the_archive_of_these_tests_is_one_that_pythons_own_unpickler_reads() -> None:
    """Oracle: pickle.loads with the encoding that the data set's page gives; guards the encoder above."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy 2 warns of the module that numpy 1 named
        value = pickle.loads(members()["train"], encoding="bytes")
    assert value[b"fine_labels"] == TRAIN_LABELS
    assert np.array_equal(value[b"data"], TRAIN)


def test_every_image_and_label_of_the_archive_arrives_once_as_published(tmp_path: Path) -> None:
    """Oracle: the planes written by hand (red rows, then green, then blue), matched as a set of (pixels, label)."""
    path, digest = write_archive(tmp_path, members())
    data = read_archive(path, sha256=digest)
    assert data.classes == tuple(NAMES)
    assert (data.name, data.content_hash, data.flip) == ("cifar100", digest, True)
    assert data.train.images.shape == (200, 3, 32, 32) and data.validation.images.shape == (100, 3, 32, 32)
    assert data.test is not None
    assert data.test.labels.tolist() == TEST_LABELS
    assert data.test.images[7, 1, 2, 3] == TEST[7, 1024 + 2 * 32 + 3]
    seen = sorted(
        (image.numpy().tobytes(), int(label))
        for split in (data.train, data.validation)
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert seen == sorted((row.tobytes(), label) for row, label in zip(TRAIN, TRAIN_LABELS, strict=True))


def test_a_truncated_archive_is_refused_by_name(tmp_path: Path) -> None:
    path, digest = write_archive(tmp_path, members())
    path.write_bytes(path.read_bytes()[:-100])
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError) as error:
        read_archive(path, sha256=digest)
    for part in (str(path), digest, actual, "Delete"):
        assert part in str(error.value)


def test_a_wrong_checksum_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    """Oracle: the file that the archive's pickle would leave, and does leave with the ordinary unpickler."""
    trace = tmp_path / "executed"
    content = pickle.dumps(Malicious(trace), protocol=2)
    path, _ = write_archive(tmp_path, members() | {"meta": content})
    with pytest.raises(UserError, match="expected sha256 0000"):
        read_archive(path, sha256="0" * 64)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists()


@pytest.mark.parametrize("member", ["meta", "train", "test"])
def test_a_malicious_pickle_under_an_accepted_checksum_executes_nothing(tmp_path: Path, member: str) -> None:
    """Oracle: the file it would create."""
    trace = tmp_path / "executed"
    path, digest = write_archive(tmp_path, members() | {member: pickle.dumps(Malicious(trace), protocol=2)})
    with pytest.raises(UserError, match=r"it calls (posix|nt)\.system"):
        read_archive(path, sha256=digest)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("train", batch(TRAIN[:, :3000].copy(), TRAIN_LABELS)),
        ("train", batch(TRAIN, TRAIN_LABELS[:-1])),
        ("test", batch(TEST, [100, *TEST_LABELS[1:]])),
        ("test", py2_pickle({"data": TEST})),
        ("test", py2_pickle([1, 2])),
        ("meta", py2_pickle({"fine_label_names": NAMES[:99]})),
        ("meta", b"\x80\x02garbage"),
    ],
    ids=["narrow rows", "a label too few", "a label too high", "no labels", "no dict", "99 names", "no pickle"],
)
def test_content_that_is_not_cifar100_is_the_users_error(tmp_path: Path, member: str, content: bytes) -> None:
    path, digest = write_archive(tmp_path, members() | {member: content})
    with pytest.raises(UserError, match="does not hold CIFAR-100") as error:
        read_archive(path, sha256=digest)
    assert str(path) in str(error.value)


def test_an_archive_without_its_test_set_is_the_users_error(tmp_path: Path) -> None:
    files = members()
    del files["test"]
    path, digest = write_archive(tmp_path, files)
    with pytest.raises(UserError, match="does not hold CIFAR-100"):
        read_archive(path, sha256=digest)


def test_a_download_gets_its_name_only_after_its_checksum_is_right(tmp_path: Path) -> None:
    """Oracle: the bytes at a file: URL. A wrong digest leaves no file at all, nor a `.part`."""
    (tmp_path / "remote").write_bytes(b"content")
    url, target = (tmp_path / "remote").as_uri(), tmp_path / "new" / ARCHIVE
    with pytest.raises(UserError, match="not the published file"):
        download(url, target, sha256="0" * 64)
    assert list(target.parent.iterdir()) == []
    download(url, target, sha256=hashlib.sha256(b"content").hexdigest())
    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


def test_without_archive_and_network_the_error_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(UserError) as error:
        load_cifar100(tmp_path)
    for part in (URL, str(tmp_path / ARCHIVE), "--data-dir", "network is unreachable"):
        assert part in str(error.value)


def test_an_archive_in_the_data_directory_is_used_and_no_network_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, digest = write_archive(tmp_path, members())
    monkeypatch.setattr("trainers.cifar100.SHA256", digest)
    monkeypatch.setattr("urllib.request.urlopen", None)
    data = load_data("cifar100", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert (data.num_classes, data.image_size) == (100, 32)


def test_another_size_of_cifar100_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="32 px"):
        load_data("cifar100", image_size=64, data_dir=tmp_path)
