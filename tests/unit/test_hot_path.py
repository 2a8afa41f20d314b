"""The hot path in time: what waits in the outbox, and what the general way takes over in the middle."""

import itertools
import time
from dataclasses import replace
from typing import Any, NoReturn, cast

import pytest

from rgate.core.candidates import Address, Candidate
from rgate.core.config import Limits, Policy
from rgate.engines.asyncio_engine.client import LINGER_NS
from rgate.engines.asyncio_engine.hot_path import HotUpstream
from tests.unit.hot_pair import ANSWER, CANDIDATE, ORDINARY, Pair, Written

POST = b"POST /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"
UNUSUAL = b"BREW /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"


def test_messages_of_one_turn_go_out_at_its_end_all_requests_first() -> None:
    order: list[str] = []

    class Ordered(Written):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def write(self, data: bytes) -> None:
            order.append(f"{self.name} {data.decode()}")

    pair = Pair()
    outbox = pair.shared.outbox
    outbox.to_clients.append((cast(Any, Ordered("response")), b"1"))
    outbox.to_upstreams.append((cast(Any, Ordered("request")), b"2"))
    outbox.to_clients.append((cast(Any, Ordered("response")), b"3"))
    outbox.schedule()
    assert order == []
    pair.turns.end_turn()
    assert order == ["request 2", "response 1", "response 3"]
    pair.turns.end_turn()
    assert len(order) == 3


def test_a_message_that_cannot_be_written_costs_no_other_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Written):
        def write(self, data: bytes) -> None:
            raise RuntimeError(f"a defect, at {data!r}")

    pair, broken = Pair(), Broken()
    pair.shared.outbox.response(cast(Any, broken), b"1")
    pair.shared.outbox.response(cast(Any, pair.to_client), b"2")
    pair.turns.end_turn()
    assert broken.closed
    assert pair.to_client.data == b"2"
    assert "a defect" in caplog.text


def test_a_request_that_may_not_be_repeated_goes_out_at_once() -> None:
    # Its connection was seen to be open a moment ago, and may not be at the end of the turn.
    pair = Pair()
    pair.client.data_received(POST)
    assert pair.to_upstream.data.startswith(b"POST /a/1 ")


def test_nothing_is_written_to_a_connection_that_closed_meanwhile() -> None:
    pair = Pair()
    pair.client.data_received(ORDINARY)
    pair.to_upstream.close()
    pair.turns.end_turn()
    assert pair.to_upstream.data == b""


@pytest.mark.parametrize(
    ("next_request", "answer"),
    [
        pytest.param(b"TRACE /a/1 HTTP/1.1\r\nHost: h\r\n\r\n", b"405 ", id="an answer of rgate's own"),
        pytest.param(b"nonsense\r\n\r\n", b"400 ", id="a refusal"),
    ],
)
def test_a_response_that_waits_goes_out_before_what_the_general_way_writes(
    next_request: bytes, answer: bytes
) -> None:
    pair = Pair()
    assert pair.send(ORDINARY)
    pair.upstream.data_received(ANSWER)
    pair.client.data_received(next_request)
    first, second = pair.to_client.data.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 ")
    assert second.startswith(answer)


@pytest.mark.parametrize("end", ["eof_received", "drain"])
def test_a_response_that_waits_goes_out_before_the_connection_closes(end: str) -> None:
    pair = Pair()
    pair.shared.opened(pair.client)
    assert pair.send(ORDINARY)
    pair.upstream.data_received(ANSWER)
    if end == "drain":
        pair.shared.drain()
    else:
        pair.client.eof_received()
    assert pair.to_client.data.endswith(b"abc")


def test_requests_under_way_are_counted_until_their_response() -> None:
    pair = Pair(policy=Policy.LEAST_INFLIGHT)
    assert pair.send(ORDINARY)
    assert pair.gateway.balancer.inflight(CANDIDATE) == 1
    pair.upstream.data_received(ANSWER)
    assert pair.gateway.balancer.inflight(CANDIDATE) == 0


def test_requests_under_way_are_counted_until_the_general_way_ends_them() -> None:
    pair = general_pair(Policy.LEAST_INFLIGHT)
    assert pair.send(ORDINARY)
    pair.client.eof_received()
    assert [record.status for record in pair.log] == [499]
    assert pair.gateway.balancer.inflight(CANDIDATE) == 0


UNUSUAL_ANSWER = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"


def general_pair(policy: Policy = Policy.RANDOM) -> Pair:
    """A pair whose request and response take the general way, as far as the outbox."""
    pair = Pair(policy=policy)
    pair.upstream = HotUpstream(pair.pool)
    pair.upstream.reused = True
    pair.upstream.transport = cast(Any, pair.to_upstream)
    pair.pool.idle[:] = [pair.upstream]
    return pair


