"""The stream by which open pages are told, as HTTP: Server-Sent Events (WHATWG HTML 9.2, behaviour 10)."""

import json
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import get, post
from tests.contract.http.site import ALLOWED, STRANGER, Lane
from tests.contract.http.test_draining import LONG
from tests.contract.http.test_own_pages import HEALTHZ, OWN, asked
from tests.contract.http.wire import DEADLINE_S, Cut, Message, Wire

LIVE = b"/_rgate/live"
EVENTS = (b"Accept: text/event-stream",)
MOST_PAGES = 20
Told = tuple[str, Any]


class Page:
    """An open page: what comes on *wire* behind the head of its stream."""

    def __init__(self, wire: Wire, head: Message) -> None:
        self.wire = wire
        self.head = head
        self._is_chunked = b"chunked" in head.items(b"transfer-encoding")
        self._text = b""
        self.has_ended = False

    def block(self) -> bytes:
        """The next lines up to an empty one; b"" at the end."""
        while b"\n\n" not in self._text:
            piece = self._piece()
            if not piece:
                self.has_ended = True
                return b""
            self._text += piece
        block, _, self._text = self._text.partition(b"\n\n")
        return block

    def _piece(self) -> bytes:
        return self.wire.read_chunk() if self._is_chunked else self.wire.read_until(b"\n\n")

    def event(self) -> Told | None:
        """The next event; None at the end."""
        block = self.block()
        if not block:
            return None
        name, data = block.decode().split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def next(self, *names: str) -> Any:
        """The data of the next event of one of *names*, within two of the usual deadlines."""
        until_s = time.monotonic() + 2 * DEADLINE_S
        while time.monotonic() < until_s:
            event = self.event()
            assert event is not None, f"the stream ended instead of {names}"
            if event[0] in names:
                return event[1]
        raise AssertionError(f"none of {names} came")

    def both(self, one: str, other: str) -> dict[str, Any]:
        """The data of the next event of either name, by its name."""
        told = dict[str, Any]()
        until_s = time.monotonic() + 2 * DEADLINE_S
        while len(told) < 2 and time.monotonic() < until_s:
            event = self.event()
            assert event is not None, f"the stream ended instead of {one} and {other}"
            if event[0] in (one, other):
                told.setdefault(*event)
        return told


def opened(
    gateway: Gateway, query: bytes = b"", version: bytes = b"HTTP/1.1", peer: str = "127.0.0.1"
) -> Page:
    """A page that has just opened, and was told when to ask anew."""
    client = gateway.client(peer)
    client.send(get(LIVE + query, *EVENTS, host=b"localhost", version=version))
    page = Page(client, client.read_head())
    assert page.head.status == 200
    assert page.block() == b"retry: 2000"
    return page


@contextmanager
def page_of(gateway: Gateway, query: bytes = b"") -> Iterator[Page]:
    page = opened(gateway, query)
    try:
        yield page
    finally:
        page.wire.close()


