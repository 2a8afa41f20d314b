"""A request's way through the asyncio engine, on transports that keep what is written (behaviour 5 and 6)."""

import asyncio
import contextlib
import errno
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from rgate.core.config import Limits, Policy
from rgate.core.content import LAST_CHUNK, MOST_CHUNKS_A_CALL, chunk
from rgate.core.fields import ClientConnection
from rgate.core.onward import Request
from rgate.core.own import OwnPage
from rgate.core.patience import (
    HEAD_S,
    LAST_LINGER_S,
    LAST_MOMENT_S,
    LINGER_BETWEEN_S,
    MOST_AHEAD,
    REPLAYABLE_BYTES,
    SUCCEEDED_MOMENT_S,
)
from rgate.core.problem import OwnResponse, OwnStream
from rgate.core.succession import Listeners
from rgate.engines.asyncio_engine import answering, answers, tunnel
from rgate.engines.asyncio_engine.client import Client, Lingering
from rgate.engines.asyncio_engine.engine import Acceptor
from rgate.engines.asyncio_engine.ports import NS
from rgate.engines.asyncio_engine.shared import request_ids
from rgate.web.pages import Web
from tests.threadless import gives_none
from tests.unit.asyncio_pair import (
    ANSWER,
    CANDIDATE,
    GET,
    HEAD,
    OTHER,
    POST,
    UNUSUAL_ANSWER,
    Counts,
    Pair,
    Written,
    pair_of,
)
from tests.unit.messages import split

Pairs = Callable[..., Pair]
TWO = (CANDIDATE, OTHER)
OWN = b"TRACE /a/1 HTTP/1.1\r\nHost: h\r\n\r\n"


def get(path: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Makes pairs, and ends them all."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(pair_of(**settings))


@pytest.fixture
def pair(pairs: Pairs) -> Pair:
    return pairs()


def outcomes(pair: Pair) -> list[tuple[int, str, bool]]:
    return [(record.status, record.reason, record.cut) for record in pair.log]


# What is written at the end of a turn.


def test_messages_of_one_turn_go_out_at_its_end_all_requests_first(pair: Pair) -> None:
    order: list[bytes] = []

    class Ordered(Written):
        def write(self, data: Any) -> None:
            order.append(data)

    outbox, transport = pair.shared.outbox, pair.turns.transport(pair.client, kind=Ordered)
    outbox.response(transport, b"response 1")
    outbox.request(transport, b"request 2")
    outbox.response(transport, b"response 3")
    assert order == []
    pair.turns.end_turn()
    assert order == [b"request 2", b"response 1", b"response 3"]
    pair.turns.end_turn()
    assert len(order) == 3


def test_a_message_that_cannot_be_written_costs_no_other_its_connection(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Written):
        def write(self, data: Any) -> NoReturn:
            raise RuntimeError(f"a defect, at {data!r}")

    other, to_other = pair.connected()
    broken = pair.turns.transport(other, kind=Broken)
    pair.shared.outbox.response(broken, b"1")
    pair.shared.outbox.response(to_other, b"2")
    pair.turns.end_turn()
    assert broken.was_aborted
    assert to_other.data == b"2"
    assert "a defect" in caplog.text


@pytest.mark.parametrize("request_bytes", [GET, HEAD])
def test_requests_and_responses_wait_for_the_end_of_their_turn(pair: Pair, request_bytes: bytes) -> None:
    pair.client.data_received(request_bytes)
    assert pair.to_upstream.data == b""
    pair.turns.end_turn()
    assert pair.to_upstream.data.startswith(request_bytes[:-2])
    for answer in (ANSWER, UNUSUAL_ANSWER):
        pair.upstream.data_received(answer if request_bytes is GET else answer[:-3])
        assert pair.to_client.data == b""
        pair.turns.end_turn()
        assert pair.to_client.taken().startswith(b"HTTP/1.1 200 OK\r\n")
        pair.pool.idle[:] = [pair.upstream]
        pair.ask(request_bytes)


def test_a_request_that_may_not_be_repeated_goes_out_at_once(pair: Pair) -> None:
    # Its connection was seen to be open a moment ago, and may not be at the end of the turn.
    pair.client.data_received(POST)
    assert pair.to_upstream.data.startswith(b"POST /a/1 ")


def test_nothing_is_written_to_a_connection_that_closed_meanwhile(pair: Pair) -> None:
    pair.client.data_received(GET)
    pair.to_upstream.close()
    pair.turns.end_turn()
    assert pair.to_upstream.data == b""


@pytest.mark.parametrize(
    ("next_request", "answer"),
    [
        pytest.param(OWN, b"405 ", id="an answer of rgate's own"),
        pytest.param(b"nonsense\r\n\r\n", b"400 ", id="a refusal"),
        pytest.param(b"GET /../x HTTP/1.1\r\nHost: h\r\n\r\n", b"400 ", id="a path that is not normalized"),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_a_response_that_waits_goes_out_before_the_answer_to_the_next_request(
    pair: Pair, next_request: bytes, answer: bytes, at_once: bool
) -> None:
    pair.client.data_received(GET + next_request if at_once else GET)
    pair.turns.end_turn()
    pair.upstream.data_received(ANSWER)
    if not at_once:
        pair.client.data_received(next_request)
    pair.turns.end_turn()
    first, second = pair.to_client.data.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 ")
    assert second.startswith(answer)


@pytest.mark.parametrize("end", ["eof", "drain", "close", "stop"])
def test_a_response_that_waits_goes_out_before_the_connection_closes(pair: Pair, end: str) -> None:
    pair.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") if end == "close" else GET)
    pair.upstream.data_received(ANSWER)
    if end == "drain":
        pair.acceptor._end_idle()
    elif end == "eof":
        pair.client.eof_received()
    elif end == "stop":
        pair.turns.end_turn()
        pair.client.stop()
    assert pair.to_client.data.endswith(b"abc")
    pair.turns.end_turn()
    assert pair.to_client.closed == (end in ("close", "stop"))


# One way for every head and framing.


@pytest.mark.parametrize(
    ("request_bytes", "onward"),
    [
        (GET, b"GET /a/1 HTTP/1.1\r\nHost: h\r\n"),
        (HEAD, b"HEAD /a/1 HTTP/1.1\r\nHost: h\r\n"),
        (b"GET /a?q HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n", b"GET /a?q HTTP/1.1\r\nHost: h\r\n"),
        (b"GET http://i/a HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: i\r\n"),
        (b"GET /a HTTP/1.0\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"),
        (b"GET /a HTTP/1.1\r\nHost:\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: \r\n"),
    ],
)
def test_a_head_goes_on_however_it_was_read(pair: Pair, request_bytes: bytes, onward: bytes) -> None:
    sent = pair.ask(request_bytes)
    assert sent.startswith(onward)
    assert sent.endswith(b"\r\n\r\n")
    assert pair.answer(ANSWER[:-3] if request_bytes is HEAD else ANSWER).startswith(b"HTTP/1.1 200 OK\r\n")
    assert outcomes(pair) == [(200, "", False)]


@pytest.mark.parametrize("cut", [0, 1, 2, 30, 45])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 3\r\n", b"abc"),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n2\r\nbc\r\n0\r\nT: u\r\n\r\n"),
    ],
)
def test_content_goes_on_however_it_comes(pair: Pair, framing: bytes, body: bytes, cut: int) -> None:
    raw = b"PUT /a HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n" + body
    sent = pair.ask(raw[: len(raw) - cut])
    if cut:
        sent += pair.ask(raw[len(raw) - cut :])
    head, _, content = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /a HTTP/1.1\r\nHost: h\r\n" + framing.rstrip())
    if framing.startswith(b"Content"):
        assert content == body
    else:
        assert b"".join(content.split(b"\r\n")[1:-4:2]) == b"abc"
        assert content.endswith(b"0\r\nT: u\r\n\r\n")
    assert pair.answer(ANSWER).endswith(b"abc")


