"""Envelopes: JSON is embedded as it came, text as a string, anything else goes raw (behaviour 2)."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.delivery import Envelope, envelope_of
from rgate.core.envelope import MOST_BYTES, envelope, enveloped_fields, may_be_enveloped
from rgate.core.message import UNTIL_CLOSE, ResponseHead, parse_response_head
from rgate.core.onward import Request, Response
from tests.unit.messages import fields_of, request, response

JSON = b"application/json"


def head(media_type: bytes, *lines: bytes, status: int = 200) -> ResponseHead:
    first = b"HTTP/1.1 %d X" % status
    return parse_response_head(
        b"\r\n".join((first, b"Content-Type: " + media_type, *lines, b"", b"")), b"GET"
    )


@pytest.mark.parametrize(
    ("media_type", "content", "expected"),
    [
        (JSON, b'{"a": 1.10}', b'{"status_code": 200, "body": {"a": 1.10}}'),
        (JSON, b" [1]\r\n", b'{"status_code": 200, "body": [1]}'),
        (b"application/problem+json", b"[]", b'{"status_code": 200, "body": []}'),
        (b"APPLICATION/JSON; charset=UTF-8", b"null", b'{"status_code": 200, "body": null}'),
        (b"text/plain", b'h"i', b'{"status_code": 200, "body": "h\\"i"}'),
        (b"text/plain", b"", b'{"status_code": 200, "body": ""}'),
        (b"text/html", b"[1]", b'{"status_code": 200, "body": "[1]"}'),
        (b"text/plain", b"\xff", None),
        (JSON, b'"\xff"', None),
    ],
)
def test_an_envelope_embeds_json_and_text(media_type: bytes, content: bytes, expected: bytes | None) -> None:
    assert may_be_enveloped(head(media_type), b"GET")
    assert envelope(head(media_type), content) == expected


@pytest.mark.parametrize(
    "content",
    [
        *(b"NaN", b"Infinity", b"-Infinity", b'{"a": [NaN]}'),
        *(b'{"a": 1', b"{'a': 1}", b'{"a": 1}x', b"", b" ", b'"\x01"', b"1 2", b"\xef\xbb\xbf[]"),
    ],
)
def test_what_is_no_json_is_embedded_as_the_text_that_it_is(content: bytes) -> None:
    made = envelope(head(JSON), content)
    assert made is not None
    assert json.loads(made) == {"status_code": 200, "body": content.decode()}


def test_what_is_nested_too_deep_goes_raw() -> None:
    assert envelope(head(JSON), b"[" * 100_000) is None


def test_a_number_keeps_all_its_digits() -> None:
    digits = b"[%b, 1.000000000000000000000000001, -0, 1e400]" % (b"9" * 5000)
    assert envelope(head(JSON), digits) == b'{"status_code": 200, "body": %b}' % digits


@pytest.mark.parametrize("content", [b'"\\ud800"', b'{"\\udc00": "\\ud83d\\ude00"}'])
def test_a_lone_surrogate_that_is_written_as_an_escape_stays_one(content: bytes) -> None:
    assert envelope(head(JSON), content) == b'{"status_code": 200, "body": %b}' % content


@pytest.mark.parametrize("content", [b"\xed\xa0\x80", b"\xed\xb3\xbf"])
def test_a_lone_surrogate_in_bytes_is_no_text(content: bytes) -> None:
    assert envelope(head(b"text/plain"), content) is None


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        (b"utf-8", b"\xc3\xa9", "é"),
        (b"UTF8", b"\xc3\xa9", "é"),
        (b'"utf-8"', b"\xc3\xa9", "é"),
        (b"us-ascii", b"e", "e"),
        (b"ASCII", b"\xe9", None),
        (b"iso-8859-1", b"\xe9\x80", "é\x80"),
        (b"windows-1252", b"\xe9\x80", "é€"),
        (b"Windows-1252", b"\x81", None),
        (b"utf-16", b"\xff\xfee\x00", "e"),
        (b"UTF-16", b"\xfe\xff\x00e", "e"),
        (b"utf-16", b"\xff\xfe\x00\xd8", None),
        (b"utf-16", b"\xff\xfee", None),
        # Anything else goes raw: these took seconds, or ended in a traceback, or are no charsets at all.
        *(
            (charset, b"a-b", None)
            for charset in (b"punycode", b"idna", b"undefined", b"utf-7", b"latin-1", b"hex")
        ),
        *(
            (charset, b"a-b", None)
            for charset in (b"", b"unicode_escape", b"zlib", b"x" * 500, b"\xff", b"utf_8")
        ),
    ],
)
def test_text_is_read_by_the_charsets_that_are_in_use(
    charset: bytes, content: bytes, text: str | None
) -> None:
    made = envelope(head(b"text/plain; a=b; Charset=" + charset), content)
    assert (made is None) if text is None else (made is not None and json.loads(made)["body"] == text)


def test_json_of_another_charset_is_embedded_as_utf_8() -> None:
    made = envelope(head(JSON + b"; charset=iso-8859-1"), b'{"\xe9": 1}')
    assert made == '{"status_code": 200, "body": {"é": 1}}'.encode()


media_types = st.sampled_from(
    [JSON, b"text/plain", b"a/b+json", b"text/x; charset=iso-8859-1", b"text/x;charset=utf-16"]
)
pieces = st.lists(st.sampled_from([*'[]{},:"\\u0d8e9-.aN \n', "é", "\ud800", "null", "1"]), max_size=12)


@given(media_type=media_types, pieces=pieces)
@example(JSON, ['"', "\ud800", '"'])
def test_an_envelope_is_json_whatever_it_is_made_of(media_type: bytes, pieces: list[str]) -> None:
    content = "".join(pieces).encode("utf-8", "surrogatepass")
    made = envelope(head(media_type, status=404), content)
    if made is not None:
        read = json.loads(made)
        assert list(read) == ["status_code", "body"]
        assert read["status_code"] == 404


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Type: image/png",),
        (b"Content-Type: text/event-stream; charset=utf-8",),
        (b"Content-Type: application/jsonx",),
        (b"Content-Type: text",),
        (b"Content-Type: text/plain", b"Content-Type: text/plain"),
        (b"A: b",),
        (b"Content-Type: text/plain", b"Content-Encoding: gzip"),
        (b"Content-Type: text/plain", b"Content-Length: %d" % (MOST_BYTES + 1)),
    ],
)
def test_anything_else_goes_raw(lines: tuple[bytes, ...]) -> None:
    raw = parse_response_head(b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b"")), b"GET")
    assert not may_be_enveloped(raw, b"GET")


@pytest.mark.parametrize(("status", "method"), [(204, b"GET"), (206, b"GET"), (304, b"GET"), (200, b"HEAD")])
def test_what_has_no_content_or_a_part_of_it_goes_raw(status: int, method: bytes) -> None:
    assert not may_be_enveloped(head(b"text/plain", status=status), method)


def test_what_speaks_of_the_backends_bytes_does_not_stand_on_an_envelope() -> None:
    gone = [
        *(
            b"Content-MD5",
            b"Content-Digest",
            b"Repr-Digest",
            b"Digest",
            b"ETag",
            b"Accept-Ranges",
            b"Trailer",
        ),
        *(b"content-type", b"CONTENT-LENGTH", b"Transfer-Encoding"),
    ]
    kept = ((b"Last-Modified", b"a"), (b"Content-Language", b"b"), (b"Set-Cookie", b"c"))
    fields = enveloped_fields((kept[0], *((name, b"x") for name in gone), *kept[1:]), 7)
    assert fields == (*kept, (b"Content-Type", JSON), (b"Content-Length", b"7"))


def begun(*lines: bytes, to: Request | None = None) -> Envelope:
    asked = to or request()
    made = envelope_of(asked, response(b"HTTP/1.1 201 Made", *lines, to=asked))
    assert isinstance(made, Envelope)
    return made


def test_an_envelope_goes_out_as_the_whole_response() -> None:
    held = begun(b"A: b", b"ETag: x", b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    assert not held.is_too_large(b'{"a"')
    assert not held.is_too_large(b": 1}")
    whole, content = held.enveloped()
    assert content == b'{"status_code": 201, "body": {"a": 1}}'
    assert (whole.status, whole.framing) == (201, len(content))
    assert whole.onward.startswith(b"HTTP/1.1 201 Made\r\n")
    assert fields_of(whole.onward) == (
        *((b"A", b"b"), (b"Content-Type", JSON), (b"Content-Length", b"38")),
        *((b"Via", b"1.1 rgate"), (b"X-Request-ID", b"id0")),
    )


def test_what_turns_out_to_be_no_text_goes_out_as_it_came() -> None:
    asked = request()
    came = response(b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"ETag: x", to=asked)
    held = envelope_of(asked, came)
    assert isinstance(held, Envelope)
    assert came.framing is UNTIL_CLOSE
    held.is_too_large(b"\xff")
    assert held.enveloped() == held.raw() == (came, b"\xff")


def test_an_envelope_holds_a_mebibyte() -> None:
    held = begun(b"Content-Type: text/plain", b"Content-Length: %d" % MOST_BYTES)
    assert not held.is_too_large(b"a" * MOST_BYTES)
    assert held.enveloped()[1].endswith(b'a"}')
    assert held.is_too_large(b"b")
    assert held.enveloped() == held.raw()
    assert held.raw()[1] == b"a" * MOST_BYTES + b"b"


def test_an_answer_to_head_says_nothing_of_what_an_envelope_would_replace() -> None:
    asked = request(b"HEAD / HTTP/1.1")
    came = response(
        b"HTTP/1.1 200 OK", b"A: b", b"Content-Length: 3", b"ETag: x", b"Content-Type: a/b", to=asked
    )
    onward = envelope_of(asked, came)
    assert isinstance(onward, Response)
    assert [name for name, _ in fields_of(onward.onward)] == [b"A", b"Content-Type", b"Via", b"X-Request-ID"]
    assert onward._replace(onward=came.onward) == came
