"""A setting whose trainings only pretend: no way to train is faster than another."""

from __future__ import annotations

from dataclasses import dataclass, replace

from search.objective import Setting


@dataclass(frozen=True)
class Unmeasured(Setting):
    def decided(self, trainings: int = 1) -> Setting:
        """There is nothing to be measured."""
        return replace(self, precision="float32", fused=False)
