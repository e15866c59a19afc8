"""Images that several processes see and one machine holds once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch
from conftest import make_blobs

from trainers.image_data import ImageData, Split
from trainers.shared_images import joined, parted, share, take

CHILD = """
import hashlib, pickle, sys
from trainers.shared_images import take
data = take(pickle.load(sys.stdin.buffer))
data.train.images.add_(1)  # nobody else's
print(hashlib.sha256(data.validation.images.numpy().tobytes()).hexdigest(), data.name, data.train.labels.sum().item())
"""


def assert_same(one: ImageData, other: ImageData) -> None:
    for field in fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, Split):
            assert torch.equal(ours.images, theirs.images) and torch.equal(ours.labels, theirs.labels)
            assert (ours.images.dtype, ours.labels.dtype) == (torch.uint8, torch.int64)
        elif isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs)
        else:
            assert ours == theirs


def test_what_is_taken_is_what_was_shared_and_writing_into_it_changes_nobody_elses():
    for data in (make_blobs(seed=1), replace(make_blobs(seed=1), test=None)):
        shared = share(data)
        assert shared is not None
        try:
            mine, yours = take(shared), take(shared)
            assert_same(mine, data)
            mine.train.images.zero_()
            assert_same(yours, data)
        finally:
            os.close(shared.descriptor)
        assert_same(yours, data)  # the pages stay as long as somebody sees them
        assert len(pickle.dumps(shared)) < 4000


def test_arrays_that_nobody_may_write_are_joined_without_a_copy_and_without_a_word():
    """As those are that Ray's processes share; warnings are errors here."""
    data = make_blobs(seed=1)
    light, large = parted(data)
    assert len(pickle.dumps(light)) < 4000 and len(light.train) == 0
    for array in large.values():
        array.flags.writeable = False
    found = joined(light, large)
    assert_same(found, data)
    assert found.train.images.data_ptr() == data.train.images.data_ptr()


def test_another_process_sees_them_through_the_descriptor_it_inherits():
    import hashlib

    data = make_blobs(seed=2)
    shared = share(data)
    assert shared is not None
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps(shared),
        pass_fds=[shared.descriptor],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    os.close(shared.descriptor)
    digest = hashlib.sha256(data.validation.images.numpy().tobytes()).hexdigest()
    assert done.stdout.decode().split() == [digest, "blobs", str(data.train.labels.sum().item())]
