"""The patterns of ordinary heads: those that go on as they came, but for a line or two. Most are, and a
pattern checks them in a microsecond; all others are read thoroughly (`message.py`, `fields.py`).

The patterns are stricter than the thorough way and never more lenient. That both make the same value of every
ordinary head is held by tests/unit/test_ordinary.py.
"""

import re
from functools import cache
from typing import Final

from rgate.core.grammar import DOT_SEGMENT, REQUEST_ID, SEGMENT_END, TARGET_CHARACTER, TCHAR, VALUE


def _plain_line(unusual_names: bytes, harmless_initials: bytes) -> tuple[bytes, bytes]:
    """Return two patterns of field lines that go on as they are: of most, and of all.

    *harmless_initials*: no unusual name begins with one of these, so nothing more is looked at.
    """
    harmless = rb"[%b]%b*+:%b\r\n" % (harmless_initials, TCHAR, VALUE)
    other = rb"(?!(?i:%b))%b++:%b\r\n" % (unusual_names, TCHAR, VALUE)
    return harmless, other


def _once(group: int) -> bytes:
    """Return what fails where group number *group* matched before: its line may come once only.

    Asked behind the name, as what begins with a letter is told from most other lines by that alone.
    """
    return rb"(?(%d)(?!))" % group


def _connection(group: int) -> bytes:
    """Return the pattern of lines that do not go on, and tell whether the connection does."""
    kept = (
        rb"[Cc]onnection: (?:[Kk]eep-[Aa]live|(?P<close>[Cc]lose))\r\n(?:[Kk]eep-[Aa]live:%b\r\n)?+" % VALUE
    )
    return rb"(?(%d)(?!)|(?P<connection>%b))" % (group, kept)


def _length(group: int) -> bytes:
    return rb"[Cc]ontent-[Ll]ength: %b(?P<length>[0-9]{1,15}+)\r\n" % _once(group)


def _chunked(group: int) -> bytes:
    return rb"[Tt]ransfer-[Ee]ncoding: %b(?P<chunked>chunked)\r\n" % _once(group)


# What tells of earlier hops, and what a CGI or WSGI application takes for it.
_FORWARDED_NAME = rb"(?i:x[-_]forwarded[-_]%b*+|x[-_]real[-_]ip|forwarded):" % TCHAR
_FORWARDED_LINE: Final = re.compile(rb"^%b[^\n]*+\n" % _FORWARDED_NAME, re.MULTILINE)

# A path without dot segments (behaviour 3). Those begin with a dot or `%2e`: only there one is looked for.
_PLAIN = rb"[\x21\x22\x24\x26-\x2d\x2f-\x3e\x40-\x7e\x80-\xff]*+"
_PATH = rb"(?P<path>/%b(?:(?!%b(?:[? ]|%b))[.%%]%b)*+)" % (_PLAIN, DOT_SEGMENT, SEGMENT_END, _PLAIN)

REQUEST_LINE: Final = re.compile(
    rb"(?P<method>GET|POST|PUT|PATCH|DELETE|OPTIONS|HEAD) %b(?:\?%b*+)?+ HTTP/1\.1\r\n"
    % (_PATH, TARGET_CHARACTER)
)
"""Groups: 1 method, 2 path."""

# Of all requests; groups 1 to 6. The names that begin as unusual ones do, and are in most requests, stand
# first.
_REQUEST_LINES = (
    rb"[Hh]ost: %b(?P<host>[A-Za-z0-9\-._~]++(?::[0-9]++)?+)\r\n" % _once(1),
    rb"(?:User-Agent|Upgrade-Insecure-Requests|Cookie|Content-Type|Cache-Control):%b\r\n" % VALUE,
    *_plain_line(
        rb"x[-_](?:forwarded[-_]|real[-_]ip:|request[-_]id:)|forwarded:|connection:|content-length:|expect:"
        rb"|host:|http2-settings:|keep-alive:|proxy[-:]|te:|transfer-encoding:|upgrade:",
        rb"ABDGIJLMNOQRSVWYZabdgijlmnoqrsvwyz",
    ),
    _connection(2),
    _length(4),
    rb"[Xx]-[Rr]equest-[Ii][Dd]: %b(?P<identity>%b)\r\n" % (_once(5), REQUEST_ID),
    _chunked(6),
)
_FORWARDED = rb"(?P<forwarded>%b)%b\r\n" % (_FORWARDED_NAME, VALUE)
# Of a trusted peer: each once, in its usual spelling, and without what only thorough reading tells apart.
_FROM_A_PROXY = (
    rb"X-Forwarded-For: %b(?P<for>[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\r\n" % _once(7),
    rb"X-Forwarded-Proto:%b(?P<proto>)%b\r\n" % (_once(8), VALUE),
    rb"X-Forwarded-Host:%b(?P<forwarded_host>)%b\r\n" % (_once(9), VALUE),
    rb"X-Forwarded-Port:%b(?P<port>)%b\r\n" % (_once(10), VALUE),
)
_RESPONSE_LINES: Final = (
    rb"C(?:ontent-(?:Type|Encoding)|ache-Control):%b\r\n" % VALUE,
    *_plain_line(
        rb"x-(?:request-id:|rgate-reason:)|connection:|content-length:|keep-alive:|proxy-"
        rb"|te:|transfer-encoding:|upgrade:",
        rb"ABDEFGHIJLMNOQRSVWYZabdefghijlmnoqrsvwyz",
    ),
    _length(3),
    _connection(4),
    _chunked(6),
)


def _lines(kinds: tuple[bytes, ...], most_fields: int) -> bytes:
    """Return the pattern of at most *most_fields* lines of *kinds*, and the empty one."""
    return rb"(?:%b){0,%d}+\r\n" % (b"|".join(kinds), most_fields)


@cache
def strangers_lines(most_fields: int) -> re.Pattern[bytes]:
    """Return the pattern of a request's lines: at most *most_fields* fields.

    Groups: 1 host, 2 connection (lines that do not go on), 3 close, 4 length, 5 identity, 6 chunked,
    7 forwarded (there are lines for `without_forwarded`).
    """
    return re.compile(_lines((*_REQUEST_LINES, _FORWARDED), most_fields))


@cache
def proxied_lines(most_fields: int) -> re.Pattern[bytes]:
    """Return the pattern of the lines of a trusted peer's request.

    Groups: 1 to 6 as above, 7 for, 8 proto, 9 forwarded_host, 10 port (the last three empty, where they are
    there).
    """
    return re.compile(_lines((*_REQUEST_LINES, *_FROM_A_PROXY), most_fields))


@cache
def response(most_fields: int) -> re.Pattern[bytes]:
    """Return the pattern of a response's head.

    Groups: 1 status, 2 empty (the same, of those that have no content), 3 length, 4 connection (lines that do
    not go on), 5 close, 6 chunked.
    """
    line = rb"HTTP/1\.1 (?P<status>(?P<empty>204|304)|[2-5][0-9]{2})(?: %b)?+\r\n" % VALUE
    return re.compile(line + _lines(_RESPONSE_LINES, most_fields))


def without_forwarded(lines: bytes) -> bytes:
    """Return *lines* without those that tell of earlier hops: no stranger is believed."""
    return _FORWARDED_LINE.sub(b"", lines)
