"""`attnas results report` and `plot` as they are typed, and which basis is drawn. Oracles: files, `trainers.sites`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_rows import HOSTILE, frame_of, hostile_rows, search_rows
from test_results_row import a_row

from results import open_store
from results.figure_style import FORMATS
from results.report import GENERATOR
from results.report_bases import bases_of
from search.small_maps import small_maps
from search_space import find_design
from trainers import sites
from trainers.small_shapes import SMALL


@pytest.fixture
def storage(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/rows.db"
    with open_store(url) as store:
        for row in search_rows() + hostile_rows()[:1]:
            store.finish(row)
    return url


def test_the_command_writes_a_page_and_replaces_no_file_but_a_report(attnas: Any, tmp_path: Path, storage: str) -> None:
    words = ["results", "report", "--storage", storage, "-o"]
    done = attnas(*words, "report.html")
    assert done.code == 0 and "31 evaluations" in done.out
    assert GENERATOR in Path("report.html").read_text("utf-8")
    assert attnas(*words, "report.html", "--title", "Mine").code == 0
    assert "<title>Mine</title>" in Path("report.html").read_text("utf-8")
    Path("thesis.html").write_text("years of work, with attnas results report")
    refused = attnas(*words, "thesis.html")
    assert refused.code == 2 and "--force" in refused.err and Path("thesis.html").read_text().startswith("years")
    assert attnas(*words, "thesis.html", "--force").code == 0
    assert attnas(*words, "no/folder/report.html").code == 2 and attnas(*words, ".").code == 2
    os.mkfifo("pipe")  # to open it would wait for ever
    assert (
        "no regular file" in attnas(*words, "pipe").err and "no regular file" in attnas(*words, "pipe", "--force").err
    )
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_a_network_that_a_row_names_is_not_imported(attnas: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('code of a storage was run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with open_store(f"sqlite:///{tmp_path}/evil.db") as store:
        store.finish(a_row(backbone="evil:factory", design="dct-top16/mlp-r16"))
    done = attnas("results", "report", "--storage", f"sqlite:///{tmp_path}/evil.db", "-o", "r.html")
    assert done.code == 0 and "evil" not in sys.modules
    assert "on a map of 16 x 16 with 64 channels" in Path("r.html").read_text("utf-8")


@pytest.mark.parametrize("picture", ["front", "curves", "noise", "basis"])
def test_a_picture_by_command_says_what_it_leaves_out(attnas: Any, storage: str, picture: str) -> None:
    done = attnas("results", "plot", picture, "-o", "it.png", "--storage", storage)
    assert done.code == 0 and "tiny-imagenet-100" in done.out and "synthetic" in done.err
    assert Path("it.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photo", "-o", "it.png"], "front, effects, interactions, curves, noise, basis"),
        (["front", "-o", "it.doc"], "allowed: a file that ends in .png, .svg or .pdf"),
        (["front", "-o", "it.png", "--design", "se"], "drop --design"),
        (["basis", "-o", "it.png", "--design", "se"], "The squeeze of avg/mlp-r16 is the average of the map"),
        (["basis", "-o", "it.png", "--design", "max/affine"], "no inner product with fixed patterns"),
        (["basis", "-o", "it.png", "--design", "fca-tss"], "fca-ts"),
        (["front", "-o", "it.png", "--by", "flops"], "macs, params, latency"),
        (["front", "-o", "it.png", "--where", "accuracy > 2"], "no complete row"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(attnas: Any, storage: str, words: list[str], said: str) -> None:
    done = attnas("results", "plot", *words, "--storage", storage)
    assert done.code == 2 and said in done.err and not Path("it.png").exists()


def test_formats_are_those_that_help_and_readme_name(attnas: Any) -> None:
    helped = attnas("results", "plot", "--help").out + attnas("space", "show", "--help").out
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    assert all(helped.count(ending) >= 2 and ending in readme for ending in FORMATS)


def test_a_basis_is_that_of_the_design_that_was_named(attnas: Any, storage: str) -> None:
    done = attnas("results", "plot", "basis", "-o", "it.svg", "--storage", storage, "--design", "dct-low4/affine")
    assert done.code == 0 and "dct-low4/affine, in resnet8 at 32 px" in Path("it.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("best", "drawn", "said"),
    [
        (["haar-d1-all/affine", "none"], "haar-d1-all/affine", "haar-d1-all/affine, on a map"),
        (
            ["avg/affine", "max/affine", "dct-low4/affine"],
            "dct-low4/affine",
            "The squeeze of avg/affine is the average of the map",
        ),
        (["dct-low1/affine", "max/affine"], None, "dct-low1/affine is the average"),  # DCT (0, 0) is the average
        (["max/affine"], None, "no inner product"),
        (["none", "avg/affine"], None, "listens to nothing"),
        (["avg/affine | dct-low4/affine"], None, "is another design"),
        ([HOSTILE], None, "can't read"),
    ],
)
def test_the_squeeze_that_is_drawn_is_the_first_with_patterns_and_the_winners_is_told(
    best: list[str], drawn: str | None, said: str
) -> None:
    told, heard = bases_of(best, frame_of(search_rows()), None)
    assert said in told and [str(design) for design, _ in heard] == ([] if drawn is None else [drawn])
    assert drawn is None or drawn in told


@pytest.mark.parametrize("size", [4, 32, 33, 64])
def test_the_maps_of_our_networks_are_told_without_torch_as_torch_tells_them(size: int) -> None:
    """Oracle: `trainers.sites`, which runs the network on torch's meta device."""
    design = find_design("dct-top16/mlp-r16")
    for name in SMALL:
        first = {(site.height, site.width): site for site in reversed(sites(name, size, design))}
        told = small_maps(design, name, size)
        assert told is not None
        assert {(site.height, site.width): site for site in reversed(told)} == first
        assert small_maps(find_design("dct-top16/mlp-r16@mid"), name, size) is None
    assert small_maps(design, "resnet50", size) is None


def test_a_picture_needs_no_torch_which_takes_longer_to_import_than_to_draw(storage: str, tmp_path: Path) -> None:
    words = ["results", "plot", "basis", "-o", str(tmp_path / "it.svg"), "--storage", storage]
    code = (
        f"import sys; from search.cli import app; app({words!r}, standalone_mode=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
