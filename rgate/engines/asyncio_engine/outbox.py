"""What the hot path writes, at the end of each turn of the loop: first all requests, then all responses.

A write wakes whoever waits for it, which costs more than the write if that is asleep on another core.
Written one by one as they are ready, requests and responses alternate, and each finds its reader asleep
again; written in two rows, the first wakes it and the others find it awake. docs/benchmarks-notes.md has
the figures.
"""

import asyncio
import logging

log = logging.getLogger("rgate")


class Outbox:
    """Messages that wait for the end of the turn (one look at all sockets), each with its transport."""

    __slots__ = ("_loop", "is_scheduled", "to_clients", "to_upstreams", "turn")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.is_scheduled = False
        self.turn = 0  # grows with each flush: what was put here in the present one is not yet written
        self.to_upstreams: list[tuple[asyncio.Transport, bytes]] = []
        self.to_clients: list[tuple[asyncio.Transport, bytes]] = []

    def schedule(self) -> None:
        """See that `flush` is called at the end of this turn."""
        self.is_scheduled = True
        self._loop.call_soon(self.flush)

    def request(self, transport: asyncio.Transport, message: bytes) -> None:
        """Write *message* to an upstream at the end of this turn."""
        self.to_upstreams.append((transport, message))
        if not self.is_scheduled:
            self.schedule()

    def response(self, transport: asyncio.Transport, message: bytes) -> None:
        """Write *message* to a client at the end of this turn."""
        self.to_clients.append((transport, message))
        if not self.is_scheduled:
            self.schedule()

    def flush(self) -> None:
        """Write everything now: at the end of a turn, before another writes to a client, and when it ends."""
        self.is_scheduled = False
        self.turn += 1
        # Taken out first, as a write may call `pause_writing`, and that this method.
        to_upstreams, self.to_upstreams = self.to_upstreams, []
        to_clients, self.to_clients = self.to_clients, []
        _write_each(to_upstreams)
        _write_each(to_clients)


def _write_each(messages: list[tuple[asyncio.Transport, bytes]]) -> None:
    for transport, message in messages:
        if not transport.is_closing():
            try:
                transport.write(message)
            except Exception:  # a defect costs one connection, and not those behind it in the row
                log.exception("a message could not be written")
                transport.abort()
