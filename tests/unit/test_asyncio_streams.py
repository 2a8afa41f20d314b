"""A stream of rgate's own on a connection of the asyncio engine (behaviour 10.live)."""

from collections.abc import Iterator

import pytest
from flask import Flask

from rgate.core.live import RETRY
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.engine import Acceptor
from rgate.engines.asyncio_engine.ports import NEVER_NS
from rgate.telling.live import MOST_PAGES, Live, Viewer
from rgate.web.pages import LIVE, Web
from tests.unit.asyncio_pair import Pair, Written, pair_of
from tests.unit.test_live import HOUR, Facts, Reader

ASK = b"GET /_rgate/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTHZ = b"GET /_rgate/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"0\r\n\r\n"


class ByHand(Live):
    """Without its thread: the test gives the viewers what there is."""

    def _has_thread(self) -> bool:
        return True

    @property
    def viewers(self) -> list[Viewer]:
        return list(self._pages)


class Site:
    """An engine, and what tells its open pages."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.live = ByHand(Facts())
        app = Flask("web")
        app.extensions[LIVE] = self.live
        pair.shared.web = Web(pair.gateway, app, tuple)
        pair.acceptor = Acceptor(pair.shared)

    def client(self) -> tuple[Client, Written]:
        """A connection from this machine."""
        client = Client(self.pair.shared, self.pair.acceptor)
        transport = Written(self.pair.turns, client, "127.0.0.1")
        self.pair.turns._transports.append(transport)
        client.connection_made(transport)
        return client, transport

    def opened(self, request: bytes = ASK) -> tuple[Client, Written, Viewer]:
        """A stream that has begun."""
        client, transport = self.client()
        client.data_received(request)
        (viewer,) = self.live.viewers
        return client, transport, viewer


@pytest.fixture
def site() -> Iterator[Site]:
    with pair_of() as pair:
        yield Site(pair)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.clause("10.live.framing", "10.live.format")
def test_what_is_given_is_written_in_the_loop_as_it_comes(site: Site) -> None:
    _, transport, viewer = site.opened()
    head, _, content = transport.taken().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert content == chunk(RETRY)
    assert viewer.is_ready
    viewer.take(b"event: tick\ndata: 1\n\n")
    assert not viewer.is_ready, "it is not written yet"
    assert transport.taken() == b"", "no foreign thread writes"
    site.pair.turns.end_turn()
    assert transport.taken() == chunk(b"event: tick\ndata: 1\n\n")
    assert viewer.is_ready
    assert site.pair.log == [], "such pages are not counted"


@pytest.mark.clause("10.live.framing")
def test_a_client_of_1_0_is_written_to_up_to_the_end_of_its_connection(site: Site) -> None:
    _, transport, viewer = site.opened(ASK.replace(b"1.1", b"1.0"))
    head, _, content = transport.taken().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert content == RETRY
    viewer.take(b"x")
    site.live.end()
    site.pair.turns.end_turn()
    assert transport.taken() == b"x"
    assert transport.closed


@pytest.mark.clause("10.live.framing")
def test_head_gets_the_head_and_opens_no_page(site: Site) -> None:
    client, transport = site.client()
    client.data_received(ASK.replace(b"GET", b"HEAD") + HEALTHZ)
    site.pair.turns.end_turn()
    head, _, rest = transport.taken().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n"), "the next answer, and no content before it"
    assert site.live.viewers == []


@pytest.mark.clause("10.live.framing", "10.live.full")
def test_a_request_behind_it_waits_for_its_end(site: Site) -> None:
    for _ in range(MOST_PAGES - 1):
        site.live.open(Reader(), HOUR)
    client, transport = site.client()
    client.data_received(ASK + HEALTHZ)
    site.pair.turns.end_turn()
    assert transport.taken().endswith(chunk(RETRY))

    late, answered = site.client()
    late.data_received(ASK + HEALTHZ)
    site.pair.turns.end_turn()
    said = answered.taken()
    assert b"event: full\n" in said
    full, _, behind = said.partition(LAST)
    assert full.startswith(b"HTTP/1.1 200 OK")
    assert behind.startswith(b"HTTP/1.1 200 OK")
    assert behind.endswith(b'{"status":"ok"}\n')
    assert not answered.closed

    client.data_received(bytes(100_000))
    assert not transport.reads, "what is sent ahead is not read without end"
    transport.lose()
    assert len(site.live.viewers) == MOST_PAGES - 1


@pytest.mark.clause("10.live.nobody")
@pytest.mark.parametrize("leaves", ["by a reset", "by its end", "as rgate stops"])
def test_who_leaves_is_forgotten_at_once_and_written_nothing_more(site: Site, leaves: str) -> None:
    client, transport, viewer = site.opened()
    viewer.take(b"x")
    transport.taken()
    if leaves == "by a reset":
        transport.lose(ConnectionResetError())
    elif leaves == "by its end":
        assert not client.eof_received(), "the connection is to be closed"
    else:
        client.stop()
    assert site.live.viewers == []
    viewer.take(b"y")
    viewer.end()
    site.pair.turns.end_turn()
    assert transport.taken() == b""


@pytest.mark.clause("10.live.slow")
def test_who_does_not_read_is_not_ready_and_taken_for_gone_after_a_while(site: Site) -> None:
    client, transport, viewer = site.opened()
    assert client.deadline_ns == NEVER_NS
    client.pause_writing()
    assert not viewer.is_ready
    assert client.deadline_ns < NEVER_NS
    client.resume_writing()
    assert viewer.is_ready
    assert client.deadline_ns == NEVER_NS
    client.pause_writing()
    client.expired()
    assert transport.was_aborted
    assert site.live.viewers == []


@pytest.mark.clause("10.live.stop")
@pytest.mark.parametrize("reads", [True, False])
def test_the_end_of_rgate_ends_it_and_waits_for_nobody_who_does_not_read(site: Site, reads: bool) -> None:
    client, transport, viewer = site.opened()
    viewer.take(b"x")
    transport.taken()
    transport.unwritten = 0 if reads else 1
    site.pair.acceptor.drain()
    site.live.end()
    site.pair.turns.end_turn()
    if reads:
        assert transport.taken() == chunk(b"x") + LAST
        assert transport.at_end
        assert not transport.was_aborted
    else:
        assert transport.was_aborted
    assert client.work is None or reads, "but for lingering a moment"

    late, answered = site.client()
    late.data_received(ASK)
    assert answered.taken().endswith(chunk(RETRY) + LAST)


def test_content_of_the_request_is_no_later_one(site: Site) -> None:
    request = ASK.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(HEALTHZ))
    client, transport, _ = site.opened(request + HEALTHZ)
    client.data_received(HEALTHZ)
    assert b"Connection: close" in transport.taken()
    site.live.end()
    site.pair.turns.end_turn()
    assert transport.taken() == LAST
    assert transport.at_end


def test_a_stranger_and_a_bad_query_get_a_problem(site: Site) -> None:
    stranger, answered = site.pair.connected()
    stranger.data_received(ASK)
    assert answered.taken().startswith(b"HTTP/1.1 403 ")
    client, transport = site.client()
    client.data_received(ASK.replace(b"live", b"live?window=2h"))
    assert transport.taken().startswith(b"HTTP/1.1 400 ")
    assert site.live.viewers == []
