"""The Ray actor: one process, one Tune trial after the other, each an evaluation that the driver has claimed.

It begins light and imports torch with its first evaluation. While an actor begins, Tune gives its trial to any other
that falls free, throws the new one away and begins the next: an actor that took seconds to begin would hardly ever get
there beside short evaluations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import cloudpickle, tune

if TYPE_CHECKING:
    from search.ray_bench import Bench
    from trainers.shared_images import Arrays


class Sealed:
    """A value for the configuration of a Tune trial, which Ray copies and prints at every turn."""

    def __init__(self, value: object, name: str = "sealed") -> None:
        self.name, self.content = name, cloudpickle.dumps(value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed:
        return self

    def __str__(self) -> str:
        return self.name

    def open(self) -> Any:
        return cloudpickle.loads(self.content)


class Evaluator(tune.Trainable):
    """Carries out the parcel of its configuration, by orders that are the same for all."""

    def setup(self, config: dict[str, Any], orders: Sealed | None = None, images: Arrays | None = None) -> None:
        """`images` lie in the memory that all processes of the machine share, with Ray."""
        assert orders is not None and images is not None
        self.orders, self.images, self.parcel = orders, images, config["parcel"]
        self.bench: Bench | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.parcel = new_config["parcel"]
        return True

    def step(self) -> dict[str, Any]:
        """One evaluation. A failed training is a row; what is raised here is no fault of the design."""
        from search.ray_bench import Bench

        if self.bench is None:
            self.bench = Bench(self.orders.open(), self.images)
        return {"done": True, **self.bench.carry_out(self.parcel.open())}

    def cleanup(self) -> None:
        if self.bench is not None:
            self.bench.close()
