"""The networks a search may train: distinct, possible on the backbone, within the limits that need no measuring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from search.objective import Setting
from search_space import AttentionDesign, DesignError, Layered, Space, UserError
from trainers import Cost


class CandidateError(UserError):
    """No network may be trained."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a network may cost; None: anything. `latency` is in seconds, on this machine (see `search.latency`)."""

    macs: float | None = None
    params: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit > 0:
                raise CandidateError(f"max {field.name}: {limit} given; allowed: a number above 0.")

    def excess(self, cost: Cost) -> float:
        """By which fraction the counted costs are over their limits in all; 0 within them."""
        pairs = ((cost.macs, self.macs), (cost.params, self.params))
        return sum(max(0.0, value / limit - 1) for value, limit in pairs if limit is not None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A distinct network that may be trained."""

    design: AttentionDesign | Layered
    key: str  # of the network
    cost: Cost


@dataclass(frozen=True)
class Candidates:
    """What a space comes to on one network, under limits.

    `networks` holds one candidate a network key; `key_of` the network key of every design that may be trained;
    `over` the fraction by which each distinct design that is possible but over a limit exceeds it.
    """

    networks: dict[str, Candidate]
    key_of: dict[AttentionDesign, str]
    over: dict[AttentionDesign, float]
    impossible: int

    @property
    def left_out(self) -> int:
        """Distinct designs that are over a limit or impossible here."""
        return self.impossible + len(self.over)


def candidates(
    space: Space, setting: Setting, limits: Limits | None = None, extra: Iterable[AttentionDesign | Layered] = ()
) -> Candidates:
    """Everything of `space`, and `extra` designs outside it, that may be trained. Raises `CandidateError` if nothing.

    An `extra` design that is impossible on the backbone raises `DesignError`: it was asked for by name.
    """
    limits = limits or Limits()
    networks: dict[str, Candidate] = {}
    key_of: dict[AttentionDesign, str] = {}
    over: dict[str, tuple[AttentionDesign, float]] = {}
    impossible: dict[str, DesignError] = {}
    for design in space.designs():
        try:
            setting.check(design)
        except DesignError as error:
            impossible[design.key] = error
            continue
        cost = setting.cost(design)
        if excess := limits.excess(cost):
            over.setdefault(design.key, (design, excess))
            continue
        key = key_of[design] = setting.network_key(design)
        networks.setdefault(key, Candidate(design, key, cost))
    for other in extra:
        setting.check(other)
        cost = setting.cost(other)
        if not limits.excess(cost):
            key = setting.network_key(other)
            networks.setdefault(key, Candidate(other, key, cost))
    if not networks:
        raise CandidateError(_nothing(setting, limits, dear=bool(over), impossible=list(impossible.values())))
    return Candidates(networks, key_of, dict(over.values()), len(impossible.keys() - over.keys() - _keys(networks)))


def _keys(networks: dict[str, Candidate]) -> set[str]:
    return {candidate.design.key for candidate in networks.values()}


def _nothing(setting: Setting, limits: Limits, *, dear: bool, impossible: list[DesignError]) -> str:
    if dear:
        given = {"MACs": limits.macs, "params": limits.params}
        most = " or ".join(f"max {name} {limit:,.15g}" for name, limit in given.items() if limit is not None)
        why = f"every possible one is over {most}"
    else:
        why = str(impossible[0])
    return (
        f"no design of the space is allowed on {setting.backbone} at {setting.data.image_size} px: {why}. "
        f"`attnas cost none --backbone {setting.backbone} --image-size {setting.data.image_size} --classes "
        f"{setting.data.num_classes}` prints what the network costs without attention."
    )
