"""The passes in C++ give what the plain ones give, which finite differences check (test_fused_norm)."""

from __future__ import annotations

import logging
import re
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from search_space import UserError
from trainers import native_build, ways
from trainers.fused_kernels import MOST_ROWS, Norm, finish, gather, listen, normalise, normalise_backward, spread
from trainers.fused_native import native
from trainers.ways import FEW_STEPS, pick_way

SHAPES = [(3, 16, 8, 8), (2, 20, 5, 7), (1, 3, 9, 9), (4, 64, 4, 4), (2, 33, 1, 3), (5, 1, 6, 6), (4, 32, 1, 1)]
FORMATS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}


class Case:
    """Maps of a dtype and layout, and the numbers of a norm, a gate and what was told; all drawn anew by shape."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, layout: str, *, known: bool, rows: int, own: bool):
        random = torch.Generator().manual_seed(sum(shape) + rows)

        def draw(*size: int) -> Tensor:
            return torch.randn(*size, generator=random)

        B, C, H, W = shape
        self.y, self.skip, self.grad = ((draw(*shape) + 0.3).to(dtype, memory_format=FORMATS[layout]) for _ in range(3))
        statistics = (torch.zeros(C), draw(C).square() + 0.5) if known else None
        self.norm = Norm(draw(C).abs() + 0.5, draw(C), draw(C), 1e-5, statistics)
        self.rows = [draw(1, C if own else 1, H, W).contiguous(memory_format=FORMATS[layout]) for _ in range(rows)]
        self.gate, self.of_told = draw(B, C).sigmoid(), [draw(B, C) for _ in range(2 + rows)]

    def passes(self, run: Any, *, adds: bool = False, relu: bool = True, keep: bool = True) -> list[Tensor]:
        """What all passes give, each taking what the one before gave."""
        heard, told = run(listen, self.y, self.norm, self.rows)
        skip = self.skip if keep else None
        out, *_ = run(finish, self.y, self.norm, heard, skip, self.gate, adds, relu)
        mask = out if relu else None
        of_offset, of_scale, *kept = run(gather, self.grad, mask, self.y, self.norm, keep)
        passed = (kept[0], None) if keep else (self.grad, mask)
        sums = (of_offset, of_scale)
        small = (heard, sums, self.gate, adds, self.of_told, self.rows)
        found = run(spread, *passed, self.y, self.norm, *small)[:3]
        alone, simple = run(normalise, self.y, self.norm, skip, relu)
        mask = simple if relu else None
        backward, also = run(normalise_backward, self.grad, mask, self.y, self.norm, alone, keep)
        of_heard = [*heard[:6], *heard.products, *alone[:4]]
        return [*of_heard, *told, out, *sums, *kept, *found, simple, *backward[:3], *also]


def plainly(kernel: Any, *arguments: Any) -> Any:
    return kernel(*arguments)


def lies(x: Tensor) -> list[bool]:
    return [x.is_contiguous(memory_format=one) for one in FORMATS.values()]


def near(ours: list[Tensor], theirs: list[Tensor]) -> None:
    """Maps within two of the last places of their largest value (2^-7 in bfloat16), sums within 1e-4 of theirs."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.ndim < 4 or lies(one) == lies(other)
        allowed = 2**-7 if one.dtype == torch.bfloat16 else 1e-4
        torch.testing.assert_close(one, other, rtol=0, atol=allowed * other.abs().max().item())


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_passes_give_what_the_plain_ones_give(shape, dtype, layout):
    """Channels and pixels that fill no vector, any number of rows, statistics known and not."""
    for rows, own, known in product((0, 1, 2, 3, 5, 16), (False, True), (False, True)):
        case = Case(shape, dtype, layout, known=known, rows=rows, own=own)
        for adds, relu, keep in ((False, True, True), (True, True, False), (False, False, False)):
            options = {"adds": adds, "relu": relu, "keep": keep}
            near(case.passes(native, **options), case.passes(plainly, **options))


@pytest.mark.parametrize("layout", FORMATS)
def test_sums_over_many_pixels_are_as_near(layout):
    case = Case((2, 16, 112, 112), torch.float32, layout, known=False, rows=2, own=False)
    near(case.passes(native), case.passes(plainly))


