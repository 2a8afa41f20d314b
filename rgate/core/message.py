"""HTTP/1.1 message heads: bytes in, values or a refusal out (RFC 9112 2 to 6).

Everything that makes a message's framing certain is decided here, for requests and for responses.
What is in doubt is refused, never guessed: two recipients that read one message differently are
how requests are smuggled. This module knows neither sockets nor which engine asks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.grammar import DIGITS, HOST, LENIENT_VALUE, TARGET_CHARACTER, TCHAR, TOKEN, VALUE
from rgate.core.reasons import Failure, Reason

Fields = tuple[tuple[bytes, bytes], ...]
"""Field names and values, in order, as spelt on the wire, without white space around values."""

Named = Mapping[bytes, tuple[bytes, ...]]
"""The values of fields by their names in lower case, in order: made once a head, and asked often."""


class Chunked(Enum):
    """The content is framed by chunks; its length is not known beforehand (RFC 9112 7.1)."""

    CHUNKED = "chunked"


class UntilClose(Enum):
    """The content ends with the connection; responses only (RFC 9112 6.3, case 8)."""

    UNTIL_CLOSE = "until close"


CHUNKED: Final = Chunked.CHUNKED
UNTIL_CLOSE: Final = UntilClose.UNTIL_CLOSE

RequestFraming = int | Chunked
"""The content's length in bytes (0: there is none), or chunks."""

ResponseFraming = int | Chunked | UntilClose


class Refused(Exception):
    """A client's message that rgate does not accept. The connection is closed after the answer."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BadResponse(Exception):
    """An upstream's message that is no HTTP response, or whose framing is in doubt.

    *failure* tells what the attempt came to: NOISE where these bytes were never meant for the request.
    """

    def __init__(self, detail: str, failure: Failure = Failure.BAD_RESPONSE) -> None:
        super().__init__(detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's head, checked. *path* and *query* are parts of *target*, byte for byte.

    *path* is `*` for `OPTIONS *` and empty for CONNECT; *query* begins with its `?` or is empty.
    """

    method: bytes
    target: bytes
    minor_version: int  # 0 or 1
    path: bytes
    query: bytes
    fields: Fields
    named: Named
    framing: RequestFraming
    connection_options: frozenset[bytes]  # lower case
    host: bytes  # the authority of an absolute-form target, else the Host field; b"" where neither is

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Return the values of all fields called *name* (lower case), in order."""
        return self.named.get(name, ())

    @property
    def keep_alive(self) -> bool:
        """Whether the client means to send another request on this connection (RFC 9112 9.3)."""
        if b"close" in self.connection_options:
            return False
        return self.minor_version >= 1 or b"keep-alive" in self.connection_options

    @property
    def offered(self) -> tuple[bytes, ...]:
        """The protocols that the client offers to switch to, but for those that would open a way past
        routes and counts: HTTP/2 without TLS, and TLS itself (RFC 9113 3.1).
        """
        if self.minor_version < 1 or b"upgrade" not in self.connection_options:
            return ()
        return tuple(one for one in list_items(self.values(b"upgrade")) if not _HIDING.fullmatch(one))

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends its content (RFC 9110 10.1.1)."""
        if self.minor_version < 1 or self.framing == 0:
            return False
        return any(value.lower() == b"100-continue" for value in self.values(b"expect"))


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response's head, checked against the request that it answers."""

    status: int
    phrase: bytes  # the reason phrase, as sent
    minor_version: int
    fields: Fields
    named: Named
    length: int | None  # of Content-Length
    framing: ResponseFraming
    connection_options: frozenset[bytes]  # lower case

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Return the values of all fields called *name* (lower case), in order."""
        return self.named.get(name, ())

    @property
    def keep_alive(self) -> bool:
        """Whether the upstream's connection may serve another request."""
        if self.framing is UNTIL_CLOSE or b"close" in self.connection_options:
            return False
        return self.minor_version >= 1 or b"keep-alive" in self.connection_options

    @property
    def announces_what_it_may_not_have(self) -> bool:
        """Whether a careless upstream may send content behind it although there is none (HEAD, 204, 304)."""
        return self.framing == 0 and bool(self.length or self.values(b"transfer-encoding"))

    @property
    def is_interim(self) -> bool:
        """Whether another head follows this one (RFC 9110 15.2); 101 is final for HTTP."""
        return 100 <= self.status < 200 and self.status != 101


