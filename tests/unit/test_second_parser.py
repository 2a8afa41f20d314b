"""What is taken means the same to a second parser, h11, but for the differences that are listed here."""

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgate.core.message import (
    Refused,
    parse_request_head,
    parse_response_head,
)
from tests.unit.heads import framings, hosts, lines, request_lines, some_of, status_lines
from tests.unit.second_parser import (
    our_request,
    our_response,
    their_request,
    their_response,
    values,
    ways_of_forgiveness,
    ways_of_forgiveness_in_responses,
)


def ways_of_doubt(head: bytes) -> set[str]:
    """Return why a request's *head* is refused although others may take it."""
    line = head.split(b"\n")[0].split(b" ")
    target, version = line[1] if len(line) > 1 else b"", line[-1].strip()
    lengths, codings, named = (
        values(head, name) for name in (b"content-length", b"transfer-encoding", b"host")
    )
    is_path = target.startswith(b"/") or re.match(rb"(?i)https?://[^/?@]", target) or target == b"*"
    found = {
        "a bare CR or LF": re.search(rb"(?<!\r)\n|\r(?!\n)", head),
        "a folded line": re.search(rb"\n[ \t]", head),
        "a control character": re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head),
        "a length that is not one number": len(lengths) > 1
        or not re.fullmatch(rb"[0-9]{1,18}", (lengths or [b"0"])[0]),
        "a length and a coding": lengths and codings,
        "a coding in HTTP/1.0": codings and version == b"HTTP/1.0",
        "a version that is not 1": not version.startswith(b"HTTP/1."),
        "no host, or two": len(named) != 1 and not (version == b"HTTP/1.0" and not named),
        "a host that can be none": named
        and not re.fullmatch(rb"[\w.~-]*(?::\d*)?|\[[\w:.]+\](?::\d*)?", named[0]),
        "a target that is neither path nor URL": not is_path or (target == b"*" and line[0] != b"OPTIONS"),
        "a fragment": b"#" in target,
    }
    return {way for way, is_found in found.items() if is_found}


# Chunked bodies: good ones, ones that only others take, and such that nobody does.
GOOD = [b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"1;a=b\r\na\r\n02\r\nbc\r\n0\r\nT: u\r\n\r\n"]
IN_DOUBT = [
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3;\r\nabc\r\n0\r\n\r\n",
    b"0\r\nT: u\n\r\n",
    b"0\r\nT: u\x01\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
]
BAD = [
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n",
    b"3\r\nabcd\r\n",
    b"0\r\nT : u\r\n\r\n",
    b"3\r\nabc\r\n0\r\n",
]
bodies = st.lists(
    st.sampled_from([*GOOD * 2, *IN_DOUBT, *BAD, *[b"abc", b"abcdef", b"ab", b""] * 2]),
    min_size=2,
    max_size=4,
)


@settings(max_examples=150)
@given(line=request_lines, host=hosts, drawn=lines, framing=framings, bodies=bodies)
def test_a_request_means_the_same_to_both_or_is_in_doubt_in_a_way_that_is_known(
    line: bytes, host: bytes, drawn: list[bytes], framing: bytes, bodies: list[bytes]
) -> None:
    for some, body in product(some_of(drawn), bodies):
        head = line + host + some + framing + b"\r\n"
        ours, theirs = our_request(head + body), their_request(head + body)
        if ours is not None and not ways_of_forgiveness(head):
            assert ours == theirs
        if theirs is not None and ours is None:
            assert ways_of_doubt(head) or body in IN_DOUBT
        if ours is not None:
            assert not ways_of_doubt(head), "what is in doubt is refused"


def ways_of_doubt_in_responses(head: bytes) -> set[str]:
    lengths = {one.strip() for value in values(head, b"content-length") for one in value.split(b",")}
    codings = values(head, b"transfer-encoding")
    found = {
        "a bare CR": re.search(rb"\r(?!\n)", head),
        "a folded line": re.search(rb"\n[ \t]", head),
        "a length and a coding": lengths and codings,
        "a coding in HTTP/1.0": codings and not head.startswith(b"HTTP/1.1"),
        "a version that is not 1": not head.startswith(b"HTTP/1."),
        "control characters in the phrase": re.search(rb"[\x01-\x08\x0e-\x1f\x7f]", head.split(b"\n")[0]),
    }
    return {way for way, is_found in found.items() if is_found}


@settings(max_examples=150)
@given(
    status=status_lines.filter(lambda line: b" 101 " not in line),  # a tunnel follows
    drawn=lines,
    framing=framings,
    bodies=bodies,
    method=st.sampled_from([b"GET", b"GET", b"HEAD"]),
    interim=st.sampled_from([b"", b"", b"HTTP/1.1 103 E\r\nA: b\r\n\r\n"]),
)
def test_a_response_means_the_same_to_both_or_is_in_doubt_in_a_way_that_is_known(
    status: bytes, drawn: list[bytes], framing: bytes, bodies: list[bytes], method: bytes, interim: bytes
) -> None:
    for some, body in product(some_of(drawn), bodies):
        head = status + some + framing + b"\r\n"
        raw = interim + head + body
        ours, theirs = our_response(raw, method), their_response(raw, method)
        if ours is not None and body not in IN_DOUBT and not ways_of_forgiveness_in_responses(head):
            assert ours == theirs
        if theirs is not None and ours is None:
            assert ways_of_doubt_in_responses(head) or body in IN_DOUBT
        if ours is not None:
            assert not ways_of_doubt_in_responses(head)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"A: b\x01\x7f\r\nContent-Length: 3\r\n",
        b"A: b\nContent-Length: 3\n",
    ],
)
def test_what_is_forgiven_in_responses_is_forgiven_by_both_and_refused_in_requests(lines: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nabc"
    assert our_response(raw, b"GET") == their_response(raw, b"GET")
    assert parse_response_head(raw[:-3], b"GET").framing == 3
    with pytest.raises(Refused):
        parse_request_head(b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