@pytest.mark.parametrize("layout", FORMATS)
def test_results_do_not_depend_on_the_number_of_threads(layout):
    case = Case((6, 48, 7, 7), torch.bfloat16, layout, known=False, rows=3, own=True)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(case.passes(native))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_what_is_no_number_stays_none(dtype, bad, layout):
    """A training that diverges must show it: no ReLU and no rounding makes a number of it."""
    case = Case((2, 16, 4, 4), dtype, layout, known=False, rows=0, own=False)
    case.y[1, 3, 2, 2] = bad
    for ours, theirs in zip(case.passes(native), case.passes(plainly), strict=True):
        assert torch.equal(ours.isfinite(), theirs.isfinite())
    assert not case.passes(native)[-4].isfinite().all()


def test_rounding_makes_no_number_of_what_is_none():
    """Of the kind whose bits, rounded up, would run over into a zero."""
    case = Case((2, 16, 4, 4), torch.bfloat16, "NHWC", known=True, rows=0, own=False)
    odd = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)
    case.norm = case.norm._replace(bias=torch.cat([odd, case.norm.bias[1:]]))
    _, out = native(normalise, case.y, case.norm, None, False)
    assert out[:, 0].isnan().all() and out[:, 1:].isfinite().all()


def test_maps_of_other_shapes_are_added_as_pytorch_does():
    case = Case((2, 16, 4, 4), torch.float32, "NCHW", known=False, rows=0, own=False)
    for skip in (case.skip[:1], case.skip[:, :, :1]):
        ours, theirs = (run(normalise, case.y, case.norm, skip, True)[1] for run in (native, plainly))
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(RuntimeError, match="size of tensor"):
        native(normalise, case.y, case.norm, case.skip[:, :, :3], True)


def test_maps_that_lie_otherwise_are_read_as_they_are():
    """As the gradient of a mean over pixels, one number for all; as a part of a larger map."""
    case = Case((2, 16, 4, 4), torch.float32, "NHWC", known=False, rows=1, own=True)
    case.grad = case.grad[:, :, :1, :1].expand(-1, -1, 4, 4)
    case.rows = [torch.randn(1, 16, 4, 8)[..., ::2]]
    near(case.passes(native), case.passes(plainly))
    case.y = torch.randn(2, 16, 4, 8)[..., ::2]
    case.skip = case.skip.contiguous(memory_format=torch.channels_last)
    ours, theirs = case.passes(native), case.passes(plainly)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "rows"), [(torch.float64, 1), (torch.float32, MOST_ROWS + 1)])
def test_what_the_program_does_not_know_runs_plainly(dtype, rows):
    """Read as float32, float64 would be nonsense, and so would sums beyond the last that it has room for."""
    case = Case((2, 4, 4, 4), dtype, "NCHW", known=False, rows=rows, own=False)
    near(case.passes(native), case.passes(plainly))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """As in a new process, with nothing kept yet."""
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))

    def forget() -> None:
        native_build.library.cache_clear()
        native_build.problem.cache_clear()
        ways._of_this_process.cache_clear()

    forget()
    yield forget
    forget()


def test_the_program_is_compiled_once_or_where_it_was_cut_short_and_needs_no_compiler_then(
    build, tmp_path, monkeypatch
):
    kept = tmp_path / "kernels" / f"{native_build._hash()}.so"
    kept.parent.mkdir()
    kept.write_bytes(b"\x7fELF")
    native_build.library()
    assert list(kept.parent.iterdir()) == [kept] and kept.stat().st_size > 10_000
    build()
    monkeypatch.setattr(native_build, "_compiler", lambda: pytest.fail("compiled again"))
    assert native_build.problem() is None


@pytest.mark.parametrize("compiler", [None, "false --"], ids=["none", "fails"])
def test_without_a_compiler_a_network_is_trained_unfused_and_that_is_said_once(
    build, tmp_path, monkeypatch, caplog, compiler
):
    if compiler:
        monkeypatch.setenv("CXX", compiler)
    else:
        monkeypatch.setattr(native_build.shutil, "which", lambda _: None)
    options = {"name": "resnet8", "image_size": 8, "batch_size": 8, "steps": FEW_STEPS, "device": torch.device("cpu")}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not pick_way("float32", None, **options).fused
    reason = "no C++ compiler" if compiler is None else "false -- --version failed"
    assert len(caplog.records) == 1 and reason in caplog.text
    with pytest.raises(UserError, match=rf"--fuse.*{re.escape(reason)}"):
        pick_way("float32", True, **options)
    assert not list(tmp_path.rglob("*.so*"))
