"""One client and one upstream of the hot path, on transports that only keep what is written to them."""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Limits, Policy, Route
from rgate.core.exchange import Attempt, Exchange
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.message import parse_request_head
from rgate.engines.asyncio_engine.engine import Shared
from rgate.engines.asyncio_engine.hot_path import HotClient, HotUpstream
from tests.kept_records import KeptRecords

CANDIDATE = Candidate("c", "", Address("127.0.0.1", 1))
ORDINARY = b"GET /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


class Turns:
    """A loop that does what is called soon when it is told to."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def create_task(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run it, as far as it does not wait."""
        with contextlib.suppress(StopIteration):
            coroutine.send(None)

    def end_turn(self) -> None:
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False
        self.at_end = False
        self.reads = True
        self.unwritten = 0

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to after it was closed"
        self.data += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    close = abort

    def write_eof(self) -> None:
        self.at_end = True

    def resume_reading(self) -> None:
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def get_write_buffer_size(self) -> int:
        return self.unwritten


class QuietUpstream(HotUpstream):
    """One whose socket need not be looked at; what is not ordinary is left where it is."""

    def is_quiet(self) -> bool:
        return True

    def take_general_way(self) -> None:
        pass


class Pair:
    """A hot client and a hot upstream at hand, on transports that only keep what is written."""

    def __init__(
        self,
        *,
        strip_prefix: bool = False,
        policy: Policy = Policy.RANDOM,
        trusted: bool = False,
        candidates: tuple[Candidate, ...] = (CANDIDATE,),
        random: Callable[[], float] = lambda: 0.0,
        body_bytes: int | None = None,
    ) -> None:
        route = Route("/a", "b", strip_prefix=strip_prefix)
        backend = Backend("b", urls=("http://127.0.0.1:1",), policy=policy)
        config = Config((route, Route("/", "b")), (backend,), limits=Limits(body_bytes=body_bytes))
        self.gateway = Gateway(config, {"b": BackendView("b", candidates)}, random)
        self.log = KeptRecords()
        self.turns = Turns()
        self.shared = Shared(cast(Any, self.turns), self.gateway, cast(Any, None), self.log)
        self.client = HotClient(self.shared)
        self.client.connection = ClientConnection("192.0.2.7", 8080, trusted)
        self.client.is_open = True
        self.to_client, self.to_upstream = Written(), Written()
        self.client.transport = cast(Any, self.to_client)
        self.pool = self.shared.pools.of(CANDIDATE.address)
        self.upstream: HotUpstream = QuietUpstream(self.pool)
        self.upstream.transport = cast(Any, self.to_upstream)
        self.pool.idle.append(self.upstream)

    def send(self, request: bytes) -> bool:
        """Whether *request* was sent on by the hot path."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rgate.engines.asyncio_engine.client.Client.data_received", lambda *_: None)
            self.client.data_received(request)
        self.turns.end_turn()
        return self.client.upstream is not None

    def exchange(self, head: bytes) -> Exchange:
        """What the general way makes of it."""
        begun = self.gateway.begin(
            parse_request_head(head), self.client.connection, self.client.request_id, can_tunnel=True
        )
        assert isinstance(begun.outcome, Exchange), f"the general way does not forward it: {begun}"
        assert isinstance(begun.outcome.next(0.0), Attempt)
        return begun.outcome
