"""Content as it is framed: however its bytes are cut, it is the same (RFC 9112 6.3, 7.1)."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.content import (
    LAST_CHUNK,
    MOST_CHUNKS_A_CALL,
    Chunks,
    Content,
    Counted,
    UntilTheEnd,
    chunk,
    content_of,
    last_chunk,
)
from rgate.core.message import CHUNKED, UNTIL_CLOSE, Fields, Refused
from rgate.core.reasons import Reason
from tests.unit.messages import cuts, split


@dataclass(frozen=True)
class Taken:
    """What a content came to: *rest* is what it did not use."""

    content: bytes
    rest: bytes
    complete: bool
    trailers: Fields
    refused: Reason | None = None


def take(content: Content, pieces: list[bytes]) -> Taken:
    """Let *content* take *pieces*, each behind what noise a caller's buffer may hold."""
    taken, rest = b"", b""
    try:
        for piece in pieces:
            rest += piece
            while rest and not content.complete:
                noise = b"1\r\n"
                part, end = content.take(noise + rest, len(noise))
                taken += part
                rest = rest[end - len(noise) :]
    except Refused as refused:
        return Taken(b"", b"", complete=False, trailers=(), refused=refused.reason)
    return Taken(taken, rest, content.complete, content.trailers)


@dataclass(frozen=True)
class Piece:
    """A piece of a chunked body: *good* to a strict reader, *bearable* to a lenient one."""

    raw: bytes
    content: bytes = b""
    trailers: Fields = ()
    good: bool = True
    bearable: bool = True


def piece(spelling: bytes, content: bytes, end: bytes) -> Piece:
    good = spelling in GOOD_SIZES and end == b"\r\n"
    bearable = spelling in (*GOOD_SIZES, *PADDED_SIZES) and end == b"\r\n"
    return Piece(spelling % len(content) + b"\r\n" + content + end, content, (), good, bearable)


GOOD_SIZES = [
    *(
        b"%x",
        b"%X",
        b"0%x",
        b"0000000000000%x",
        b"%x;a",
        b"%x ;a",
        b"%x\t; a = b",
        b'%x;a="b;\\"c";d',
        b"%x;a=!",
    ),
    b'%x;a="\xff"',
]
PADDED_SIZES = [b"%x ", b"%x \t", b"%x;a "]
BAD_SIZES = [
    *(
        b" %x",
        b"+%x",
        b"-%x",
        b"0x%x",
        b"%x;",
        b"%x;;a",
        b"%x;a=",
        b"%x;a=\x00",
        b"%xg",
        b"1%015x",
        b"%x\r",
        b"%x\n",
    ),
    *(b'%x;a="b', b"%x,a", b"\r\n%x", b"%x;a=\xff"),
]
sizes = st.sampled_from([*GOOD_SIZES * 3, *PADDED_SIZES, *BAD_SIZES])
chunks = st.builds(
    piece,
    sizes,
    st.sampled_from([b"a", b"\r\n", b"0\r\n\r\n", b"b" * 16, b"c" * 255]),
    st.sampled_from([*[b"\r\n"] * 20, b"\n", b"a\r\n", b"\r"]),
)
last_sizes = st.builds(
    lambda spelling: Piece(
        spelling % 0 + b"\r\n", b"", (), spelling in GOOD_SIZES, spelling in (*GOOD_SIZES, *PADDED_SIZES)
    ),
    sizes,
)
trailers = st.sampled_from(
    [
        *[Piece(b"T: u\r\n", b"", ((b"T", b"u"),)), Piece(b"x:\t\r\n", b"", ((b"x", b""),))] * 3,
        Piece(b"T: u\n", b"", ((b"T", b"u"),), good=False),
        Piece(b"T:\x01\r\n", b"", ((b"T", b"\x01"),), good=False),
        Piece(b"T : u\r\n", good=False, bearable=False),
        Piece(b" u\r\n", good=False, bearable=False),
        Piece(b"T\r\n", good=False, bearable=False),
    ]
)
ends = st.sampled_from([*[Piece(b"\r\n")] * 6, Piece(b"\n", good=False)])
bodies = st.builds(
    lambda first, last, fields, end: [*first, last, *fields, end],
    st.lists(chunks, max_size=4),
    last_sizes,
    st.lists(trailers, max_size=3),
    ends,
)


@given(body=bodies, at=cuts, lenient=st.booleans())
def test_a_chunked_body_is_read_as_a_naive_decoder_reads_it(
    body: list[Piece], at: list[int] | range, lenient: bool
) -> None:
    raw = b"".join(one.raw for one in body) + b"GET / HTTP/1.1\r\n"
    taken = take(Chunks(lenient=lenient), split(raw, at))
    if all(one.bearable if lenient else one.good for one in body):
        content = b"".join(one.content for one in body)
        fields = tuple(field for one in body for field in one.trailers)
        assert taken == Taken(content, b"GET / HTTP/1.1\r\n", complete=True, trailers=fields)
    else:
        assert taken.refused


@given(body=bodies, kept=st.integers(0, 300), at=cuts)
def test_a_part_of_a_chunked_body_is_not_complete_and_gives_what_came_of_its_content(
    body: list[Piece], kept: int, at: list[int] | range
) -> None:
    raw = b"".join(one.raw for one in body)
    taken = take(Chunks(lenient=True), split(raw[: min(kept, len(raw) - 1)], at))
    assert not taken.complete
    assert b"".join(one.content for one in body).startswith(taken.content)
    assert taken.rest == b""


