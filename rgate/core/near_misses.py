"""Containers that nearly carry a backend's labels, and what to change (behaviour 9)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """A label that a backend wants, and what a container has in its place."""

    key: str
    found: str | None  # None: the container has no label that is near
    wanted: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A container that nearly carries a backend's labels. *detail*: one sentence a person can act on."""

    name: str
    has: int
    of: int
    missing: tuple[MissingLabel, ...]
    detail: str
