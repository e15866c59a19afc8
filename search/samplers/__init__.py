"""Which design is next: samplers by name. Optuna is imported only when one of its samplers is made."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from search.samplers.protocol import Sampler, Taken
from search_space import Space, UserError

__all__ = ["DEFAULT_SAMPLER", "SAMPLERS", "Sampler", "Taken", "make_sampler"]

_HOMES = {
    "tpe": "optuna_samplers.Tpe",
    "random": "neighbourhood.RandomSearch",
    "nsga2": "optuna_samplers.NsgaII",
    "gp": "optuna_samplers.GaussianProcess",
    "evolution": "neighbourhood.Evolution",
    "local": "neighbourhood.LocalSearch",
}
SAMPLERS = tuple(_HOMES)
DEFAULT_SAMPLER = "gp"  # ahead at every level of noise in benchmarks/engines.md; a proposal takes half a second


def make_sampler(name: str, space: Space, *, seed: int, objectives: int) -> Sampler:
    """The sampler called `name` over `space`, for `objectives` numbers that are all minimised. Raises `UserError`."""
    if name not in _HOMES:
        raise UserError(f"sampler: {name!r} given; allowed: {', '.join(SAMPLERS)}.")
    module, _, kind = _HOMES[name].partition(".")
    make: Callable[..., Sampler] = getattr(import_module(f"{__name__}.{module}"), kind)
    return make(space, seed=seed, objectives=objectives)
