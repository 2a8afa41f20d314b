"""What all workers together say of containers now: who is asked, and who refused lately (behaviour 10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from rgate.core.reasons import LeftOut

Key = tuple[str, str]
"""A backend's name, and the id of a container or a fixed address."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one worker says. *began*: since when it watches, in Unix seconds, as all times here.

    *resting*: until when others are asked first. *since*: when a container came in (None) or went out.
    """

    began: float
    in_flight: Mapping[Key, int] = field(default_factory=dict)
    resting: Mapping[Key, float] = field(default_factory=dict)
    since: Mapping[Key, tuple[LeftOut | None, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as workers tell each other, of JSON's own types."""
        return {
            "began": self.began,
            "in_flight": [[*key, number] for key, number in self.in_flight.items()],
            "resting": [[*key, until] for key, until in self.resting.items()],
            "since": [
                [*key, left_out.value if left_out is not None else None, at]
                for key, (left_out, at) in self.since.items()
            ],
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Return what `as_json` told."""
        return cls(
            told["began"],
            {(backend, name): number for backend, name, number in told["in_flight"]},
            {(backend, name): until for backend, name, until in told["resting"]},
            {
                (backend, name): (LeftOut(left_out) if left_out is not None else None, at)
                for backend, name, left_out, at in told["since"]
            },
        )


class Together:
    """What all workers say."""

    def __init__(self, told: Sequence[Told]) -> None:
        self._told: Final = sorted(told, key=lambda one: one.began)

    def in_flight(self, key: Key) -> int:
        """Return how many requests are under way there."""
        return sum(one.in_flight.get(key, 0) for one in self._told)

    @property
    def all_in_flight(self) -> int:
        """How many requests are under way anywhere."""
        return sum(number for one in self._told for number in one.in_flight.values())

    def resting_until(self, key: Key) -> float | None:
        """Return until when some worker asks others first; None: none does."""
        return max((one.resting[key] for one in self._told if key in one.resting), default=None)

    def since(self, key: Key, left_out: LeftOut | None) -> float | None:
        """Return since when it is in, or out for that reason, as who watches the longest knows it."""
        known = (one.since[key] for one in self._told if key in one.since)
        return next((at for why, at in known if why is left_out), None)
