"""How well a container stands with a backend, in a word or two, and since when (behaviour 10)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rgate.core.candidates import BackendView, ContainerView
from rgate.core.facts import Level
from rgate.core.reasons import LeftOut

Since = Mapping[tuple[str, str], float]
"""When a container came in or went out, in Unix seconds, by the backend's name and the container's id."""

# What passes by itself is no failure.
_PASSES: Final = (LeftOut.STARTING, LeftOut.STOPPING)


_RESTING: Final = (Level.WARN, "in, but it refused: others first")


def level_of_address(*, is_resting: bool) -> tuple[Level, str]:
    """Return how well a fixed address stands."""
    return _RESTING if is_resting else (Level.OK, "in, a fixed address")


def level_of(container: ContainerView, *, is_resting: bool) -> tuple[Level, str]:
    """Return how well *container* stands, and that in a word or two.

    *is_resting*: it refused lately, and others are asked first.
    """
    left_out = container.left_out
    if left_out is None:
        if is_resting:
            return _RESTING
        health = "no health check" if container.health == "none" else container.health
        return Level.OK, f"in, {health}"
    if left_out is LeftOut.LABELS:
        return Level.INFO, "near miss"
    word = container.state if left_out is LeftOut.NOT_RUNNING else left_out.value.replace("_", " ")
    return Level.WARN if left_out in _PASSES else Level.BAD, f"out: {word}"


def since_now(
    since: Since, before: Mapping[str, BackendView], after: Mapping[str, BackendView], at: float
) -> Since:
    """Return *since* as of *after*: what came in, went out for another reason, or moved, did so *at*."""
    now: dict[tuple[str, str], float] = {}
    for name, view in after.items():
        old = {one.container_id: one for one in before[name].containers} if name in before else {}
        for one in view.containers:
            was, key = old.get(one.container_id), (name, one.container_id)
            is_same = was is not None and (was.left_out, was.address) == (one.left_out, one.address)
            now[key] = since.get(key, at) if is_same else at
    return MappingProxyType(now)