@pytest.mark.parametrize("request_bytes", [GET, b"GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n"])
@pytest.mark.parametrize("cut", [0, 1, 3, 4, 10])
@pytest.mark.parametrize(
    ("answer", "arrives"),
    [
        (ANSWER, b"abc"),
        (UNUSUAL_ANSWER, b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n",
            b"0\r\nT: u\r\n\r\n",
        ),
        (b"HTTP/1.1 204 N\r\n\r\n", b"\r\n\r\n"),
        (b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n" + ANSWER, b"abc"),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", b"abc"),
    ],
)
def test_a_response_arrives_however_it_comes_and_its_connection_serves_the_next(
    pair: Pair, request_bytes: bytes, answer: bytes, arrives: bytes, cut: int
) -> None:
    for _ in range(2):
        pair.ask(request_bytes)
        arrived = pair.answer(
            *[one for one in (answer[: len(answer) - cut], answer[len(answer) - cut :]) if one]
        )
        assert arrived.startswith(b"HTTP/1.1 " + answer[9:12])
        assert arrived.endswith(arrives)
        assert pair.pool.idle == [pair.upstream]
    assert [status for status, _, _ in outcomes(pair)] == [204 if b"204" in answer[:12] else 200] * 2
    assert pair.turns.asked == []


def test_a_response_until_the_connections_end_arrives_in_chunks(pair: Pair) -> None:
    pair.ask(GET)
    begun = pair.answer(b"HTTP/1.1 200 OK\r\n\r\nab", b"c")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in begun
    assert begun.endswith(b"2\r\nab\r\n1\r\nc\r\n")
    assert pair.log == []
    assert pair.upstream.eof_received() is False
    assert pair.answer() == b"0\r\n\r\n"
    assert outcomes(pair) == [(200, "", False)]
    assert pair.log[0].bytes_sent == 3
    assert pair.pool.idle == []


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "at its end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "at its end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nx\r\n", "at once"),
        (b"HTTP/1.1 200 OK\r\n\r\nab", "by a reset"),
    ],
)
def test_a_response_that_breaks_off_cuts_its_clients_connection(pair: Pair, answer: bytes, ends: str) -> None:
    pair.ask(GET)
    arrived = pair.answer(answer)
    if ends == "at its end":
        pair.upstream.eof_received()
    elif ends == "by a reset":
        pair.to_upstream.lose(ConnectionResetError())
    assert arrived.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (arrived + pair.to_client.taken()).partition(b"\r\n\r\n")[2] in (b"", b"ab", b"2\r\nab\r\n")
    assert pair.to_client.closed
    assert outcomes(pair) == [(200, "", True)]
    assert pair.pool.idle == []


def test_a_client_that_reads_no_chunks_sees_a_cut_as_a_reset(pair: Pair) -> None:
    pair.ask(b"GET /a HTTP/1.0\r\nHost: h\r\n\r\n")
    pair.answer(b"HTTP/1.1 200 OK\r\n\r\nab")
    pair.to_upstream.lose(ConnectionResetError())
    assert pair.to_client.was_aborted


