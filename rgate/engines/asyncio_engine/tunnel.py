"""A connection that no longer speaks HTTP: bytes both ways, until one side ends (RFC 9110 7.8)."""

import time
from typing import TYPE_CHECKING

from rgate.engines.asyncio_engine.upstream import Upstream

if TYPE_CHECKING:
    from rgate.engines.asyncio_engine.client import Client


class Tunnel:
    """Joins a client's connection with an upstream's. *idle_ns*: without a byte for so long, it ends."""

    __slots__ = ("_client", "_idle_ns", "_upstream")

    def __init__(self, client: "Client", upstream: Upstream, idle_ns: int) -> None:
        self._client = client
        self._upstream = upstream
        self._idle_ns = idle_ns

    def start(self, early: bytes) -> None:
        """Begin, with the bytes that the client sent before it knew."""
        self._client.work = self
        self._upstream.owner = self
        self._client.transport.resume_reading()
        self._upstream.transport.resume_reading()
        self._moved()
        if early:
            self._upstream.transport.write(early)

    def _moved(self) -> None:
        self._client.deadline_ns = time.monotonic_ns() + self._idle_ns

    def client_data(self, data: bytes) -> None:
        self._upstream.transport.write(data)
        self._moved()

    def client_gone(self) -> None:
        self._upstream.owner = None
        self._upstream.transport.close()  # behind what is still to be written

    def client_pausing(self, *, paused: bool) -> None:
        if paused:
            self._upstream.transport.pause_reading()
        else:
            self._upstream.transport.resume_reading()

    def upstream_data(self, data: bytes) -> None:
        self._client.transport.write(data)
        self._moved()

    def upstream_ended(self, error: Exception | None) -> None:
        del error
        self._client.work = None
        self._client.transport.close()

    def upstream_pausing(self, *, paused: bool) -> None:
        if paused:
            self._client.transport.pause_reading()
        else:
            self._client.transport.resume_reading()

    def expired(self) -> None:
        self._client.work = None
        self.client_gone()
        self._client.transport.close()
