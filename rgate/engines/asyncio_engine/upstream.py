"""Connections to upstreams: each serves one owner at a time, and waits in its address's pool between."""

import asyncio
import select
import weakref
from collections.abc import Callable
from typing import Final, Protocol, cast

from rgate.core.candidates import Address

# Below what servers commonly keep an idle connection for (nginx 75 s, Node 5 s tell by their FIN).
IDLE_NS: Final = 60 * 10**9


class Owner(Protocol):
    """Whoever an upstream's connection works for at the moment."""

    def upstream_data(self, data: bytes) -> None:
        """Take bytes that the upstream sent."""

    def upstream_ended(self, error: Exception | None) -> None:
        """Take the end of what the upstream sends: a FIN, or with *error* a broken connection."""

    def upstream_pausing(self, *, paused: bool) -> None:
        """Write no more for now, or go on: the upstream reads slowly."""


class Upstream(asyncio.Protocol):
    """One connection to one address."""

    __slots__ = ("address", "idle_since_ns", "is_open", "owner", "pool", "reused", "transport")

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.owner: Owner | None = None
        self.is_open = True
        self.reused = False
        self.idle_since_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.owner is not None:
            self.owner.upstream_data(data)
        else:  # nobody asked: whatever it is, it is no answer to the next request
            self.discard()

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        self.is_open = False
        self.pool.forget(self)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.upstream_ended(error)

    def pause_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_pausing(paused=True)

    def resume_writing(self) -> None:
        if self.owner is not None:
            self.owner.upstream_pausing(paused=False)

    def is_quiet(self) -> bool:
        """Whether nothing was sent that the loop has not told of yet, such as the end."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def discard(self) -> None:
        """End the connection at once: it is in no state to serve another request."""
        self.owner = None
        self.is_open = False
        self.pool.forget(self)
        self.transport.abort()


class Pool:
    """The idle connections to one address. The one used last comes first, so that the rest can go."""

    __slots__ = ("__weakref__", "address", "idle")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.idle: list[Upstream] = []

    def take(self, *, certainly_open: bool = False) -> Upstream | None:
        """Return an idle connection, or None.

        *certainly_open*: as far as one can tell before writing; for requests that may not be sent twice.
        """
        while self.idle:
            upstream = self.idle.pop()
            if not certainly_open or upstream.is_quiet():
                return upstream
            upstream.discard()
        return None

    def give_back(self, upstream: Upstream, now_ns: int) -> None:
        """Keep *upstream* for the next request. Its last response was read to its end."""
        upstream.owner = None
        upstream.reused = True
        upstream.idle_since_ns = now_ns
        self.idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        """Take *upstream* out, where it is in."""
        if upstream in self.idle:
            self.idle.remove(upstream)

    def close_idle_since(self, before_ns: int) -> None:
        """End the connections that nobody used since *before_ns*."""
        for upstream in [upstream for upstream in self.idle if upstream.idle_since_ns < before_ns]:
            upstream.discard()


class Pools:
    """The pools of all addresses, and the way to new connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[Pool], Upstream] = Upstream) -> None:
        self._loop = loop
        self._make = make
        # A pool stays as long as somebody refers to it: a connection, or the hot path.
        self._pools: weakref.WeakValueDictionary[Address, Pool] = weakref.WeakValueDictionary()

    def of(self, address: Address) -> Pool:
        """Return the pool of *address*."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = Pool(address)
        return pool

    async def connect(self, address: Address, within_s: float) -> Upstream:
        """Return a new connection. Raises OSError, TimeoutError."""
        pool = self.of(address)
        async with asyncio.timeout(within_s):
            _, upstream = await self._loop.create_connection(
                lambda: self._make(pool), address.host, address.port
            )
        return upstream

    def sweep(self, now_ns: int) -> None:
        """End connections that were idle for long."""
        for pool in list(self._pools.values()):
            pool.close_idle_since(now_ns - IDLE_NS)

    def close(self) -> None:
        """End all idle connections."""
        for pool in list(self._pools.values()):
            for upstream in list(pool.idle):
                upstream.discard()