@given(content=st.binary(max_size=40), at=cuts)
def test_counted_content_ends_where_its_length_says(content: bytes, at: list[int] | range) -> None:
    taken = take(content_of(len(content)), split(content + b"GET", at))
    rest = b"GET" if content else b""  # without content there is nobody who takes anything
    assert (taken.content, taken.complete, taken.rest[: len(rest)]) == (content, True, rest)
    assert take(Counted(len(content) + 1), split(content, at)) == Taken(content, b"", False, ())


@given(content=st.binary(max_size=40), at=cuts)
def test_content_until_the_end_is_never_complete(content: bytes, at: list[int] | range) -> None:
    assert take(content_of(UNTIL_CLOSE), split(content, at)) == Taken(content, b"", False, ())


def test_each_framing_has_its_reader() -> None:
    readers = [content_of(framing) for framing in (3, CHUNKED, UNTIL_CLOSE)]
    assert [type(one) for one in readers] == [Counted, Chunks, UntilTheEnd]
    assert content_of(0).complete
    assert take(content_of(CHUNKED), [b"0 \r\n\r\n"]).refused
    assert take(content_of(CHUNKED, lenient=True), [b"0 \r\n\r\n"]).complete


@given(pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=5), at=cuts)
def test_what_is_written_in_chunks_is_read_again(pieces: list[bytes], at: list[int] | range) -> None:
    raw = b"".join(map(chunk, pieces)) + last_chunk(((b"T", b"u"), (b"Host", b"h"))) + b"GET"
    assert take(Chunks(), split(raw, at)) == Taken(b"".join(pieces), b"GET", True, ((b"T", b"u"),))
    assert take(Chunks(), [LAST_CHUNK]) == Taken(b"", b"", True, ())


def test_extensions_are_dropped_and_trailers_kept() -> None:
    taken = take(Chunks(), [b'3 ;a="b;\\"c";d\r\nabc\r\n0\r\nT: u\r\n\r\n'])
    assert (taken.content, taken.trailers) == (b"abc", ((b"T", b"u"),))


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    "raw",
    [
        b"0x3\r\nabc",
        b"+3\r\nabc",
        b"-1\r\n",
        b"3\nabc",
        b"3\r\nabcd",
        b"3\r\nabc\n",
        b"1" * 16 + b"\r\n",
        b"\r\n",
        b" 3\r\n",
        b"3;\r\nabc",
        b"3;a=\x00\r\n",
        b"0\r\nbad\r\n\r\n",
        b"0\r\n a: b\r\n\r\n",
        b";" * 2000,
    ],
)
def test_a_malformed_chunk_is_refused(raw: bytes, lenient: bool) -> None:
    with pytest.raises(Refused) as refused:
        Chunks(lenient=lenient).take(raw, 0)
    assert (refused.value.reason, refused.value.detail[-1]) == (Reason.BAD_REQUEST, ".")


@pytest.mark.parametrize("raw", [b"3 \r\nabc", b"0\r\nT: u\n\n", b"0\r\nT: u\n", b"0\r\n\n"])
def test_what_is_forgiven_in_responses_is_refused_in_requests(raw: bytes) -> None:
    Chunks(lenient=True).take(raw, 0)
    with pytest.raises(Refused):
        Chunks().take(raw, 0)


LONGEST = b"a" * (1024 - 4)


@pytest.mark.parametrize("at", [[], [1024], range(2000)])
def test_a_line_of_a_size_is_as_long_as_it_may_be(at: list[int] | range) -> None:
    good, longer = b"0;" + LONGEST + b"\r\n\r\n", b"0;a" + LONGEST + b"\r\n\r\n"
    assert take(Chunks(), split(good, at)).complete
    assert take(Chunks(), split(longer, at)).refused


@pytest.mark.parametrize("at", [[], [65_000], [65_535, 65_536, 65_537], range(60_000, 70_000)])
def test_trailers_are_as_large_as_they_may_be(at: list[int] | range) -> None:
    def trailer(size: int) -> bytes:
        return b"0\r\nT: " + b"a" * (size - 7) + b"\r\n\r\n"

    assert take(Chunks(), split(trailer(65_536), at)).complete
    assert take(Chunks(), split(trailer(65_537), at)).refused is Reason.FIELDS_TOO_LARGE


def test_there_are_as_many_trailers_as_there_may_be() -> None:
    assert take(Chunks(), [b"0\r\n" + b"T: u\r\n" * 100 + b"\r\n"]).complete
    assert take(Chunks(), [b"0\r\n" + b"T: u\r\n" * 101 + b"\r\n"]).refused


@pytest.mark.parametrize("size", [1, 7])
def test_however_many_chunks_come_at_once_a_call_takes_a_bounded_number_of_them(size: int) -> None:
    raw = chunk(b"a" * size) * (2 * MOST_CHUNKS_A_CALL + 1) + LAST_CHUNK
    chunked, at, most = Chunks(), 0, MOST_CHUNKS_A_CALL * size
    taken = []
    while not chunked.complete:
        content, at = chunked.take(raw, at)
        taken.append(len(content))
    assert (max(taken) <= most, len(taken), sum(taken)) == (True, 3, 2 * most + size)
