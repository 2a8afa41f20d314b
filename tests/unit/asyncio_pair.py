"""A client and upstreams of the asyncio engine, on an event loop without a network.

What is written to a transport is kept, and what comes is called by the test. Nothing of the engine itself
is replaced.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Limits, Policy, ResponseFormat, Route
from rgate.core.gateway import Gateway
from rgate.core.onward import AT_ONCE
from rgate.core.record import Counter
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.engine import Acceptor
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.asyncio_engine.underway import Underway
from rgate.engines.asyncio_engine.upstream import Upstream
from rgate.web.pages import Web
from tests.kept_records import KeptRecords

CANDIDATE = Candidate("c", "", Address("127.0.0.1", 1))
OTHER = Candidate("other", "", Address("127.0.0.1", 2))
GET = b"GET /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /a/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
HEAD = b"HEAD /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"
UNUSUAL_ANSWER = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


class Written(asyncio.Transport):
    """A transport that keeps what is written to it. Its socket is there to be looked at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, peer: str) -> None:
        self.far, here = socket.socketpair()
        here.setblocking(False)
        super().__init__({"peername": (peer, 1), "sockname": ("192.0.2.1", 8080), "socket": here})
        self._loop = loop
        self._protocol = protocol
        self.data = b""
        self.closed = False
        self.was_aborted = False
        self.at_end = False
        self.reads = True
        self.unwritten = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written to after it was closed"
        assert not self.at_end, "written to behind its end"
        self.data += data

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        data, self.data = self.data, b""
        return data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()
        self.was_aborted = True

    def lose(self, error: Exception | None = None) -> None:
        """Let the connection break."""
        self.closed = True
        self._protocol.connection_lost(error)

    def write_eof(self) -> None:
        self.at_end = True

    def resume_reading(self) -> None:
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (0, None), "what is not written is told of at once"

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def close_sockets(self) -> None:
        self.far.close()
        self.get_extra_info("socket").close()


class Turns(asyncio.SelectorEventLoop):
    """A loop that runs when it is told to, and connects nowhere: *network* says who accepts."""

    def __init__(self) -> None:
        super().__init__()
        self.network: dict[int, type[Exception] | None] = {}  # by port: what goes wrong
        self.asked: list[int] = []  # ports
        self.made: list[tuple[Upstream, Written]] = []  # connections to them
        self._transports: list[Written] = []

    def transport(self, protocol: asyncio.Protocol, kind: type[Written] = Written) -> Written:
        """A connection of *protocol*."""
        made = kind(self, protocol, "192.0.2.7")
        self._transports.append(made)
        protocol.connection_made(made)
        return made

    async def create_connection(  # type: ignore[override]  # as the engine calls it
        self, factory: Callable[[], Upstream], host: str, port: int
    ) -> tuple[asyncio.Transport, Upstream]:
        del host
        self.asked.append(port)
        error = self.network.get(port, ConnectionRefusedError)
        if error is not None:
            raise error
        upstream = factory()
        self.made.append((upstream, self.transport(upstream)))
        return self.made[-1][1], upstream

    def end_turn(self) -> None:
        """Do what was to be done soon, and what that asked for."""
        for _ in range(6):
            self.run_until_complete(asyncio.sleep(0))

    def close(self) -> None:
        for transport in self._transports:
            transport.close_sockets()
        self.end_turn()
        super().close()


class Counts(KeptRecords):
    """A log that counts without a record."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[tuple[str, int]] = []

    def counter(self, route: str, backend: str, container: str) -> Counter:  # type: ignore[override]  # it has one
        del backend
        counted = self.counted

        class Counting:
            def add(self, status: int, latency_ns: int, now_ns: int) -> None:
                del latency_ns, now_ns
                counted.append((f"{route} {container}", status))

        return Counting()


class Pair:
    """A client, and an upstream that waits in the pool of the first of *candidates*."""

    def __init__(
        self,
        *,
        strip_prefix: bool = False,
        envelope: bool = False,
        policy: Policy = Policy.RANDOM,
        candidates: tuple[Candidate, ...] = (CANDIDATE,),
        random: Callable[[], float] = lambda: 0.0,
        limits: Limits | None = None,
        log: KeptRecords | None = None,
        can_tunnel: bool = True,
    ) -> None:
        form = ResponseFormat.ENVELOPE if envelope else ResponseFormat.RAW
        route = Route("/a", "b", strip_prefix=strip_prefix, response_format=form)
        backend = Backend("b", urls=("http://127.0.0.1:1",), policy=policy)
        config = Config((route,), (backend,), limits=limits or Limits())
        self.gateway = Gateway(config, {"b": BackendView("b", candidates)}, random, can_tunnel=can_tunnel)
        self.log = log if log is not None else KeptRecords()
        self.turns = Turns()
        self.shared = Shared(self.turns, self.gateway, Web(self.gateway, Flask("web"), tuple), self.log)
        self.acceptor = Acceptor(self.shared)
        self.client, self.to_client = self.connected()
        self.pool = self.shared.pools.of(candidates[0].address)
        self.upstream, self.to_upstream = self.pooled()

    def connected(self) -> tuple[Client, Written]:
        """A new client's connection."""
        client = Client(self.shared, self.acceptor)
        self.acceptor._clients.add(client)
        return client, self.turns.transport(client)

    def pooled(self) -> tuple[Upstream, Written]:
        """A connection that served a request before, and waits."""
        upstream = Upstream(self.pool)
        transport = self.turns.transport(upstream)
        self.pool.give_back(upstream, time.monotonic_ns(), AT_ONCE)
        return upstream, transport

    def ask(self, request: bytes) -> bytes:
        """Let the client send *request*; return what goes to the upstream."""
        self.client.data_received(request)
        self.turns.end_turn()
        return self.to_upstream.taken()

    def answer(self, *pieces: bytes) -> bytes:
        """Let the upstream send *pieces*; return what goes to the client."""
        for piece in pieces:
            self.upstream.data_received(piece)
        self.turns.end_turn()
        return self.to_client.taken()

    def answer_all(self, data: bytes) -> bytes:
        """Let the client send *data*, and the upstream answer each whole request that comes to it."""
        self.client.data_received(data)
        self.turns.end_turn()
        while isinstance(owner := self.upstream.owner, Underway) and owner.upload.complete:
            self.upstream.data_received(ANSWER)
            self.turns.end_turn()
        return self.to_client.taken()

    def close(self) -> None:
        self.acceptor.stop()
        self.turns.run_forever()  # until that stops it
        self.turns.close()


@contextlib.contextmanager
def pair_of(**settings: Any) -> Iterator[Pair]:
    made = Pair(**settings)
    try:
        yield made
    finally:
        made.close()
