"""Compiled programs lie with what was measured of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch._inductor import codecache
from torch._inductor.runtime.cache_dir_utils import cache_dir  # what PyTorch asks for its place

from trainers.kept_programs import keep_programs


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecache, "_HEADER_DIR", codecache._HEADER_DIR)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # which is set back at the end, whatever sets it meanwhile
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")


@pytest.mark.parametrize("asked", [False, True], ids=["unasked", "asked"])
def test_programs_and_their_headers_are_kept_in_the_cache(monkeypatch, tmp_path, asked):
    """Also if PyTorch was asked for its own place before, which names it in the environment."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "cache"))
    if asked:
        cache_dir()
    keep_programs()
    assert Path(cache_dir()) == tmp_path / "cache" / "inductor"
    assert Path(codecache._HEADER_DIR).parent == tmp_path / "cache" / "inductor"


def test_programs_are_kept_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    keep_programs()
    assert Path(cache_dir()) == tmp_path / "mine" and Path(codecache._HEADER_DIR).parent == tmp_path / "mine"


def test_without_a_place_to_keep_them_programs_lie_where_pytorch_puts_them(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "file"))
    before = codecache._HEADER_DIR
    keep_programs()
    assert before == codecache._HEADER_DIR and not str(cache_dir()).startswith(str(tmp_path))
