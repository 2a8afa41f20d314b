"""What a connection's owners are told, and in which words: the two ports between protocols and states.

A state takes over a connection by setting itself as `work` of a client, or as `owner` of an upstream.
"""

from typing import Final, Protocol

NS: Final = 10**9
NEVER_NS: Final = 1 << 62


class Work(Protocol):
    """What is under way for a client's connection: it is told all that happens there."""

    def client_data(self, data: bytes) -> None:
        """Take bytes that the client sent behind the request's head."""

    def client_at_end(self) -> bool:
        """Take the end of what the client sends; whether the connection stays open for what is sent to it."""

    def client_gone(self) -> None:
        """Take the end of the client's connection."""

    def client_pausing(self, *, paused: bool) -> None:
        """Write no more for now, or go on: the client reads slowly."""

    def expired(self) -> None:
        """Take the passing of the client's `deadline_ns`."""

    def stopped(self) -> None:
        """Take rgate's own end: the connection is cut now."""


class Owner(Protocol):
    """Whoever an upstream's connection works for at the moment."""

    def upstream_data(self, data: bytes) -> None:
        """Take bytes that the upstream sent."""

    def upstream_at_end(self) -> bool:
        """Take the end of what the upstream sends; whether the connection stays open for what goes to it."""

    def upstream_lost(self) -> None:
        """Take the end of the connection: a reset, or one that follows both ends."""

    def upstream_pausing(self, *, paused: bool) -> None:
        """Write no more for now, or go on: the upstream reads slowly."""