def test_messages_of_the_general_way_wait_for_the_end_of_the_turn_too() -> None:
    pair = general_pair()
    pair.client.data_received(b"HEAD /a/1 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert pair.to_upstream.data == b""
    pair.turns.end_turn()
    assert pair.to_upstream.data.startswith(b"HEAD /a/1 HTTP/1.1\r\n")
    pair.upstream.data_received(UNUSUAL_ANSWER[:-3])
    assert pair.to_client.data == b""
    pair.turns.end_turn()
    assert pair.to_client.data.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_response_goes_out_before_the_answer_to_the_next_request_that_came_with_it() -> None:
    pair = general_pair()
    pair.client.data_received(ORDINARY + b"GET /../x HTTP/1.1\r\nHost: h\r\n\r\n")
    pair.turns.end_turn()
    pair.upstream.data_received(UNUSUAL_ANSWER)
    pair.turns.end_turn()
    first, second = pair.to_client.data.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 ")
    assert second.startswith(b"400 ")


def test_a_last_response_goes_out_before_its_connection_closes() -> None:
    pair = general_pair()
    pair.client.data_received(b"GET /a/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    pair.turns.end_turn()
    pair.upstream.data_received(UNUSUAL_ANSWER)
    assert pair.to_client.data.endswith(b"abc")
    assert pair.to_client.closed


def test_a_connection_with_content_to_come_is_closed_a_moment_after_its_answer() -> None:
    # Not at once, as that would be a reset that may overtake the answer; nor a minute later.
    pair = Pair()
    pair.client.ended(closes=True, unread=True)
    assert pair.to_client.at_end
    assert pair.client.deadline_ns <= time.monotonic_ns() + LINGER_NS


def refusing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    """Let no connection be made; return where one is tried."""
    asked: list[Address] = []

    async def connect(address: Address, _within_s: float) -> NoReturn:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(pair.shared.pools, "connect", connect)
    return asked


TWO = (CANDIDATE, Candidate("other", "", Address("127.0.0.1", 2)))


@pytest.mark.parametrize("request_bytes", [ORDINARY, POST])
@pytest.mark.parametrize("policy", [Policy.RANDOM, Policy.ROUND_ROBIN])
def test_the_one_that_was_picked_is_asked_also_where_a_connection_has_to_be_made(
    monkeypatch: pytest.MonkeyPatch, policy: Policy, request_bytes: bytes
) -> None:
    # Picking anew would favour whoever has connections already.
    numbers = itertools.cycle([0.9, 0.1, 0.1])
    pair = Pair(policy=policy, candidates=TWO, random=lambda: next(numbers))
    if policy is Policy.ROUND_ROBIN:
        pair.gateway.balancer.picker("b", policy, TWO)()
    asked = refusing(pair, monkeypatch)
    pair.client.data_received(request_bytes)
    assert asked[0] == TWO[1].address


def test_a_failure_to_connect_is_answered_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(candidates=TWO[1:], policy=Policy.LEAST_INFLIGHT)
    refusing(pair, monkeypatch)
    pair.client.data_received(ORDINARY)
    assert pair.to_client.data.startswith(b"HTTP/1.1 503 ")
    assert [(record.attempts, record.reason) for record in pair.log] == [(1, "connect_failed")]
    assert pair.gateway.balancer.inflight(TWO[1]) == 0


@pytest.mark.parametrize(("most", "is_hot"), [(None, True), (3, True), (2, False)])
def test_content_within_the_limit_takes_the_hot_path(most: int | None, is_hot: bool) -> None:
    pair = Pair(body_bytes=most)
    request = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    assert pair.send(request) == is_hot


@pytest.mark.parametrize("request_bytes", [ORDINARY, b"HEAD /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"])
def test_what_an_upstream_says_before_it_was_asked_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, request_bytes: bytes
) -> None:
    # It once went to the client, and the real answer to whoever had the connection next.
    pair = general_pair()
    refusing(pair, monkeypatch)
    pair.client.data_received(request_bytes)
    pair.upstream.data_received(ANSWER)
    pair.turns.end_turn()
    assert not pair.to_client.data.startswith(b"HTTP/1.1 200 ")
    assert pair.to_upstream.data == b""
    assert pair.pool.idle == []


def test_a_request_under_way_does_not_mind_a_lower_limit_of_content() -> None:
    pair = general_pair()
    pair.client.data_received(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    pair.turns.end_turn()
    config = replace(pair.gateway.config, limits=Limits(body_bytes=1))
    pair.gateway.swap(config, pair.gateway.views)
    pair.upstream.data_received(UNUSUAL_ANSWER)
    pair.turns.end_turn()
    assert pair.to_client.data.startswith(b"HTTP/1.1 200 ")


def test_nothing_is_read_as_a_request_behind_a_response_that_was_cut() -> None:
    pair = Pair()
    pair.client.received = b"GET /a"
    pair.client.cut(framed=True)
    assert pair.client.received == b""


def test_a_client_is_read_from_again_once_it_reads() -> None:
    pair = Pair()
    pair.client.is_write_paused = True
    pair.client.data_received(b"GET /a HTTP/1.1\r\n")
    assert not pair.to_client.reads
    pair.client.resume_writing()
    assert pair.to_client.reads


def test_a_client_that_lingers_gets_its_last_response_whole() -> None:
    pair = Pair()
    pair.client.linger()
    pair.to_client.unwritten = 1
    pair.client.expired()
    assert not pair.to_client.closed
    pair.to_client.unwritten = 0
    pair.client.expired()
    assert pair.to_client.closed