def test_a_last_response_goes_out_before_its_connection_closes(pair: Pair) -> None:
    pair.ask(b"GET /a/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    pair.upstream.data_received(UNUSUAL_ANSWER)
    assert pair.to_client.data.endswith(b"abc")
    assert pair.to_client.closed


def test_a_counter_counts_whole_responses_without_a_record(pairs: Pairs) -> None:
    pair = pairs(log=Counts())
    for answer in (ANSWER, UNUSUAL_ANSWER, b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"):
        pair.ask(GET)
        pair.answer(answer)
    assert isinstance(pair.log, Counts)
    assert pair.log.counted == [("/a c", 200), ("/a c", 200), ("/a c", 404)]
    assert pair.log == []
    pair.ask(GET)
    pair.client.eof_received()
    assert outcomes(pair) == [(499, "client_closed", False)]


def test_an_envelope_that_breaks_off_is_answered_and_counted(pairs: Pairs) -> None:
    pair = pairs(envelope=True, policy=Policy.LEAST_INFLIGHT)
    pair.ask(GET)
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nab")
    pair.upstream.eof_received()
    assert pair.answer().startswith(b"HTTP/1.1 502 ")
    assert outcomes(pair) == [(502, "bad_response", False)]
    assert pair.gateway.balancer.inflight(CANDIDATE) == 0


def test_an_envelope_is_made_of_the_whole_and_what_is_too_large_goes_raw(pairs: Pairs) -> None:
    pair = pairs(envelope=True)
    pair.ask(GET)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n"
    assert pair.answer(head + b"Content-Length: 3\r\n\r\na") == b""
    arrived = pair.answer(b"bc")
    assert json.loads(arrived.partition(b"\r\n\r\n")[2]) == {"status_code": 200, "body": "abc"}
    pair.ask(GET)
    large = [b"%x\r\n%b\r\n" % (2**18, b"a" * 2**18) for _ in range(5)]
    arrived = pair.answer(head + b"Transfer-Encoding: chunked\r\n\r\n", *large, b"0\r\n\r\n")
    assert arrived.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
    assert arrived.count(b"a" * 2**18) == 5
    assert arrived.endswith(b"0\r\n\r\n")


def test_a_large_envelope_that_stalls_is_cut(pairs: Pairs) -> None:
    # It once hung for good, as the time-out of what goes raw failed.
    pair = pairs(envelope=True)
    pair.ask(GET)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert pair.answer(head, chunk(b"a" * (1 << 20)), chunk(b"a")).startswith(b"HTTP/1.1 200 OK\r\n")
    pair.client.expired()
    assert pair.to_upstream.was_aborted
    assert pair.to_client.closed
    assert outcomes(pair) == [(200, "", True)]


PIPELINED = [
    (GET, 200),
    (b"GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n", 200),
    (POST, 200),
    (b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 200),
    (b"\r\n" + GET, 200),
    (OWN, 405),
    (b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n", 404),
    (b"GET /a/./b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
]
NONSENSE = (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400)


@settings(max_examples=25)
@given(
    asked=st.lists(st.sampled_from(PIPELINED), max_size=5),
    ends=st.sampled_from([(), (NONSENSE, PIPELINED[0])]),
    at=st.lists(st.integers(0, 400), max_size=6) | st.just(range(0, 999, 3)),
)
def test_any_split_of_a_pipeline_is_answered_in_its_order(
    asked: list[tuple[bytes, int]], ends: tuple[tuple[bytes, int], ...], at: list[int] | range
) -> None:
    raw, arrived = b"".join(one for one, _ in (*asked, *ends)), b""
    with pair_of() as pair:
        for piece in split(raw, at):
            arrived += pair.answer_all(piece)
    heads = [one.partition(b"\r\n\r\n") for one in arrived.split(b"HTTP/1.1 ")[1:]]
    statuses = [status for _, status in (*asked, *ends[:1])]  # nothing is read behind what is no request
    assert [int(head[:3]) for head, _, _ in heads] == statuses
    assert [record.status for record in pair.log] == statuses
    assert {content for head, _, content in heads if head.startswith(b"200")} <= {b"abc"}


# Who is asked, and what follows a failure.


@pytest.mark.parametrize("request_bytes", [GET, POST])
@pytest.mark.parametrize("policy", [Policy.RANDOM, Policy.ROUND_ROBIN])
def test_the_one_that_was_picked_is_asked_also_where_a_connection_has_to_be_made(
    pairs: Pairs, policy: Policy, request_bytes: bytes
) -> None:
    # Picking anew would favour whoever has connections already.
    numbers = itertools.cycle([0.9, 0.1, 0.1])
    pair = pairs(policy=policy, candidates=TWO, random=lambda: next(numbers))
    if policy is Policy.ROUND_ROBIN:
        pair.gateway.balancer.picker("b", policy, TWO)()
    pair.ask(request_bytes)
    assert pair.turns.asked[0] == OTHER.address.port


@pytest.mark.parametrize("error", [ConnectionRefusedError, OSError, UnicodeError])
def test_a_failure_to_connect_is_answered_and_counted(
    pairs: Pairs, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    # What was no OSError was once never answered; it is a defect, so it is told of.
    pair = pairs(candidates=(OTHER,), policy=Policy.LEAST_INFLIGHT)
    pair.upstream.discard()
    pair.turns.network[2] = error
    pair.ask(GET)
    assert pair.to_client.data.startswith(b"HTTP/1.1 503 ")
    assert [(record.attempts, record.reason) for record in pair.log] == [(1, "connect_failed")]
    assert pair.gateway.balancer.inflight(OTHER) == 0
    assert ("connecting to 127.0.0.1:2 failed" in caplog.text) is (error is UnicodeError)


def test_a_defect_is_answered_and_counted_and_costs_no_other_request(
    pairs: Pairs, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> NoReturn:
        raise RuntimeError("a defect")

    pair = pairs(random=broken)
    assert pair.ask(GET) == b""
    head, _, body = pair.to_client.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body)["reason"] == "internal_error"
    assert outcomes(pair) == [(500, "internal_error", False)]
    assert "a defect" in caplog.text
    assert pair.to_client.closed
    other, to_other = pair.connected()
    other.data_received(OWN)
    assert to_other.data.startswith(b"HTTP/1.1 405 ")


def test_one_that_accepts_again_is_left_out_no_longer(pair: Pair) -> None:
    pair.upstream.discard()
    pair.gateway.balancer.refused(CANDIDATE, time.monotonic())
    pair.turns.network[1] = None
    pair.ask(GET)
    assert not pair.gateway.balancer.is_left_out(CANDIDATE, time.monotonic())


def test_a_stale_connection_is_replaced_by_a_new_one(pair: Pair) -> None:
    pair.turns.network[1] = None
    pair.ask(GET)
    pair.upstream.eof_received()
    pair.turns.end_turn()
    upstream, to_upstream = pair.turns.made[0]
    assert to_upstream.data.startswith(b"GET /a/1 ")
    upstream.data_received(ANSWER)
    assert pair.answer().endswith(b"abc")
    assert [record.attempts for record in pair.log] == [1]


def test_content_that_is_kept_is_sent_again(pair: Pair) -> None:
    pair.turns.network[1] = None
    sent = pair.ask(POST.replace(b"POST", b"PUT"))
    pair.upstream.eof_received()
    pair.turns.end_turn()
    assert pair.turns.made[0][1].data == sent


@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % (REPLAYABLE_BYTES + 3), b"Transfer-Encoding: chunked"]
)
def test_content_that_comes_between_two_tries_is_sent_with_what_came_before(
    pair: Pair, framing: bytes
) -> None:
    # It was more than is kept of what was sent, and what came before was forgotten: the container got the end
    # of the content alone, and of chunks that looked whole.
    chunks = framing.endswith(b"chunked")
    first, rest = b"abc", bytes(REPLAYABLE_BYTES)
    pieces = (chunk(first), chunk(rest) + LAST_CHUNK) if chunks else (first, rest)
    pair.turns.network[1] = None
    sent = pair.ask(b"PUT /a HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % framing + pieces[0])
    assert sent.endswith(pieces[0])
    pair.upstream.eof_received()  # it was stale
    pair.client.data_received(pieces[1])
    pair.turns.end_turn()
    assert pair.turns.made[0][1].taken().endswith(b"\r\n\r\n" + b"".join(pieces))


# Of an idempotent method, and with content that is more than is kept, or may be.
CANNOT_BE_KEPT = [
    b"PUT /a/1 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (REPLAYABLE_BYTES + 1),
    b"PUT /a/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
]


def test_content_that_is_too_large_to_be_kept_is_sent_once(pair: Pair) -> None:
    pair.turns.network[1] = None
    length = 2 * REPLAYABLE_BYTES
    pair.ask(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
    pair.ask(b"a" * length)
    pair.upstream.eof_received()
    pair.turns.end_turn()
    assert pair.turns.made == []
    assert outcomes(pair) == [(503, "closed_early", False)]


@pytest.mark.parametrize("sign", ["its end", "bytes"])
@pytest.mark.parametrize("request_bytes", [POST, *CANNOT_BE_KEPT])
def test_what_is_sent_once_goes_over_a_pooled_connection_only_if_that_is_seen_to_be_open(
    pair: Pair, sign: str, request_bytes: bytes
) -> None:
    pair.turns.network[1] = None
    if sign == "its end":
        pair.to_upstream.far.close()
    else:
        pair.to_upstream.far.send(b"x")
    pair.ask(request_bytes)
    assert (pair.to_upstream.data, pair.to_upstream.was_aborted) == (b"", True)
    assert pair.turns.made[0][1].data.startswith(request_bytes[:8])


def test_a_post_that_was_sent_is_not_sent_again(pair: Pair) -> None:
    pair.ask(POST)
    pair.upstream.eof_received()
    assert pair.turns.asked == []
    assert outcomes(pair) == [(503, "closed_early", False)]


@pytest.mark.parametrize("request_bytes", [GET, HEAD])
def test_what_an_upstream_says_before_it_was_asked_is_no_answer(pair: Pair, request_bytes: bytes) -> None:
    # It once went to the client, and the real answer to whoever had the connection next.
    pair.client.data_received(request_bytes)
    pair.upstream.data_received(ANSWER)
    pair.turns.end_turn()
    assert pair.to_client.data.startswith(b"HTTP/1.1 503 ")
    assert pair.to_upstream.data == b""
    assert pair.pool.idle == []


@pytest.mark.clause("6.answers.bad_response")
def test_what_a_new_connection_says_before_it_was_asked_is_no_response(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a server of another protocol: it was told to have closed without a byte.
    connect = pair.turns.create_connection

    async def to_one_that_speaks(*arguments: Any) -> object:
        transport, upstream = await connect(*arguments)
        upstream.data_received(b"SSH-2.0-x\r\n")
        return transport, upstream

    monkeypatch.setattr(pair.turns, "create_connection", to_one_that_speaks)
    pair.turns.network[1] = None
    pair.pool.idle.clear()
    pair.ask(GET)
    assert pair.to_client.data.startswith(b"HTTP/1.1 502 ")
    assert outcomes(pair) == [(502, "bad_response", False)]


@pytest.mark.parametrize("said", [b"x", ANSWER, b""])
def test_whatever_an_idle_connection_says_ends_it(pair: Pair, said: bytes) -> None:
    if said:
        pair.upstream.data_received(said)
        assert pair.to_upstream.was_aborted
    else:
        assert pair.upstream.eof_received() is False
    assert pair.pool.idle == []


def test_a_408_on_a_reused_connection_is_no_answer(pair: Pair) -> None:
    pair.turns.network[1] = None
    pair.ask(GET)
    assert pair.answer(b"HTTP/1.1 408 T\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") == b""
    assert len(pair.turns.made) == 1


def test_an_answer_that_came_before_a_reset_is_read_and_the_connection_is_no_longer_used(pair: Pair) -> None:
    # It was once put back, and the next request waited on it for a response that could not come.
    pair.ask(POST)
    pair.to_upstream.far.send(ANSWER)
    pair.to_upstream.lose(BrokenPipeError())
    assert pair.answer().endswith(b"abc")
    assert pair.pool.idle == []


# The client's side.


def test_a_client_that_leaves_ends_its_request_at_once(pair: Pair) -> None:
    pair.ask(GET)
    assert pair.client.eof_received() is False
    assert pair.to_upstream.was_aborted
    assert outcomes(pair) == [(499, "client_closed", False)]


def test_a_client_that_leaves_while_a_connection_is_made_is_counted_once(pair: Pair) -> None:
    pair.upstream.discard()
    pair.client.data_received(GET)
    pair.client.eof_received()
    pair.turns.end_turn()
    assert outcomes(pair) == [(499, "client_closed", False)]


def test_a_connection_with_content_to_come_is_closed_a_moment_after_its_answer(pair: Pair) -> None:
    # Not at once, as that would be a reset that may overtake the answer; nor a minute later.
    pair.client.ended(time.monotonic_ns(), closes=True, unread=True)
    assert pair.to_client.at_end
    assert not pair.to_client.closed
    assert pair.client.deadline_ns <= time.monotonic_ns() + LINGER_BETWEEN_S * NS


class Broken(Written):
    """A connection of asyncio's own loop that was reset, which the loop has not told of yet."""

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def test_a_client_that_was_reset_meanwhile_is_counted_once(pair: Pair) -> None:
    client = Client(pair.shared, pair.acceptor)
    pair.turns.transport(client, Broken)
    client.data_received(b"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na")
    assert outcomes(pair) == [(404, "", False)]


@pytest.mark.parametrize(("draining", "seconds"), [(False, LINGER_BETWEEN_S), (True, LAST_LINGER_S)])
def test_a_client_lingers_for_less_while_the_engine_ends(
    pair: Pair, *, draining: bool, seconds: float
) -> None:
    pair.client.shared.draining = draining
    began_ns = time.monotonic_ns()
    pair.client.linger()
    assert began_ns <= pair.client.deadline_ns - int(seconds * NS) <= time.monotonic_ns()


def test_a_client_that_lingers_gets_its_last_response_whole(pair: Pair) -> None:
    pair.client.linger()
    pair.to_client.unwritten = 1
    pair.client.expired()
    assert not pair.to_client.closed
    pair.client.data_received(b"x" * 100_000)
    pair.to_client.unwritten = 0
    pair.client.expired()
    assert pair.to_client.closed


def test_nothing_is_read_as_a_request_behind_a_response_that_was_cut(pair: Pair) -> None:
    pair.client.data_received(b"GET /a")
    pair.client.cut(framed=True)
    assert pair.client.reader.is_empty


@pytest.mark.parametrize("most", [None, 3])
def test_content_within_the_limit_goes_on(pairs: Pairs, most: int | None) -> None:
    pair = pairs(limits=Limits(body_bytes=most))
    assert pair.ask(POST).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    "request_bytes",
    [POST, b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
)
def test_content_over_the_limit_is_refused(pairs: Pairs, request_bytes: bytes) -> None:
    pair = pairs(limits=Limits(body_bytes=2))
    assert pair.ask(request_bytes) == b""
    assert pair.to_client.data.startswith(b"HTTP/1.1 413 ")
    assert outcomes(pair) == [(413, "body_too_large", False)]


def test_a_request_under_way_does_not_mind_a_lower_limit_of_content(pair: Pair) -> None:
    pair.ask(POST.replace(b"POST", b"PUT"))
    config = replace(pair.gateway.config, limits=Limits(body_bytes=1))
    pair.gateway.swap(config, pair.gateway.views)
    assert pair.answer(UNUSUAL_ANSWER).startswith(b"HTTP/1.1 200 ")


def test_malformed_content_is_refused_and_ends_its_request(pair: Pair) -> None:
    pair.ask(b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n")
    pair.client.data_received(b"abc")
    assert pair.to_upstream.was_aborted
    assert pair.to_client.data.startswith(b"HTTP/1.1 400 ")
    assert outcomes(pair) == [(400, "bad_request", False)]


def test_a_client_that_does_not_read_its_answers_is_not_read_from_for_long(pair: Pair) -> None:
    pair.client.pause_writing()
    pair.client.data_received(b"GET /a HTTP/1.1\r\n")
    assert pair.to_client.reads
    pair.client.data_received(b"A: " + b"a" * MOST_AHEAD)
    assert not pair.to_client.reads
    pair.client.resume_writing()
    pair.turns.end_turn()
    assert pair.to_client.reads


def test_a_client_that_sends_without_end_is_read_only_as_far_as_it_is_answered(pair: Pair) -> None:
    pair.ask(GET * 1000)
    pair.ask(GET * 2000)
    assert not pair.to_client.reads
    while pair.upstream.owner is not None:
        assert not (pair.to_client.reads and pair.client.reader.waiting_bytes > MOST_AHEAD)
        pair.answer(ANSWER)
    assert len(pair.log) == 3000
    assert pair.to_client.reads


def test_others_have_their_turn_between_two_requests_of_one_client(pair: Pair) -> None:
    answered: list[int] = []
    pair.turns.call_soon(lambda: answered.append(len(pair.log)))
    pair.client.data_received(OWN + OWN)
    pair.turns.end_turn()
    assert answered == [1]
    assert [record.status for record in pair.log] == [405, 405]


def test_a_slow_reader_slows_its_writer_both_ways(pair: Pair) -> None:
    pair.ask(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    pair.upstream.pause_writing()
    assert not pair.to_client.reads
    pair.upstream.resume_writing()
    assert pair.to_client.reads
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    pair.client.pause_writing()
    assert not pair.to_upstream.reads
    pair.client.resume_writing()
    assert pair.to_upstream.reads


CHUNKED_PUT = b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS_OF_TWO_TURNS = b"1\r\nx\r\n" * (MOST_CHUNKS_A_CALL + 1)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_an_upstream_that_is_slow_with_many_small_chunks_slows_their_sender(
    pair: Pair, answer: bytes
) -> None:
    # Behind the rest of the chunks, taken in a later turn, the client was read on whatever the upstream took.
    pair.ask(CHUNKED_PUT)
    if answer:
        pair.answer(answer)
    pair.client.data_received(CHUNKS_OF_TWO_TURNS)
    pair.upstream.pause_writing()
    pair.turns.end_turn()
    assert pair.to_upstream.taken().count(b"x") == MOST_CHUNKS_A_CALL + 1
    assert not pair.to_client.reads
    pair.upstream.resume_writing()
    assert pair.to_client.reads


A_LARGE_CHUNK = b"%x\r\n%b\r\n" % (MOST_AHEAD + 1, b"x" * (MOST_AHEAD + 1))


def test_an_idle_connection_is_ended_behind_the_response_that_is_about_to_go(pair: Pair) -> None:
    pair.ask(GET)
    pair.upstream.data_received(ANSWER)
    pair.client.deadline_ns = 0
    pair.client.end_soon()
    assert pair.to_client.at_end
    assert pair.to_client.taken().endswith(b"abc")


def test_a_client_that_sent_little_content_is_read_from_while_a_connection_is_made(pair: Pair) -> None:
    # It was not seen to leave: the container was asked for nobody, and blamed.
    pair.pool.idle.clear()
    pair.turns.network[1] = None
    pair.client.data_received(CHUNKED_PUT)
    pair.client.data_received(CHUNKS_OF_TWO_TURNS)
    assert pair.to_client.reads
    pair.client.eof_received()
    assert outcomes(pair) == [(499, "client_closed", False)]


@pytest.mark.parametrize("chunks", [A_LARGE_CHUNK, A_LARGE_CHUNK + CHUNKS_OF_TWO_TURNS])
def test_a_client_is_read_from_again_once_there_is_somebody_to_take_more(pair: Pair, chunks: bytes) -> None:
    # One whose content was whole by then was not seen to leave.
    pair.pool.idle.clear()
    pair.turns.network[1] = None
    pair.client.data_received(CHUNKED_PUT)
    pair.client.data_received(chunks)
    pair.client.data_received(b"0\r\n\r\n")
    assert not pair.to_client.reads
    pair.turns.end_turn()
    assert pair.to_client.reads
    assert pair.turns.made[0][1].taken().endswith(b"\r\n0\r\n\r\n")
    pair.client.eof_received()
    assert outcomes(pair) == [(499, "client_closed", False)]


def test_a_reader_that_is_slow_with_interim_responses_gets_the_final_one(pair: Pair) -> None:
    # The upstream was once not read from any more.
    pair.ask(GET)
    pair.client.pause_writing()
    pair.answer(b"HTTP/1.1 103 E\r\n\r\n" * 100)
    assert not pair.to_upstream.reads
    pair.client.resume_writing()
    pair.turns.end_turn()
    assert pair.to_upstream.reads
    assert pair.answer(ANSWER).endswith(b"abc")


@pytest.mark.parametrize(
    "answer", [ANSWER, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_a_connection_is_read_from_in_the_pool_however_slow_its_last_client_read(
    pair: Pair, answer: bytes
) -> None:
    # Interim responses filled the client's buffer, the final one came with them, and the next request on
    # that connection never had an answer.
    pair.ask(GET)
    pair.client.pause_writing()
    pair.answer(b"HTTP/1.1 103 E\r\n\r\n" + answer)
    assert pair.pool.idle == [pair.upstream]
    assert pair.to_upstream.reads


def test_a_response_before_the_requests_end_is_the_answer_and_closes_both(pair: Pair) -> None:
    pair.ask(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    arrived = pair.answer(ANSWER)
    assert b"\r\nConnection: close\r\n" in arrived
    assert arrived.endswith(b"abc")
    assert pair.to_client.at_end
    assert pair.to_upstream.was_aborted
    assert outcomes(pair) == [(200, "", False)]


@pytest.mark.parametrize("method", [b"PUT", b"POST"])
def test_a_connection_with_content_that_was_not_taken_serves_no_other_request(
    pair: Pair, method: bytes
) -> None:
    # Its reader was not slow any more for the next one, whose content was then kept without end.
    pair.ask(method + b" /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    pair.to_upstream.unwritten = 3
    assert pair.answer(ANSWER).endswith(b"abc")
    assert pair.to_upstream.was_aborted
    assert not pair.pool.idle
    assert not pair.to_client.closed


def test_what_follows_a_switch_of_protocols_goes_through_as_it_is_until_both_have_ended(pair: Pair) -> None:
    sent = pair.ask(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
    assert b"\r\nUpgrade: x\r\nConnection: Upgrade\r\n" in sent
    arrived = pair.answer(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw")
    assert arrived.startswith(b"HTTP/1.1 101 S\r\n")
    assert arrived.endswith(b"\r\n\r\nraw")
    assert pair.to_upstream.taken() == b"early"
    assert pair.ask(b"\x00\r\n") == b"\x00\r\n"
    assert pair.client.eof_received() is True
    assert (pair.to_upstream.at_end, pair.to_client.closed) == (True, False)
    assert pair.answer(b"still") == b"still"
    assert pair.upstream.eof_received() is False
    assert (pair.to_upstream.closed, pair.to_client.closed) == (True, True)
    assert outcomes(pair) == [(101, "", False)]


# Time, and the end.


def test_a_head_that_does_not_come_is_too_late(pair: Pair) -> None:
    pair.client.data_received(b"GET /")
    assert pair.client.deadline_ns <= time.monotonic_ns() + HEAD_S * NS
    pair.client.data_received(b"a")
    assert pair.client.deadline_ns <= pair.client.began_ns + HEAD_S * NS
    pair.client.expired()
    assert pair.to_client.data.startswith(b"HTTP/1.1 408 ")
    assert outcomes(pair) == [(408, "request_timeout", False)]


@pytest.mark.parametrize(
    ("request_bytes", "unwritten", "outcome"),
    [
        (GET, [0], (504, "timeout")),
        (POST, [0], (504, "timeout")),
        (POST[:-1], [0], (408, "request_timeout")),
        (POST[:-1], [9, 9], (504, "timeout")),
        (POST, [9, 9], (504, "timeout")),
        (POST, [9, 5, 5], (504, "timeout")),
    ],
)
def test_who_is_too_late_depends_on_how_far_it_came(
    pair: Pair, request_bytes: bytes, unwritten: list[int], outcome: tuple[int, str]
) -> None:
    pair.ask(request_bytes)
    for left in unwritten:
        assert outcomes(pair) == []
        pair.to_upstream.unwritten = left
        pair.client.expired()
    assert outcomes(pair) == [(*outcome, False)]
    assert pair.to_upstream.was_aborted


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_the_time_for_a_response_is_counted_from_the_requests_end(pair: Pair, request_bytes: bytes) -> None:
    # A slow head and earlier attempts were once taken off it: the next container had no time left.
    pair.turns.network[1] = None
    pair.client.data_received(request_bytes[:5])
    pair.client.began_ns -= 25 * NS
    pair.ask(request_bytes[5:])
    assert pair.client.deadline_ns > time.monotonic_ns() + 29 * NS
    if request_bytes is GET:
        pair.upstream.eof_received()  # it is asked again
    pair.turns.end_turn()
    assert pair.client.deadline_ns > time.monotonic_ns() + 29 * NS


def test_the_time_for_a_response_begins_when_the_last_of_the_request_is_taken(pair: Pair) -> None:
    # It began when that was looked at, up to `idle` seconds later.
    pair.ask(POST[:-1])
    pair.to_upstream.unwritten = 3
    pair.upstream.pause_writing()
    pair.client.data_received(POST[-1:])
    assert pair.client.deadline_ns > time.monotonic_ns() + 59 * NS
    pair.to_upstream.unwritten = 0
    pair.upstream.resume_writing()
    assert 29 * NS < pair.client.deadline_ns - time.monotonic_ns() <= 30 * NS


def test_a_tunnel_whose_client_left_waits_for_an_upstream_that_does_not_read_only_for_a_while(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "LINGER_S", 0.01)
    pair.ask(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
    pair.answer(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    pair.to_upstream.unwritten = 5
    pair.to_client.lose()
    assert (pair.to_upstream.closed, pair.to_upstream.was_aborted) == (True, False)
    pair.turns.run_until_complete(asyncio.sleep(0.1))
    assert pair.to_upstream.was_aborted


def test_an_upload_that_goes_on_is_no_time_out(pair: Pair) -> None:
    pair.ask(POST[:-1])
    for left in (9, 5, 0):
        pair.to_upstream.unwritten = left
        pair.client.expired()
    assert outcomes(pair) == []


def test_an_upload_that_goes_on_behind_the_beginning_of_its_response_is_no_time_out(pair: Pair) -> None:
    # It was cut, as only what the client took was looked at.
    pair.ask(POST[:-1])
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    for left in (9, 5, 0):
        pair.to_upstream.unwritten = left
        pair.client.expired()
    assert outcomes(pair) == []
    pair.client.expired()
    assert outcomes(pair) == [(200, "", True)]


def test_the_time_for_the_rest_of_a_response_begins_anew_when_the_upstream_has_taken_all(pair: Pair) -> None:
    pair.ask(POST[:-1])
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    pair.upstream.pause_writing()
    pair.client.deadline_ns = 0
    pair.upstream.resume_writing()
    assert pair.client.deadline_ns > time.monotonic_ns()


def test_a_client_that_does_not_read_its_response_any_more_has_left(pair: Pair) -> None:
    pair.ask(GET)
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    pair.client.pause_writing()
    pair.client.expired()
    assert pair.to_client.was_aborted
    pair.turns.end_turn()
    assert outcomes(pair) == [(499, "client_closed", False)]


def ends_by_a_reset(pair: Pair) -> bool:
    """Whether the end of the client's connection is a reset."""
    to_client = pair.to_client.get_extra_info("socket")
    linger: bytes = to_client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    return linger == struct.pack("ii", 1, 0)


@pytest.mark.parametrize("then", ["it waits", "it asks again", "it is closed"])
def test_a_client_that_reads_the_last_of_its_response_slowly_gets_it_whole(pair: Pair, then: str) -> None:
    # It was thrown away a minute after it was written, however its client read.
    closes = b"\r\nConnection: close" if then == "it is closed" else b""
    pair.ask(GET.replace(b"\r\n\r\n", closes + b"\r\n\r\n"))
    pair.to_client.unwritten = 100_000
    pair.answer(ANSWER)
    pair.client.pause_writing()
    if then == "it asks again":
        pair.ask(GET)
    for pair.to_client.unwritten in (90_000, 80_000, 10):
        pair.client.deadline_ns = 0
        pair.client.expired()
        assert pair.client.deadline_ns > time.monotonic_ns()
    assert not pair.to_client.was_aborted
    pair.client.expired()
    assert pair.to_client.was_aborted
    assert ends_by_a_reset(pair), "as it may have no other way to tell"


def test_a_client_that_reads_slowly_is_let_read_behind_the_last_answer_too(pair: Pair) -> None:
    pair.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n\r\n"))  # something is left unread
    pair.to_client.unwritten = 100_000
    pair.answer(ANSWER)
    assert isinstance(pair.client.work, Lingering)
    pair.client.work._until_ns = 0
    for pair.to_client.unwritten in (90_000, 80_000, 10):
        pair.client.expired()
    assert not pair.to_client.was_aborted
    pair.client.expired()
    assert pair.to_client.was_aborted
    assert ends_by_a_reset(pair), "so that it does not look whole"


def test_a_client_that_read_its_last_response_a_moment_late_holds_up_no_drain(pair: Pair) -> None:
    pair.ask(GET)
    pair.answer(ANSWER)
    pair.client.shared.draining = True
    for pair.to_client.unwritten in (90_000, 10):
        pair.client.deadline_ns = 0
        pair.client.expired()
    assert isinstance(pair.client.work, Lingering)
    assert pair.to_client.at_end


def test_an_upstream_that_does_not_go_on_with_its_response_is_cut(pair: Pair) -> None:
    pair.ask(GET)
    pair.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    pair.client.expired()
    assert pair.to_upstream.was_aborted
    assert outcomes(pair) == [(200, "", True)]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_defect_of_a_time_out_costs_one_connection_and_no_other_its_time_out(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: bytes
) -> None:
    def broken(_: object) -> NoReturn:
        raise RuntimeError("a defect")

    pair.ask(GET.replace(b"1.1", version))
    pair.answer(b"HTTP/1.1 200 OK\r\n\r\nabc")
    monkeypatch.setattr(answering.Answering, "expired", broken)
    late = [pair.connected() for _ in range(2)]
    for client in (pair.client, *(client for client, _ in late)):
        client.deadline_ns = 0
    pair.acceptor._sweep()
    assert [transport.at_end for _, transport in late] == [True, True]
    pair.turns.end_turn()
    assert pair.to_client.was_aborted
    assert pair.to_upstream.was_aborted
    assert len(pair.log) == 1
    assert caplog.text.count("a defect") == 2, "its message, within one traceback"


@pytest.mark.parametrize("listeners", Listeners)
def test_while_rgate_ends_what_is_under_way_is_answered_and_what_is_idle_closed_later(
    pair: Pair, listeners: Listeners
) -> None:
    idle, to_idle = pair.connected()
    pair.ask(GET)
    pair.acceptor.drain(listeners)
    assert not to_idle.at_end
    assert 0 < LAST_MOMENT_S < SUCCEEDED_MOMENT_S
    late, to_late = pair.connected()
    late.data_received(OWN)
    assert b"\r\nConnection: close\r\n" in to_late.data
    idle.deadline_ns -= int(LAST_MOMENT_S * NS)
    new, to_new = pair.connected()
    pair.acceptor._end_idle()
    assert (new.work, to_new.at_end) == (None, False)  # what it asks for may be on its way
    new.expired()
    assert to_new.at_end
    assert (idle.work is not None, to_idle.at_end, to_idle.closed) == (True, True, False)
    assert not pair.acceptor.drained.is_set()
    assert b"\r\nConnection: close\r\n" in pair.answer(ANSWER)
    assert pair.to_client.at_end
    for transport in (to_idle, to_late, to_new, pair.to_client):
        transport.close()
    pair.turns.end_turn()
    assert pair.acceptor.drained.is_set()


@pytest.mark.parametrize("draining", [False, True])
def test_a_request_that_the_loop_has_not_told_of_yet_keeps_its_connection_open(
    pair: Pair, draining: bool
) -> None:
    pair.to_client.far.send(b"G")
    if draining:
        pair.acceptor.drain()
        pair.client.deadline_ns -= int(LAST_MOMENT_S * NS)
        pair.acceptor._end_idle()
    pair.client.expired()
    assert not pair.to_client.at_end
    assert pair.client.deadline_ns > time.monotonic_ns()
    pair.to_client.get_extra_info("socket").recv(1)
    pair.client.expired()
    assert pair.to_client.at_end


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_what_is_under_way_when_rgate_stops_is_cut_and_told_of(pair: Pair, answer: bytes) -> None:
    pair.ask(GET)
    if answer:
        pair.answer(answer)
    pair.client.stop()
    assert pair.to_client.closed
    assert pair.to_upstream.was_aborted
    assert outcomes(pair) == [(200 if answer else 503, "stopped", True)]


def test_a_page_is_made_beside_the_loop_and_its_connection_goes_on(pair: Pair) -> None:
    pair.client.data_received(b"GET /stats HTTP/1.1\r\nHost: h\r\n\r\n" + OWN)
    while pair.client.work is not None:
        pair.turns.end_turn()
    first, second = pair.to_client.data.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"404 ")
    assert second.startswith(b"405 ")
    assert [record.status for record in pair.log] == [405]  # pages are not counted


@pytest.mark.clause("8.pages.memory_database")
def test_pages_that_hang_in_the_database_hold_up_no_other_page(pair: Pair) -> None:
    app, hangs = Flask("web"), threading.Event()
    app.add_url_rule("/_rgate/backends", "backends", lambda: "backends")

    @app.route("/stats")
    def stats() -> str:
        hangs.wait()
        return "figures"

    pair.shared.web = Web(pair.gateway, app, tuple)
    pair.acceptor = Acceptor(pair.shared)
    clients = [pair.connected() for _ in range(50)]
    for client, _ in clients:
        client.data_received(get(b"/stats"))
    try:
        well, answered = pair.connected()
        well.data_received(get(b"/_rgate/healthz") + get(b"/_rgate/readyz"))
        pair.turns.end_turn()
        assert answered.data.count(b"HTTP/1.1 200 OK\r\n") == 2
        known, answered = pair.connected()
        known.connection = ClientConnection("127.0.0.1", 80)
        known.data_received(get(b"/_rgate/backends"))
        while known.work is not None:
            pair.turns.end_turn()
        assert answered.data.endswith(b"backends")
        assert not any(written.data for _, written in clients)
    finally:
        hangs.set()
    while any(client.work is not None for client, _ in clients):
        pair.turns.end_turn()
    assert all(written.data.endswith(b"figures") for _, written in clients)


@pytest.mark.parametrize("fails", ["at once", "in its thread"])
def test_a_defect_of_a_page_costs_that_page_its_answer(
    pair: Pair, fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Web):
        def page(self, request: Request, client: ClientConnection) -> OwnResponse:
            del request, client
            raise RuntimeError("a defect")

        def at_once(self, request: Request, client: ClientConnection) -> OwnResponse | OwnStream | OwnPage:
            if fails == "at once":
                raise RuntimeError("a defect")
            return super().at_once(request, client)

    pair.shared.web = Broken(pair.gateway, Flask("web"), tuple)
    pair.acceptor = Acceptor(pair.shared)
    client, answered = pair.connected()
    client.data_received(get(b"/stats"))
    while client.work is not None:
        pair.turns.end_turn()
    assert answered.data.startswith(b"HTTP/1.1 500 ")
    assert "a defect" in caplog.text


def test_ids_differ() -> None:
    made = list(itertools.islice(request_ids(), 10_000))
    assert len(set(made)) == len(made)
    assert {len(identity) for identity in made} == {32}
    assert not set(made) & set(itertools.islice(request_ids(), 10_000))


# Who is counted as under way.


@pytest.mark.parametrize("request_bytes", [GET, POST, HEAD])
@pytest.mark.parametrize("answer", [ANSWER, UNUSUAL_ANSWER])
@pytest.mark.parametrize("log", [None, Counts()])
def test_requests_under_way_are_counted_until_their_response(
    pairs: Pairs, request_bytes: bytes, answer: bytes, log: Counts | None
) -> None:
    pair = pairs(policy=Policy.LEAST_INFLIGHT, log=log)
    assert pair.ask(request_bytes)
    assert pair.gateway.balancer.inflight(CANDIDATE) == 1
    assert pair.answer(answer).startswith(b"HTTP/1.1 200 ")
    assert pair.gateway.balancer.inflight(CANDIDATE) == 0


def test_requests_under_way_are_counted_until_their_client_leaves(pairs: Pairs) -> None:
    pair = pairs(policy=Policy.LEAST_INFLIGHT)
    pair.ask(GET)
    pair.client.eof_received()
    assert outcomes(pair) == [(499, "client_closed", False)]
    assert pair.gateway.balancer.inflight(CANDIDATE) == 0


def test_who_is_asked_next_is_counted_as_under_way_and_who_failed_no_longer(pairs: Pairs) -> None:
    # The one that failed was once busy for ever, and the next one less busy than it was.
    pair = pairs(policy=Policy.LEAST_INFLIGHT, candidates=TWO)
    pair.turns.network[2] = None
    pair.upstream.discard()
    inflight = pair.gateway.balancer.inflight
    pair.gateway.balancer.started(OTHER)  # somebody else's
    pair.gateway.balancer.started(CANDIDATE)
    pair.client.data_received(GET)
    pair.turns.end_turn()
    assert pair.turns.asked == [1, 2]
    assert (inflight(CANDIDATE), inflight(OTHER)) == (1, 2)
    upstream, _ = pair.turns.made[-1]
    upstream.data_received(ANSWER)
    assert (inflight(CANDIDATE), inflight(OTHER)) == (1, 1)


def test_who_is_picked_while_others_are_left_out_is_counted_as_under_way(pairs: Pairs) -> None:
    pair = pairs(policy=Policy.LEAST_INFLIGHT, candidates=TWO)
    pair.turns.network[2] = None
    balancer = pair.gateway.balancer
    balancer.refused(CANDIDATE, time.monotonic())
    pair.client.data_received(GET)
    pair.turns.end_turn()
    assert (balancer.inflight(CANDIDATE), balancer.inflight(OTHER)) == (0, 1)
    pair.turns.made[-1][0].data_received(ANSWER)
    assert balancer.inflight(OTHER) == 0


def test_an_empty_line_is_not_the_beginning_of_the_request_behind_it(pair: Pair) -> None:
    # The time for the head was once counted from there, however long ago that was.
    pair.client.data_received(b"\r\n")
    before_ns = time.monotonic_ns()
    pair.client.data_received(b"GET")
    assert pair.client.began_ns >= before_ns


def test_pages_have_their_threads_again_after_a_moment_in_which_the_system_gave_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, done = answers._Threads(4), threading.Semaphore(0)
    with monkeypatch.context() as threadless:
        threadless.setattr(threading.Thread, "start", gives_none)
        with pytest.raises(RuntimeError):
            threads.run(done.release)
    threads.run(done.release)
    assert done.acquire(timeout=5)
    with monkeypatch.context() as threadless:
        threadless.setattr(threading.Thread, "start", gives_none)
        for _ in range(6):
            threads.run(done.release)
    assert all(done.acquire(timeout=5) for _ in range(6))
    together = threading.Barrier(5)  # four that work at once, and this one

    def meet() -> None:
        together.wait(5)

    for _ in range(4):
        threads.run(meet)
    together.wait(5)
