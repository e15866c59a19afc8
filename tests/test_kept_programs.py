"""Compiled programs lie with what was measured of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch._inductor import codecache
from torch._inductor.runtime.cache_dir_utils import cache_dir  # what PyTorch asks for its place

from trainers import kept_programs
from trainers.kept_programs import keep_programs

AMD = """vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
cpu MHz\t\t: 2596.132
flags\t\t: fpu sse2 avx512_bf16 clzero
bogomips\t: 5192.26

vendor_id\t: AuthenticAMD
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(codecache, "_HEADER_DIR", codecache._HEADER_DIR)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # which is set back at the end, whatever sets it meanwhile
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    yield
    kept_programs._processor.cache_clear()


@pytest.mark.parametrize("asked", [False, True], ids=["unasked", "asked"])
def test_programs_and_their_headers_are_kept_in_the_cache(monkeypatch, tmp_path, asked):
    """Also if PyTorch was asked for its own place before, which names it in the environment."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "cache"))
    if asked:
        cache_dir()
    keep_programs()
    assert Path(cache_dir()).parent == tmp_path / "cache" / "inductor"
    assert f"{cache_dir()}/precompiled_headers" == codecache._HEADER_DIR


def test_machines_that_share_a_home_keep_programs_apart_if_their_processors_differ(monkeypatch, tmp_path):
    """A program may hold instructions that another processor of the same family does not have."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    places = []
    for told in (AMD, AMD.replace("2596.132", "3100.0"), AMD.replace("avx512_bf16 ", "")):
        monkeypatch.setattr(Path, "read_text", lambda _, told=told: told)
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        kept_programs._processor.cache_clear()
        keep_programs()
        places.append(cache_dir())
    assert places[0] == places[1] != places[2]


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
