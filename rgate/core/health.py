"""Whether rgate is ready for requests (behaviour 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from rgate.core.candidates import BackendView


class Status(Enum):
    """What `readyz` says. The value is what users read."""

    READY = "ready"
    NOT_READY = "not ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether more requests are wanted, and which backends could not answer one."""

    status: Status
    backends_without_candidates: tuple[str, ...]


def readiness(views: Mapping[str, BackendView], *, draining: bool) -> Readiness:
    """Return how ready a gateway is that has *views* of its backends.

    It is once each has a candidate, until it is *draining*.
    """
    without = tuple(name for name, view in views.items() if not view.candidates)
    if draining:
        return Readiness(Status.DRAINING, without)
    return Readiness(Status.NOT_READY if without else Status.READY, without)