_NO_OPTIONS: Final = frozenset[bytes]()
_HIDING = re.compile(rb"h2c|tls(?:/.*)?", re.IGNORECASE | re.DOTALL)
_METHOD = re.compile(TOKEN)
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (" + TARGET_CHARACTER + rb"++) HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: (" + VALUE + rb"))?+")
_FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):(" + VALUE + rb")\r\n")
# Lines of responses may end with a bare line feed (RFC 9112 2.2): who reads them so reads nothing
# differently.
_LENIENT_LINE = re.compile(rb"(" + TOKEN + rb"):(" + LENIENT_VALUE + rb")\r?\n")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?@]+)(/[^?]*)?(\?.*)?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(HOST)
_NAME = re.compile(TCHAR + rb"+")
# A line feed that no carriage return precedes ends a line for lenient recipients only.
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")


def values_by_name(fields: Fields) -> Named:
    """Return the values of all *fields*, by their names in lower case."""
    named: dict[bytes, tuple[bytes, ...]] = {}
    for field, value in fields:
        name = field.lower()
        named[name] = (*named[name], value) if name in named else (value,)
    return named


def list_items(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the items of a comma-separated list field with *values*, without blanks and empty items."""
    items = (item.strip(b" \t") for value in values for item in value.split(b","))
    return tuple(item for item in items if item)


def refuse_hopeless_head(received: bytes, start: int, end: int, looked_at: int) -> None:
    """Raise Refused where `received[start:end]` can never become a good request head, however it goes on.

    For heads that are not complete: whoever waits for the end of one that has none waits until the
    time is over, and the client would be told of a time-out and not of its mistake. What lies before
    *looked_at* was seen before: a head that comes byte by byte is not read anew each time.
    """
    if (
        looked_at == start < end
        and not _METHOD.match(received, start)
        and received[start : start + 1] != b"\r"
    ):
        raise Refused(Reason.BAD_REQUEST, "The request line does not begin with a method.")
    if _BARE_LF.search(received, max(looked_at - 1, start), end):
        raise Refused(Reason.BAD_REQUEST, "A line ends with a bare line feed; lines end with CR LF.")


def parse_request_head(head: bytes, *, most_fields: int = 100) -> RequestHead:
    """Return the request that *head* means: all bytes up to and with the empty line.

    Raises Refused, with the reason, where the head is malformed or in doubt.
    """
    line, _, rest = head.partition(b"\r\n")
    method, target, minor = _request_line(line)
    fields = parse_fields(rest, most_fields=most_fields)
    named = values_by_name(fields)
    authority, path, query = _split_target(method, target)
    return RequestHead(
        method=method,
        target=target,
        minor_version=minor,
        path=path,
        query=query,
        fields=fields,
        named=named,
        framing=_request_framing(named, minor),
        connection_options=_connection_options(named),
        host=_host(named, minor, authority),
    )


def _request_line(line: bytes) -> tuple[bytes, bytes, int]:
    matched = _REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise Refused(Reason.BAD_REQUEST, "The request line is not `method target HTTP/1.1`.")
    method, target, major, minor = matched.groups()
    if major != b"1":
        raise Refused(Reason.VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    return method, target, min(int(minor), 1)


def parse_fields(block: bytes, *, most_fields: int, lenient: bool = False) -> Fields:
    """Return the field lines of *block*, which ends with the empty line. Raises Refused.

    *lenient*: of a response, where a bare line feed ends a line and a value may hold control characters.
    """
    line = _LENIENT_LINE if lenient else _FIELD_LINE
    fields = []
    position = 0
    while matched := line.match(block, position):
        fields.append((matched[1], matched[2].strip(b" \t")))
        position = matched.end()
    if block[position:] not in ((b"\r\n", b"\n") if lenient else (b"\r\n",)):
        raise Refused(Reason.BAD_REQUEST, _wrong_line(block[position:]))
    if len(fields) > most_fields:
        raise Refused(Reason.FIELDS_TOO_LARGE, f"More than {most_fields} fields.")
    return tuple(fields)


def _wrong_line(rest: bytes) -> str:
    """Return what is wrong with the line that *rest* begins with."""
    line = rest.partition(b"\r\n")[0]
    if line[:1] in (b" ", b"\t"):
        return "A field line begins with white space: folded lines are not accepted."
    if _BARE_LF.search(line) or _BARE_CR.search(line):
        return "A line ends with a bare CR or LF; lines end with CR LF."
    name, colon, _ = line.partition(b":")
    if not colon:
        return "A field line has no colon."
    if _NAME.fullmatch(name) is None:
        return "A field name is empty or holds a character that is not allowed, such as a space."
    return "A field value holds a control character."


def _split_target(method: bytes, target: bytes) -> tuple[bytes | None, bytes, bytes]:
    """Return (authority of an absolute-form target, path, query) (RFC 9112 3.2)."""
    if method == b"CONNECT":
        return None, b"", b""
    if target.startswith(b"/"):
        path, mark, query = target.partition(b"?")
        return None, path, mark + query
    if target == b"*" and method == b"OPTIONS":
        return None, target, b""
    matched = _ABSOLUTE_FORM.fullmatch(target)
    if matched is None:
        raise Refused(Reason.BAD_REQUEST, "The request target is neither a path nor an http URL.")
    return matched[1], matched[2] or b"/", matched[3] or b""


def _host(named: Named, minor: int, authority: bytes | None) -> bytes:
    hosts = named.get(b"host", ())
    if len(hosts) > 1:
        raise Refused(Reason.BAD_REQUEST, "More than one Host field.")
    if not hosts and minor >= 1:
        raise Refused(Reason.BAD_REQUEST, "No Host field.")
    # An absolute-form target says whom it means; a Host field beside it is ignored (RFC 9112 3.2.2).
    for host in (*hosts, *([authority] if authority is not None else [])):
        if _HOST.fullmatch(host) is None:
            raise Refused(Reason.BAD_REQUEST, "The host is not a host name or address with an optional port.")
    if authority is not None:
        return authority
    return hosts[0] if hosts else b""


def _request_framing(named: Named, minor: int) -> RequestFraming:
    codings = named.get(b"transfer-encoding", ())
    lengths = named.get(b"content-length", ())
    if codings:
        if lengths:
            raise Refused(Reason.BAD_REQUEST, "Both Content-Length and Transfer-Encoding.")
        if minor < 1:
            raise Refused(Reason.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Refused(Reason.BAD_REQUEST, "The only transfer coding known here is `chunked`.")
        return CHUNKED
    if not lengths:
        return 0
    if len(lengths) > 1 or DIGITS.fullmatch(lengths[0]) is None:
        raise Refused(Reason.BAD_REQUEST, "Content-Length is not one whole number.")
    return int(lengths[0])


def _connection_options(named: Named) -> frozenset[bytes]:
    found = named.get(b"connection")
    return frozenset(option.lower() for option in list_items(found)) if found else _NO_OPTIONS


def parse_response_head(head: bytes, request_method: bytes, *, most_fields: int = 100) -> ResponseHead:
    """Return the response that *head* means: all bytes up to and with the empty line.

    Raises BadResponse where the head is malformed or its framing is in doubt (RFC 9112 6.3).
    """
    line, _, rest = head.partition(b"\n")
    matched = _STATUS_LINE.fullmatch(line.removesuffix(b"\r"))
    if matched is None or matched[1] != b"1":
        raise BadResponse("the first line is not `HTTP/1.1 status phrase`")
    status, minor = int(matched[3]), min(int(matched[2]), 1)
    try:
        fields = parse_fields(rest, most_fields=most_fields, lenient=True)
    except Refused as refused:
        raise BadResponse(refused.detail) from refused
    named = values_by_name(fields)
    length = _response_length(named)
    return ResponseHead(
        status=status,
        phrase=matched[4] or b"",
        minor_version=minor,
        fields=fields,
        named=named,
        length=length,
        framing=_response_framing(named, length, minor, status, request_method),
        connection_options=_connection_options(named),
    )


def _response_length(named: Named) -> int | None:
    """Return what Content-Length says. Said twice with the very same digits it is one (RFC 9110 8.6)."""
    lengths = {one for value in named.get(b"content-length", ()) for one in value.split(b",")}
    digits = {length.strip(b" \t") for length in lengths}
    if not digits:
        return None
    if len(digits) > 1 or DIGITS.fullmatch(one := digits.pop()) is None:
        raise BadResponse("Content-Length is not one whole number")
    return int(one)


def _response_framing(
    named: Named, length: int | None, minor: int, status: int, request_method: bytes
) -> ResponseFraming:
    codings = named.get(b"transfer-encoding", ())
    if codings and length is not None:
        raise BadResponse("both Content-Length and Transfer-Encoding")
    if codings and (minor < 1 or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise BadResponse("the only transfer coding known here is `chunked`, in HTTP/1.1")
    if request_method == b"HEAD" or status < 200 or status in (204, 304):
        return 0
    if codings:
        return CHUNKED
    return UNTIL_CLOSE if length is None else length
