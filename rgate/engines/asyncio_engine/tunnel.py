"""A connection that no longer speaks HTTP: bytes both ways, until both sides have ended (RFC 9110 7.8)."""

import time

from rgate.core.patience import LINGER_S
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.underway import Underway
from rgate.engines.asyncio_engine.upstream import Upstream, end_writing, pause_reading, unwritten_bytes


class Tunnel:
    """Joins the connections of *underway*, whose request it was; without a byte for `idle`, it ends.

    The end of what one side sends is passed on, and the other way stays open.
    """

    __slots__ = ("_client", "_ends", "_unwritten", "_upstream", "underway")

    def __init__(self, underway: Underway) -> None:
        self.underway = underway
        self._client = underway.client
        self._upstream = underway.upstream
        self._ends = 0  # how many sides have ended
        self._unwritten = (0, 0)  # bytes that the two have not taken, when that was looked at last

    def start(self, from_client: bytes, from_upstream: bytes) -> None:
        """Begin, with what either side sent before."""
        self._client.work = self
        self._upstream.owner = self
        self._client.resume()
        self._upstream.pause_reading(paused=self._client.is_write_paused)
        if from_client:
            self._upstream.transport.write(from_client)
        if from_upstream:
            self._client.transport.write(from_upstream)
        self._moved()

    def _moved(self) -> None:
        self._unwritten = self._not_taken()
        self._client.deadline_ns = time.monotonic_ns() + self.underway.route.idle_ns

    def _not_taken(self) -> tuple[int, int]:
        return unwritten_bytes(self._client.transport), unwritten_bytes(self._upstream.transport)

    def client_data(self, data: bytes) -> None:
        self._upstream.transport.write(data)
        self._moved()

    def upstream_data(self, data: bytes) -> None:
        self._client.transport.write(data)
        self._moved()

    def client_at_end(self) -> bool:
        return self._pass_end(self._upstream)

    def upstream_at_end(self) -> bool:
        return self._pass_end(self._client)

    def _pass_end(self, other: Client | Upstream) -> bool:
        self._ends += 1
        if self._ends == 2:
            self._end()
            return False
        end_writing(other.transport)
        self._moved()
        return True

    def _end(self) -> None:
        """End both, behind what is still to be written; who does not read it has its time, and no more."""
        self._leave()
        self._upstream.owner = None
        self._client.transport.close()
        upstream = self._upstream.transport
        if upstream.get_write_buffer_size():
            self._client.shared.loop.call_later(LINGER_S, upstream.abort)
        upstream.close()

    def client_gone(self) -> None:
        self._end()

    def upstream_lost(self) -> None:
        self._end()

    def client_pausing(self, *, paused: bool) -> None:
        self._upstream.pause_reading(paused=paused)

    def upstream_pausing(self, *, paused: bool) -> None:
        pause_reading(self._client.transport, paused=paused)

    def expired(self) -> None:
        """End both at once: who did not read for so long would hold up what waits to be written."""
        if self._not_taken() != self._unwritten:
            self._moved()  # one of them reads, though slowly
        else:
            self.stopped()

    def stopped(self) -> None:
        self._leave()
        self._upstream.discard()
        self._client.transport.abort()

    def _leave(self) -> None:
        self._client.work = None
        self.underway.route.exchange.ended(self.underway.attempt)
