"""Both readers: however the bytes are cut, they give the same (RFC 9112 2.2, 6.3, 9.3)."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Limits
from rgate.core.content import chunk, last_chunk
from rgate.core.message import UNTIL_CLOSE, BadResponse, Refused
from rgate.core.onward import Interim, Request, Response, Reuse
from rgate.core.reading import Reading, RequestReader, ResponseReader, is_unasked
from rgate.core.reasons import Failure, Reason
from tests.unit.both_ways import made_id, read_requests, read_responses
from tests.unit.messages import PROXY, READING, STRANGER, cuts, request, response, split

bodies = st.lists(st.binary(min_size=1, max_size=20) | st.just(b"\r\n\r\nGET / HTTP/1.1\r\n"), max_size=3)
extra_lines = st.lists(
    st.sampled_from(
        [
            *(
                b"A: b",
                b"A:b ",
                b"TE: trailers",
                b"Connection: keep-alive",
                b"Connection: close",
                b"X-Request-ID: i",
            ),
            *(
                b"Expect: 100-continue",
                b"X-Forwarded-For: 1.2.3.4",
                b"Upgrade: x\r\nConnection: upgrade",
                b"_: ",
            ),
        ]
    ),
    max_size=2,
)


def request_bytes(
    first: bytes, lines: list[bytes], body: list[bytes], framing: str, empty_lines: int
) -> bytes:
    framed = {
        "none": (b"", b""),
        "counted": (b"Content-Length: %d\r\n" % len(b"".join(body)), b"".join(body)),
        "chunked": (
            b"Transfer-Encoding: chunked\r\n",
            b"".join(map(chunk, body)) + last_chunk(((b"T", b"u"),)),
        ),
    }[framing]
    head = b"".join(line + b"\r\n" for line in (first, b"Host: h", *lines))
    return b"\r\n" * empty_lines + head + framed[0] + b"\r\n" + framed[1]


requests = st.builds(
    request_bytes,
    st.sampled_from(
        [b"GET /a HTTP/1.1", b"POST /a?b HTTP/1.1", b"BREW * HTTP/1.1", b"GET http://i/ HTTP/1.1"]
    ),
    extra_lines,
    bodies,
    st.sampled_from(["none", "counted", "chunked"]),
    st.sampled_from([0, 0, 0, 1, 2]),
)
# What a pipeline ends with: nothing, a part of a request, or what is none.
last = st.sampled_from(
    [
        *(
            b"",
            b"\r",
            b"\r\n",
            b"G",
            b"GET / HTTP/1.1\r\nHost: h\r\n\r",
            b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na",
        ),
        *(
            b" GET",
            b"\n",
            b"\rG",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        ),
        *(
            b"GET / HTTP/1.1\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naxx",
        ),
        *(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", b"\x16\x03\x01"),
    ]
)


@given(messages=st.lists(requests, max_size=3), last=last, at=cuts, client=st.sampled_from([STRANGER, PROXY]))
@example([], b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", [1], STRANGER)  # was once refused
@example([], b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", [2], STRANGER)  # was refused where it came at once
def test_any_split_of_requests_gives_the_same(
    messages: list[bytes], last: bytes, at: list[int] | range, client: Any
) -> None:
    raw = b"".join(messages) + last
    assert read_requests(split(raw, at), client) == read_requests([raw] if raw else [], client)


def test_a_pipeline_is_read_whole() -> None:
    raw = b"".join(
        [
            request_bytes(b"GET /1 HTTP/1.1", [], [], "none", 0),
            request_bytes(b"PUT /2 HTTP/1.1", [], [b"ab", b"c"], "counted", 1),
            request_bytes(b"PUT /3 HTTP/1.1", [b"TE: x"], [b"ab", b"c"], "chunked", 0),
            request_bytes(b"GET /4 HTTP/1.1", [], [], "none", 2),
        ]
    )
    events = read_requests([raw])
    assert [event[1] for event in events[:-1]] == [
        *(b"GET /1 HTTP/1.1", b"PUT /2 HTTP/1.1", b"abc", b"PUT /3 HTTP/1.1", b"abc", b"GET /4 HTTP/1.1"),
    ]
    assert [event[2] for event in events[:-1] if event[0] == "content"] == [(), ((b"T", b"u"),)]
    assert events[-1] is True


interims = st.lists(
    st.sampled_from(
        [b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 102 P\nA:b\n\n"]
    ),
    max_size=2,
).map(b"".join)


def response_bytes(first: bytes, lines: list[bytes], body: list[bytes], framing: str, end: bytes) -> bytes:
    framed = {
        "none": (b"", b"".join(body)),
        "counted": (b"Content-Length: %d" % len(b"".join(body)) + end, b"".join(body)),
        "chunked": (
            b"Transfer-Encoding: chunked" + end,
            b"".join(map(chunk, body)) + last_chunk(((b"T", b"u"),)),
        ),
    }[framing]
    return b"".join(line + end for line in (first, *lines)) + framed[0] + end + framed[1]


answers = st.builds(
    response_bytes,
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 404", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 N", b"HTTP/1.1 304 N"]
    ),
    extra_lines,
    bodies,
    st.sampled_from(["none", "counted", "chunked"]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)
no_answers = st.sampled_from(
    [
        *(
            b"",
            b"HTTP/1.1 200 OK\r\nA: b\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n\r",
            b"HTTP",
            b"HTTQ",
            b"\r\n",
            b"\nHTTP/1.1 2",
        ),
        *(b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 99 X\r\n\r\n", b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nraw"),
        *(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
        ),
    ]
)
asked = st.sampled_from(
    [
        *(request(b"GET / HTTP/1.1"), request(b"HEAD / HTTP/1.1"), request(b"GET / HTTP/1.0")),
        request(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: x"),
    ]
)


@given(
    interims=interims,
    answer=answers | answers | no_answers,
    asked=asked,
    at=cuts,
    reused=st.booleans(),
    ends=st.booleans(),
)
def test_any_split_of_responses_gives_the_same(
    interims: bytes, answer: bytes, asked: Request, at: list[int] | range, reused: bool, ends: bool
) -> None:
    raw = interims + answer + b"HTTP"
    pieces = split(raw, at)
    assert read_responses(pieces, asked, reused=reused, ends=ends) == read_responses(
        [raw], asked, reused=reused, ends=ends
    )


def test_interims_and_a_response_of_each_framing_are_read() -> None:
    asked = request()
    interim = b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
    for framing, told in (("counted", ()), ("chunked", ((b"T", b"u"),)), ("none", "more is to come")):
        raw = interim + response_bytes(b"HTTP/1.1 200 OK", [], [b"ab", b"c"], framing, b"\r\n")
        events = read_responses([raw], asked, reused=False, ends=True)
        assert events[0] == Interim(103, interim)
        assert events[2] == ("content", b"abc", told)


def test_a_client_of_1_0_gets_no_interim_response() -> None:
    raw = b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 204 N\r\n\r\n"
    first = read_responses([raw], request(b"GET / HTTP/1.0"), reused=False, ends=False)[0]
    assert first == Interim(103, b"")


def padded(head: bytes, behind: bytes, size: int) -> bytes:
    """*head* with so much put in behind *behind* that it is *size* bytes."""
    return head.replace(behind, behind + b"a" * (size - len(head)), 1)


@pytest.mark.parametrize("at", [[], range(1000)])
@pytest.mark.parametrize("line", [b"X-A: ", b"TE: "])  # read quickly, and thoroughly
@pytest.mark.parametrize(("behind", "reason"), [(b"", None), (b"GET /", Reason.URI_TOO_LONG)])
def test_a_requests_head_is_as_large_as_it_may_be(
    at: list[int] | range, line: bytes, behind: bytes, reason: Reason | None
) -> None:
    head = b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % line
    behind = line if reason is None else behind
    reading = Reading(Limits(header_bytes=300), upgrading=True)

    def outcome(raw: bytes) -> object:
        reader, read = RequestReader(), None
        try:
            for piece in split(raw, at):
                read = reader.read(piece, reading, STRANGER, made_id)
        except Refused as refused:
            return refused.reason
        return type(read)

    assert outcome(padded(head, behind, 300)) is Request
    assert outcome(padded(head, behind, 301)) is Reason.FIELDS_TOO_LARGE
    assert outcome(padded(head, behind, 600)) is (reason or Reason.FIELDS_TOO_LARGE)


@pytest.mark.parametrize("at", [[], range(1000)])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])  # read quickly, and thoroughly
def test_a_responses_head_is_as_large_as_it_may_be(at: list[int] | range, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: " + end + end
    reading = Reading(Limits(header_bytes=300), upgrading=True)

    def outcome(raw: bytes) -> object:
        reader, read = ResponseReader(), None
        try:
            for piece in split(raw, at):
                read = reader.read(piece, reading, request(), reused=False)
        except BadResponse as bad:
            return str(bad)
        return type(read)

    assert outcome(padded(head, b"A: ", 300)) is Response
    assert outcome(padded(head, b"A: ", 301)) == "the head is larger than 300 bytes"


def test_a_head_behind_an_interim_response_may_be_as_large_as_any() -> None:
    reading = Reading(Limits(header_bytes=300), upgrading=True)
    interim, head = b"HTTP/1.1 103 E\r\n\r\n", b"HTTP/1.1 204 N\r\nA: \r\n\r\n"
    for size, fits in ((300, True), (301, False)):
        reader = ResponseReader()
        assert isinstance(
            reader.read(interim + padded(head, b"A: ", size), reading, request(), reused=False), Interim
        )
        if fits:
            assert isinstance(reader.read(b"", reading, request(), reused=False), Response)
        else:
            with pytest.raises(BadResponse):
                reader.read(b"", reading, request(), reused=False)


@pytest.mark.parametrize(
    "received", [b" GET", b"\x16\x03\x01", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: b\n"]
)
def test_what_can_be_no_request_is_refused_before_its_end(received: bytes) -> None:
    for pieces in ([received], [received[index : index + 1] for index in range(len(received))]):
        assert read_requests(pieces) == [Reason.BAD_REQUEST]


@pytest.mark.parametrize(
    ("received", "reused", "failure"),
    [
        (b"", False, Failure.CLOSED_EARLY),
        (b"", True, Failure.STALE),
        (b"HTTP/1.1 200", True, Failure.BAD_RESPONSE),
        (b"HTTP/1.1 200", False, Failure.BAD_RESPONSE),
        (b"HTTP/1.1 103 E\r\n\r\n", True, Failure.BAD_RESPONSE),
    ],
)
def test_an_end_is_a_failure_by_what_came_before(received: bytes, reused: bool, failure: Failure) -> None:
    reader = ResponseReader()
    if received:
        reader.read(received, READING, request(), reused=reused)
    assert reader.end(reused=reused) is failure


def test_an_end_behind_another_requests_interims_is_judged_anew() -> None:
    reader = ResponseReader()
    for answer in (b"HTTP/1.1 204 N\r\n\r\n", b"HTTP/1.1 204 N\n\n"):
        reader.read(b"HTTP/1.1 103 E\r\n\r\n", READING, request(), reused=False)
        assert reader.read(answer, READING, request(), reused=False) is not None
        assert reader.end(reused=True) is Failure.STALE


@pytest.mark.parametrize(
    ("received", "reused", "failure"),
    [
        ([b"noise"], True, Failure.NOISE),
        ([b"noise"], False, Failure.BAD_RESPONSE),
        ([b"HTTP/1.1 103 E\r\n\r\nnoise"], True, Failure.BAD_RESPONSE),
        ([b"HTTP/1.1 103 E\r\n\r\n", b"noise"], True, Failure.BAD_RESPONSE),
        ([b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"], True, Failure.BAD_RESPONSE),
        ([b"\r\n"], True, Failure.NOISE),
    ],
)
def test_bytes_that_are_no_status_line_were_not_meant_for_a_request_on_a_reused_connection(
    received: list[bytes], reused: bool, failure: Failure
) -> None:
    asked = request()
    assert read_responses(received, asked, reused=reused, ends=False)[-1] is failure


@pytest.mark.parametrize(
    ("offered", "switched", "is_good"),
    [
        ((b"Connection: upgrade", b"Upgrade: x, WebSocket"), b"Upgrade: websocket", True),
        ((b"Connection: upgrade", b"Upgrade: x"), b"Upgrade: X", True),
        ((b"Connection: upgrade", b"Upgrade: x"), b"A: b", True),
        ((b"Connection: upgrade", b"Upgrade: x"), b"Upgrade: y", False),
        ((b"Connection: upgrade", b"Upgrade: x"), b"Upgrade: x, y", False),
        ((b"Connection: upgrade", b"Upgrade: h2c"), b"Upgrade: h2c", False),
        ((b"Upgrade: x",), b"Upgrade: x", False),
        ((), b"A: b", False),
    ],
)
def test_a_switch_is_good_to_what_was_offered_only(
    offered: tuple[bytes, ...], switched: bytes, is_good: bool
) -> None:
    asked = request(b"GET / HTTP/1.1", *offered)
    raw = b"HTTP/1.1 101 S\r\nConnection: upgrade\r\n%b\r\n\r\nraw" % switched
    events = read_responses([raw], asked, reused=False, ends=False)
    assert (events[-1] == b"raw") is is_good
    assert (events[-1] is Failure.BAD_RESPONSE) is not is_good


@pytest.mark.parametrize(
    ("first", "lines", "reused", "unasked"),
    [
        (b"HTTP/1.1 408 T", (b"Connection: close",), True, True),
        (b"HTTP/1.1 408 T", (b"Connection: close",), False, False),
        (b"HTTP/1.1 408 T", (b"Content-Length: 0",), True, False),
        (b"HTTP/1.0 408 T", (), True, True),
        (b"HTTP/1.1 400 B", (b"Connection: close",), True, False),
    ],
)
def test_a_408_that_ends_a_reused_connection_is_no_answer(
    first: bytes, lines: tuple[bytes, ...], reused: bool, unasked: bool
) -> None:
    assert is_unasked(response(first, *lines), reused=reused) is unasked


KEEPING, RESTING, ENDING = Reuse.AT_ONCE, Reuse.AFTER_A_REST, Reuse.NEVER


@pytest.mark.parametrize(
    ("method", "first", "lines", "reuse"),
    [
        (b"GET", b"HTTP/1.1 200 OK", (b"Content-Length: 3",), KEEPING),
        (b"GET", b"HTTP/1.1 200 OK", (b"Content-Length: 3", b"Connection: close"), ENDING),
        (b"GET", b"HTTP/1.1 200 OK", (b"Content-Length: 3", b"Connection: a, Close"), ENDING),
        (b"GET", b"HTTP/1.1 200 OK", (), ENDING),
        (b"GET", b"HTTP/1.0 200 OK", (b"Content-Length: 3",), ENDING),
        (b"GET", b"HTTP/1.0 200 OK", (b"Content-Length: 3", b"Connection: keep-alive"), KEEPING),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 3",), RESTING),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 3", b"TE: x"), RESTING),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 0",), KEEPING),
        (b"HEAD", b"HTTP/1.1 200 OK", (), KEEPING),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), RESTING),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 3", b"Connection: close"), ENDING),
        (b"GET", b"HTTP/1.1 304 N", (b"Content-Length: 3",), RESTING),
        (b"GET", b"HTTP/1.1 304 N", (b"Transfer-Encoding: chunked",), RESTING),
        (b"GET", b"HTTP/1.1 204 N", (b"Content-Length: 0",), KEEPING),
        (b"GET", b"HTTP/1.1 204 N", (b"Content-Length: 3", b"Connection: close"), ENDING),
    ],
)
def test_a_connection_rests_where_content_was_announced_that_may_come_all_the_same(
    method: bytes, first: bytes, lines: tuple[bytes, ...], reuse: Reuse
) -> None:
    answer = response(first, *lines, to=request(method + b" / HTTP/1.1"))
    assert answer.reuse is reuse
    assert (answer.framing is UNTIL_CLOSE) == (first.endswith(b"200 OK") and not lines and method == b"GET")


def test_what_is_not_used_yet_can_be_taken_back() -> None:
    reader = RequestReader()
    head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert reader.read(head + b"abc", READING, STRANGER, made_id) is not None
    assert (reader.waiting_bytes, reader.is_empty) == (3, False)
    reader.feed(b"d")
    assert reader.take_all() == b"abcd"
    assert (reader.waiting_bytes, reader.is_empty, reader.take_all()) == (0, True, b"")


def test_a_request_knows_its_target_and_its_head_wherever_they_lie() -> None:
    for lines in ((), (b"TE: trailers",)):
        first = request_bytes(b"GET /1 HTTP/1.1", [], [], "none", 0)
        second = request_bytes(b"PUT /2?%20 HTTP/1.1", [b"A: b", *lines], [b"abc"], "counted", 1)
        reader = RequestReader()
        reader.read(first + second, READING, STRANGER, made_id)
        read = reader.read(b"", READING, STRANGER, made_id)
        assert read is not None
        assert read.target == b"/2?%20"
        assert read.head().values(b"a") == (b"b",)
        assert second.lstrip().startswith(read.received[read.start : read.end])