def narrow(gateway: Gateway) -> Wire:
    """A connection on which little lies between what the gateway writes and what is read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # the gateway's buffer grows with it
    sock.connect(("127.0.0.1", gateway.port))
    return Wire(sock)


@pytest.fixture(autouse=True)
def no_page_stays_open(gateway: Gateway) -> Iterator[None]:
    yield
    gateway.close_clients()


@clause("10.live.format", "10.live.first", "10.live.tick", own_choice=OWN)
def test_a_page_is_told_all_at_once_and_then_ticks(gateway: Gateway) -> None:
    page = opened(gateway, b"?window=15m")
    assert page.head.values(b"content-type") == [b"text/event-stream"]
    assert page.head.values(b"cache-control") == [b"no-store"]
    first = [page.event() for _ in range(4)]
    told = dict(event for event in first if event)
    assert list(told) == ["tick", "verdict", "backends", "routes"]
    assert told["tick"].keys() == {"now", "freshness", "bucket", "total"}
    assert told["tick"]["bucket"].keys() == {"t", "requests", "errors", "own", "p50", "p95", "p99"}
    assert told["routes"]["window_s"] == 900
    assert told["backends"]["backends"]
    assert told["verdict"]["freshness"] == told["tick"]["freshness"]
    times = [told["tick"]["now"], *(page.next("tick")["now"] for _ in range(2))]
    assert times == sorted(set(times))


@clause("10.live.failure", "10.live.timeline", own_choice=OWN)
def test_a_failure_is_told_as_it_happens(launch: Launch) -> None:
    gateway = launch(alone=1)  # one of its own: pages are told of all failures
    client, alone = gateway.client(), gateway.lane("alone")
    with page_of(gateway) as page, page_of(gateway, b"?window=7d") as other:
        for one in (page, other):
            one.next("routes")
        identity = uuid.uuid4().hex
        client.send(get(alone.path, b"X-Request-ID: " + identity.encode()))
        gateway.check_answer(client.read_response(), 503, "connect_failed")
        for one in (page, other):
            told = one.both("failure", "timeline")  # in whichever order: it is left out before it is given up
            failure, event = told["failure"], told["timeline"]
            assert (failure["id"], failure["reason"]) == (identity, "connect_failed")
            assert failure == gateway.requests(f"id={identity}")[0]
            assert (event["kind"], event["backend"]) == ("out", alone.name)


@clause("10.live.failure", own_choice=OWN)
def test_of_many_failures_twenty_a_second_are_told_and_how_many_more_there_were(launch: Launch) -> None:
    number = 300
    gateway = launch(alone=1)
    alone = gateway.lane("alone")
    with page_of(gateway) as page, gateway.client() as client:
        began_s = time.monotonic()
        client.send(get(alone.path) * number)
        for _ in range(number):
            assert client.read_response().status == 503
        told = more = 0
        while told + more < number:
            failure = page.next("failure")
            more += failure.get("more", 0)
            told += "id" in failure
        assert told + more == number
        assert more > 0
        assert told <= 20 * (time.monotonic() - began_s + 2)


@clause("10.live.framing", own_choice=OWN)
def test_a_client_of_1_0_gets_what_it_can_read(gateway: Gateway) -> None:
    page = opened(gateway, version=b"HTTP/1.0")
    assert not page.head.values(b"transfer-encoding")
    assert not page.head.values(b"content-length")
    assert page.next("tick")["total"]


@clause("RFC 9110 9.3.2", "10.live.framing", own_choice=OWN)
def test_head_gets_the_fields_alone_and_the_connection_goes_on(client: Wire) -> None:
    for _ in range(2):
        client.send(get(LIVE, method=b"HEAD", host=b"localhost"))
        response = client.read_response(to=b"HEAD")
        assert (response.status, response.values(b"content-type")) == (200, [b"text/event-stream"])
    client.send(asked(HEALTHZ))
    assert client.read_response().status == 200


@clause("10.live.format", own_choice=OWN)
@pytest.mark.parametrize("query", [b"?window=2h", b"?window=", b"?by=route", b"?window=1h&window=1h"])
def test_a_query_that_it_does_not_know_is_refused(client: Wire, query: bytes) -> None:
    client.send(get(LIVE + query, *EVENTS, host=b"localhost"))
    response = client.read_response()
    assert (response.status, json.loads(response.content)["reason"]) == (400, "bad_query")


@clause("8.pages.allowed", own_choice=OWN)
def test_it_is_for_those_in_admin_allow(limited: Gateway) -> None:
    with limited.client(STRANGER) as stranger:
        stranger.send(get(LIVE, *EVENTS, host=b"localhost"))
        limited.check_answer(stranger.read_response(), 403, "forbidden")
    page = opened(limited, peer=ALLOWED)
    assert page.next("tick")
    page.wire.close()


@clause("RFC 9110 15.5.6", own_choice=OWN)
def test_it_is_only_read(client: Wire) -> None:
    client.send(post(LIVE, b"", host=b"localhost"))
    response = client.read_response()
    assert (response.status, response.values(b"allow")) == (405, [b"GET, HEAD"])


@clause("10.live.full", "10.live.framing", own_choice=OWN)
def test_a_page_too_many_is_told_so_and_its_connection_goes_on(launch: Launch) -> None:
    gateway = launch()
    pages = [opened(gateway) for _ in range(MOST_PAGES)]
    late = opened(gateway)
    told = late.event()
    assert told is not None
    assert (told[0], told[1]["most"]) == ("full", MOST_PAGES)
    assert late.event() is None
    assert late.wire.read(2) == b"\r\n"  # behind the last chunk
    late.wire.send(asked(HEALTHZ))
    assert late.wire.read_response().status == 200

    pages.pop().wire.close()

    def is_let_in() -> bool:
        with page_of(gateway) as page:
            event = page.event()
            return event is not None and event[0] == "tick"

    wait_until(is_let_in, DEADLINE_S, "room for another")
    assert all(page.next("tick") for page in pages)


@clause("10.live.framing", own_choice=OWN)
def test_a_request_behind_a_stream_is_not_answered_before_its_end(gateway: Gateway) -> None:
    page = opened(gateway)
    page.wire.send(asked(HEALTHZ) * 3)
    told = [page.event() for _ in range(6)]
    assert all(event is not None for event in told)


@clause("10.live.nobody", own_choice=OWN)
def test_a_page_that_left_leaves_nothing_behind(launch: Launch) -> None:
    gateway = launch()
    for _ in range(2):
        with page_of(gateway) as page:
            page.next("tick")
            wait_until(lambda: _connections(gateway) == 1, DEADLINE_S, "the end of all but the page's")
        wait_until(lambda: not _connections(gateway), DEADLINE_S, "the end of the connection")


def _connections(gateway: Gateway) -> int:
    """How many connections of clients the gateway has."""
    assert gateway._process is not None
    here = f":{gateway.port:04X} "
    lines = Path(f"/proc/{gateway._process.pid}/net/tcp").read_text().splitlines()
    return sum(line.split()[1].endswith(here.strip()) and line.split()[3] == "01" for line in lines)


@clause("10.live.slow", own_choice=OWN)
def test_a_page_that_does_not_read_keeps_nobody_waiting_and_is_told_later_what_it_missed(
    gateway: Gateway, client: Wire, alone: Lane
) -> None:
    with narrow(gateway) as wire, page_of(gateway) as other:
        wire.send(get(LIVE, *EVENTS, host=b"localhost"))
        for _ in range(2):  # the first page, too, was told of more than lies between
            other.next("tick")
        identities = [uuid.uuid4().hex for _ in range(3)]
        for identity in identities:
            client.send(get(alone.path, b"X-Request-ID: " + identity.encode()))
            assert client.read_response().status == 503
            assert other.next("failure")["id"] == identity

        slow = Page(wire, wire.read_head())
        assert slow.block() == b"retry: 2000"
        missed = slow.next("failure")
        assert missed == {"more": 3}
        assert slow.next("tick")


@clause("10.live.stop", own_choice=OWN)
def test_streams_end_as_soon_as_rgate_begins_to_end_and_none_is_waited_for(launch: Launch) -> None:
    gateway = launch(*LONG)
    pages = [opened(gateway), opened(gateway, version=b"HTTP/1.0"), opened(gateway)]
    for page in pages:
        page.next("tick")
    gateway.terminate()
    assert [_to_its_end(page) for page in pages] == [True] * 3
    assert gateway.exit_status() == 0, "and not after all that a drain may take"


@clause("10.live.allowed", own_choice=OWN)
def test_a_page_that_a_reload_shuts_out_is_told_nothing_more(launch: Launch) -> None:
    gateway = launch()
    page = opened(gateway)
    page.next("tick")
    file = gateway.directory / "config.yml"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"admin": {"allow": ["192.0.2.0/24"]}}))
    gateway.signal(signal.SIGHUP)
    assert _to_its_end(page)


def _to_its_end(page: Page) -> bool:
    """Whether the stream ends as it should: in chunks by the last one."""
    try:
        while page.event() is not None:
            pass
    except Cut:
        return page.head.values(b"transfer-encoding") == []
    return page.has_ended


@clause("10.live.stop", own_choice=OWN)
def test_a_page_that_does_not_read_does_not_hold_the_end(launch: Launch) -> None:
    gateway = launch(*LONG, single=400)  # so that the backends fill what lies between
    with narrow(gateway) as wire, page_of(gateway) as other:
        wire.send(get(LIVE, *EVENTS, host=b"localhost"))
        for _ in range(2):
            other.next("tick")
        gateway.terminate()
        assert gateway.exit_status() == 0


@clause("9.http.own", own_choice=OWN)
def test_a_stream_is_neither_counted_nor_among_the_requests(counted: Gateway) -> None:
    before = counted.figures("status")
    with page_of(counted) as page:
        page.next("tick")
        identity = page.head.values(b"x-request-id")[0].decode()
    assert counted.figures("status") == before
    assert counted.requests(f"id={identity}") == []
