"""Ordinary heads: those that go on as they came, but for a line or two. Most are, and one compiled
pattern tells so in a microsecond; all others take the general way (`message.py`, `fields.py`).

The patterns are stricter than the general way and never more lenient. That both ways make the same
message of every ordinary head is held by tests/unit/test_ordinary.py.
"""

import re
from functools import cache
from typing import Final

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"


def _ordinary_line(unusual_names: bytes, harmless_initials: bytes) -> bytes:
    """Return the pattern of a field line that goes on as it is.

    *harmless_initials*: no unusual name begins with one of these, so nothing more is looked at.
    """
    harmless = rb"[%b]%b*+" % (harmless_initials, _TCHAR)
    other = rb"(?!(?i:%b))%b++" % (unusual_names, _TCHAR)
    return rb"(?:%b|%b):%b\r\n" % (harmless, other, _VALUE)


def _once(group: int, pattern: bytes) -> bytes:
    """Return *pattern*, in which group number *group* is; it matches once only."""
    return rb"(?(%d)(?!)|%b)" % (group, pattern)


_HOST = rb"[Hh]ost: (?P<host>[A-Za-z0-9\-._~]++(?::[0-9]++)?+)\r\n"
_KEEP_ALIVE = rb"(?P<kept>[Cc]onnection: [Kk]eep-[Aa]live\r\n(?:[Kk]eep-[Aa]live:%b\r\n)?+)" % _VALUE
_REQUEST_ID = rb"[Xx]-[Rr]equest-[Ii][Dd]: (?P<id>[\x21-\x7e]{1,128}+)\r\n"
_FORWARDED_NAME = rb"(?i:x-forwarded-(?:for|proto|host|port):)"
_FORWARDED = rb"(?P<forwarded>%b)%b\r\n" % (_FORWARDED_NAME, _VALUE)
_CHUNKED = rb"(?P<chunked>[Tt]ransfer-[Ee]ncoding: chunked\r\n)"
_LENGTH = rb"[Cc]ontent-[Ll]ength: (?P<length>[0-9]{1,15}+)\r\n"

# A path without dot segments (behaviour 3). Those begin with a dot or `%2e`: only there one is looked for.
_PLAIN = rb"[\x21\x22\x24\x26-\x2d\x2f-\x3e\x40-\x7e\x80-\xff]*+"
_DOT_SEGMENT = rb"(?<=/)(?:\.|%2[eE]){1,2}[/? ]"
_PATH = rb"(?P<path>/%b(?:(?!%b)[.%%]%b)*+)" % (_PLAIN, _DOT_SEGMENT, _PLAIN)

_REQUEST_LINES: Final = _ordinary_line(
    _FORWARDED_NAME
    + rb"|x-request-id:|connection:|content-length:|expect:|host:|keep-alive:|proxy-"
    + rb"|te:|transfer-encoding:|upgrade:",
    rb"ABDFGIJLMNOQRSVWYZabdfgijlmnoqrsvwyz",
) + b"|".join(
    (b"", _once(3, _HOST), _once(4, _KEEP_ALIVE), _once(5, _LENGTH), _once(6, _REQUEST_ID), _FORWARDED)
)

_RESPONSE_LINES: Final = _ordinary_line(
    rb"x-(?:request-id:|rgate-reason:)|connection:|content-length:|keep-alive:|proxy-"
    rb"|te:|transfer-encoding:|upgrade:",
    rb"ABDEFGHIJLMNOQRSVWYZabdefghijlmnoqrsvwyz",
) + b"|".join((b"", _once(3, _KEEP_ALIVE), _once(4, _LENGTH), _once(5, _CHUNKED)))


_FORWARDED_LINE: Final = re.compile(rb"(?<=\n)%b[^\n]*+\n" % _FORWARDED_NAME)


def without_forwarded(head: bytes) -> bytes:
    """Return *head* without the fields that tell of earlier hops, and are taken of trusted peers only."""
    return _FORWARDED_LINE.sub(b"", head)


@cache
def ordinary_request(most_fields: int) -> re.Pattern[bytes]:
    """Return the pattern of requests with at most *most_fields* fields.

    Groups: 1 method, 2 path, 3 host, 4 kept (lines that do not go on), 5 length, 6 id (the request's own),
    7 forwarded (there are lines for `without_forwarded`). Host has to be there.
    """
    return re.compile(
        # No HEAD: that its response has no content is not told by the response.
        rb"(?P<method>GET|POST|PUT|PATCH|DELETE|OPTIONS) "
        + _PATH
        + rb"(?:\?[\x21\x22\x24-\x7e\x80-\xff]*+)?+ HTTP/1\.1\r\n"
        rb"(?:%b){0,%d}+\r\n" % (_REQUEST_LINES, most_fields)
    )


@cache
def ordinary_response(most_fields: int) -> re.Pattern[bytes]:
    """Return the pattern of responses with at most *most_fields* fields.

    Groups: 1 status, 2 empty (the same, of those that have no content), 3 kept (lines that do not go on),
    4 length, 5 chunked (a line). Exactly one of empty, length and chunked has to be there, but that an
    empty one may have a length.
    """
    return re.compile(
        rb"HTTP/1\.1 (?P<status>(?P<empty>204|304)|[2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?+\r\n"
        rb"(?:%b){0,%d}+\r\n" % (_RESPONSE_LINES, most_fields)
    )
