"""Connections to upstreams: each serves one owner at a time, and waits in its address's pool between."""

import asyncio
import contextlib
import errno
import os
import select
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, cast

from rgate.core.candidates import Address
from rgate.core.onward import AFTER_A_REST, AT_ONCE, Reuse
from rgate.core.patience import IDLE_S, MOST_RESTING, REST_S
from rgate.core.reading import ResponseReader
from rgate.engines.asyncio_engine.ports import NS, Owner
from rgate.engines.sockets import ENDED, is_itself, poll, untaken_bytes

_IDLE_NS: Final = int(IDLE_S * NS)
_REST_NS: Final = int(REST_S * NS)
_PIECE_BYTES: Final = 65536


class Upstream(asyncio.Protocol):
    """One connection to one address."""

    __slots__ = (
        "idle_since_ns", "is_counted", "is_open", "is_read_paused", "is_write_paused", "owner", "pool",
        "reader", "reused", "spoke_first", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.owner: Owner | None = None
        self.reader = ResponseReader()
        self.is_counted = False  # in the tally
        self.is_open = True
        self.is_read_paused = False
        self.is_write_paused = False
        self.reused = False
        self.spoke_first = False  # before it was asked
        self.idle_since_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.is_counted = True
        self.pool.tally.open += 1

    def uncount(self) -> None:
        """Take it that the connection is open no more, if it was."""
        if self.is_counted:
            self.is_counted = False
            self.pool.tally.open -= 1

    def data_received(self, data: bytes) -> None:
        owner = self.owner
        if owner is not None:
            owner.upstream_data(data)
        else:  # nobody asked: whatever it is, it is no answer to the next request
            self.spoke_first = True
            self.discard()

    def eof_received(self) -> bool:
        self.is_open = False
        self.pool.forget(self)
        return self.owner is not None and self.owner.upstream_at_end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self.uncount()
        if exc is not None:
            self._read_rest()
        self.pool.forget(self)  # a response among the rest may have put it back
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.upstream_lost()

    def _read_rest(self) -> None:
        """Read what came before the connection broke: who answers early, and closes with the rest of the
        request unread, resets what we still write, and that is noticed before its answer is read.
        """
        descriptor = _descriptor(self.transport)
        with contextlib.suppress(OSError):
            while self.owner is not None and (data := os.read(descriptor, _PIECE_BYTES)):
                self.owner.upstream_data(data)

    def pause_writing(self) -> None:
        self.is_write_paused = True
        if self.owner is not None:
            self.owner.upstream_pausing(paused=True)

    def resume_writing(self) -> None:
        self.is_write_paused = False
        if self.owner is not None:
            self.owner.upstream_pausing(paused=False)

    def pause_reading(self, *, paused: bool) -> None:
        """Read no more for now, or go on."""
        self.is_read_paused = paused
        pause_reading(self.transport, paused=paused)

    def is_quiet(self) -> bool:
        """Whether nothing was sent that the loop has not told of yet, such as the end."""
        return is_quiet(self.transport)

    def discard(self) -> None:
        """End the connection at once: it is in no state to serve another request."""
        self.owner = None
        self.is_open = False
        self.pool.forget(self)
        self.transport.abort()


def is_quiet(transport: asyncio.Transport) -> bool:
    """Whether nothing came on *transport* that the loop has not told of yet."""
    return not poll({_descriptor(transport): select.POLLIN}, 0)


def has_ended(transport: asyncio.Transport) -> bool:
    """Whether the other end of *transport* has ended what it sends, or broke, read or not."""
    return bool(poll({_descriptor(transport): ENDED}, 0))


def unwritten_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the other end of *transport* has not taken, where the kernel does not take all.

    What the kernel has is among them: it frees room in large steps, which a slow reader needs long for.
    """
    unwritten = transport.get_write_buffer_size()
    return unwritten and unwritten + untaken_bytes(_descriptor(transport))


def _descriptor(transport: asyncio.Transport) -> int:
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor


def _refuse_itself(upstream: Upstream) -> None:
    """Raise ConnectionRefusedError where nobody is at the other end but *upstream* itself."""
    transport = upstream.transport
    if is_itself(transport.get_extra_info("sockname"), transport.get_extra_info("peername")):
        upstream.discard()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def pause_reading(transport: asyncio.Transport, *, paused: bool) -> None:
    """Read no more of *transport* for now, or go on, unless it is being closed."""
    if transport.is_closing():
        return
    if paused:
        transport.pause_reading()
    else:
        transport.resume_reading()


def end_writing(transport: asyncio.Transport) -> None:
    """Tell the other end that nothing more is written, unless the connection is closed or broken: that is
    told of by itself.
    """
    if not transport.is_closing():
        with contextlib.suppress(OSError):
            transport.write_eof()


class Tally:
    """How many connections of several pools are *open*, those in use too."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0


class Pool:
    """The idle connections to one address. The one used last comes first, so that the rest can go.

    *now*: the time in nanoseconds of the clock that `give_back` is told of. *tally*: what counts its
    connections, with those of others.
    """

    __slots__ = ("__weakref__", "_now", "_resting", "address", "idle", "tally")

    def __init__(
        self, address: Address, now: Callable[[], int] = time.monotonic_ns, tally: Tally | None = None
    ) -> None:
        self.address = address
        self._now = now
        self.tally = tally or Tally()
        self.idle: list[Upstream] = []
        self._resting: deque[Upstream] = deque()  # those that rest the longest first

    @property
    def waiting(self) -> int:
        """How many connections are not in use. Any thread may ask."""
        return len(self.idle) + len(self._resting)

    def take(self, *, certainly_open: bool = False) -> Upstream | None:
        """Return an idle connection, or None.

        *certainly_open*: as far as one can tell before writing; for requests that may not be sent twice.
        """
        while self.idle or self._some_rested():
            upstream = self.idle.pop()
            if not certainly_open or upstream.is_quiet():
                return upstream
            upstream.discard()
        return None

    def _some_rested(self) -> bool:
        """Whether any is idle again. Looked at where another would have to be made: no timer is needed."""
        if self._resting:
            before_ns = self._now() - _REST_NS
            while self._resting and self._resting[0].idle_since_ns <= before_ns:
                self.idle.append(self._resting.popleft())
        return bool(self.idle)

    def give_back(self, upstream: Upstream, now_ns: int, reuse: Reuse) -> None:
        """Take back *upstream*, of which the last response was read to its end; *reuse* says what becomes of
        it.
        """
        upstream.owner = None
        if upstream.is_read_paused:  # its client read slowly
            upstream.pause_reading(paused=False)
        upstream.reused = True
        upstream.idle_since_ns = now_ns
        if reuse is AT_ONCE:
            self.idle.append(upstream)
        elif reuse is AFTER_A_REST and len(self._resting) < MOST_RESTING:
            self._resting.append(upstream)
        else:
            upstream.discard()

    def forget(self, upstream: Upstream) -> None:
        """Take *upstream* out, where it is in."""
        for some in (self.idle, self._resting):
            if upstream in some:
                some.remove(upstream)

    @property
    def longest_idle(self) -> Upstream | None:
        """The connection that was not in use for the longest time; None: there is none."""
        ends = (some[0] for some in (self.idle, self._resting) if some)
        return min(ends, key=lambda one: one.idle_since_ns, default=None)

    def close_idle_since(self, before_ns: int) -> None:
        """End the connections that nobody used since *before_ns*."""
        for upstream in [one for one in (*self.idle, *self._resting) if one.idle_since_ns < before_ns]:
            upstream.discard()


class Pools:
    """The pools of all addresses, and the way to new connections. *most* tells how many there may be."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: Callable[[], int]) -> None:
        self._most = most
        self._loop = loop
        # A pool stays as long as somebody refers to it: a connection, or a route in force.
        self._pools: weakref.WeakValueDictionary[Address, Pool] = weakref.WeakValueDictionary()
        self._made: dict[str, int] = {}
        self._tally = Tally()
        self._coming = 0

    def of(self, address: Address) -> Pool:
        """Return the pool of *address*."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = Pool(address, tally=self._tally)
        return pool

    async def connect(self, pool: Pool, backend: str) -> Upstream:
        """Return a new connection to the address of *pool*, for a request of *backend*.

        Raises whatever goes wrong, OSError mostly.
        """
        self._coming += 1
        upstream = Upstream(pool)
        try:
            if self._tally.open + self._coming > self._most() and self._close_longest_idle():
                await asyncio.sleep(0)  # what is closed gives its descriptor back in the next turn
            await self._loop.create_connection(lambda: upstream, pool.address.host, pool.address.port)
            _refuse_itself(upstream)
        except BaseException:
            # Where nobody waits any more, uvloop closes what it has just made, and tells no protocol.
            upstream.uncount()
            raise
        finally:
            self._coming -= 1
        upstream.transport.set_write_buffer_limits(0)  # so that one is told when all of a request was taken
        self._made[backend] = self._made.get(backend, 0) + 1
        return upstream

    def counts(self) -> tuple[int, int, Mapping[str, int]]:
        """Return how many connections are in use, how many are not, and how many were made for each backend.

        Any thread may ask: each step that it takes is one that no other interrupts.
        """
        pools = [pool for reference in self._pools.valuerefs() if (pool := reference()) is not None]
        waiting = sum(pool.waiting for pool in pools)
        return max(self._tally.open - waiting, 0), waiting, self._made.copy()

    def _close_longest_idle(self) -> bool:
        """End the connection that nobody used for the longest time; whether there was one."""
        found = [one for pool in list(self._pools.values()) if (one := pool.longest_idle) is not None]
        for upstream in sorted(found, key=lambda one: one.idle_since_ns)[:1]:
            upstream.discard()
        return bool(found)

    def sweep(self, now_ns: int) -> None:
        """End connections that were idle for long."""
        for pool in list(self._pools.values()):
            pool.close_idle_since(now_ns - _IDLE_NS)

    def close(self) -> None:
        """End all idle connections."""
        for pool in list(self._pools.values()):
            pool.close_idle_since(1 << 62)
