"""Asking the space is instant: nothing heavy is imported before a module is built."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "pandas", "optuna", "numpy", "pywt", "sqlalchemy", "timm", "scipy")


def modules_after(code: str) -> set[str]:
    """Top-level modules of a fresh interpreter that ran `code`."""
    script = f"{code}\nimport sys\nprint(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_space_imports_neither_torch_nor_pandas_nor_optuna() -> None:
    assert not modules_after("import search_space") & set(HEAVY)


def test_values_presets_and_counts_need_no_torch() -> None:
    code = """
from search_space import PRESETS, AttentionDesign, DesignError, Space, Site, find_design
from search_space.sites import check
design = find_design("fca-ts")
assert AttentionDesign.parse(str(design)).key == design.key
check(design, [Site(16, 32, 32)])
Space().count()
for text in ("ema-g32", "avg/mlp-r16 | max/fc", "avg+std/cfc", "dct-at00.01/fc@mid", "ba-r16"):
    assert find_design(text).key
try:
    AttentionDesign.parse("haar-d3-al/mlp-r16")
except DesignError as error:
    assert "haar-d3-all" in str(error)
"""
    assert not modules_after(code) & set(HEAVY)


def test_build_imports_torch_and_is_the_same_object_each_time() -> None:
    assert "torch" in modules_after("import search_space; assert search_space.build is search_space.build")
