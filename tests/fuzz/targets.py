"""What is fuzzed: each target takes any bytes, and raises where something that always holds does not.

The first bytes choose who asks and how the rest is cut, so that one corpus serves all ways of reading.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from rgate.core.accept import prefers_html
from rgate.core.address import HostView
from rgate.core.admission import is_ours
from rgate.core.asked import BadQuestion, split_url
from rgate.core.asked_query import asked_in
from rgate.core.case_file import parse_cases
from rgate.core.cases import Expected
from rgate.core.config import Backend, Config, Limits, Match, Route
from rgate.core.config_document import document_of, text_of
from rgate.core.config_errors import ConfigErrors
from rgate.core.config_file import parse_config, parse_document
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.content import Chunks, chunk, last_chunk
from rgate.core.envelope import envelope
from rgate.core.explain import explain
from rgate.core.fields import HOP_BY_HOP
from rgate.core.gateway import Gateway
from rgate.core.grammar import has_dot_segment
from rgate.core.message import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponse,
    Fields,
    Refused,
    parse_request_head,
    parse_response_head,
)
from rgate.core.onward import Interim, Request, response_of
from rgate.core.query import BadQuery
from rgate.core.reading import Reading, RequestReader, ResponseReader
from rgate.core.recording import read, written
from rgate.core.routing import Router
from rgate.core.selection import view_of, views_of
from rgate.core.stats_query import parse_stats_query
from rgate.core.story_query import StoryQuery, parse_story_query
from rgate.core.traceparent import format_traceparent, parse_traceparent
from rgate.core.windows import parse_series_query, parse_window
from tests.unit.both_ways import (
    made_id,
    quickly,
    read_requests,
    read_responses,
    same_but_for_blanks,
    same_responses,
    thoroughly,
)
from tests.unit.containers import seen
from tests.unit.messages import PROXY, READING, STRANGER, TUNNEL_LESS, request
from tests.unit.second_parser import (
    our_request,
    our_response,
    their_request,
    their_response,
    ways_of_forgiveness,
    ways_of_forgiveness_in_responses,
)

LONGEST: Final = 4096
"""Bytes of one input: what is longer finds no more, and takes longer."""

_SMALL = Reading(Limits(header_bytes=256, header_fields=4), upgrading=True)
_READINGS: Final = (READING, TUNNEL_LESS, _SMALL)
_CLIENTS: Final = (STRANGER, PROXY)
_ASKED: Final = (
    request(b"GET /a HTTP/1.1"),
    request(b"HEAD /a HTTP/1.1"),
    request(b"GET /a HTTP/1.0"),
    request(b"GET /a HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket"),
)
_ONE_HOP: Final = HOP_BY_HOP - {b"transfer-encoding", b"connection", b"upgrade", b"te"}


def _pieces(raw: bytes, width: int) -> list[bytes]:
    """Return *raw* in pieces of so many bytes; 0: whole."""
    return [raw[at : at + width] for at in range(0, len(raw), width)] if width else [raw] * bool(raw)


def requests(data: bytes) -> None:
    """A connection's requests: cut or whole, quick or thorough, they mean the same; what goes on is that."""
    if len(data) < 2:
        return
    client, reading = _CLIENTS[data[0] % 2], _READINGS[data[0] // 2 % 3]
    raw = data[2:]
    if reading is not _SMALL:  # how a head that is too large is told of depends on what came of it
        assert read_requests(_pieces(raw, data[1] % 16), client, reading) == read_requests(
            _pieces(raw, 0), client, reading
        )
    try:
        read = RequestReader().read(raw, reading, client, made_id)
    except Refused as refused:
        assert refused.detail.isprintable()
        assert quickly(raw, client, reading) is None
        return
    quick = quickly(raw, client, reading)
    if read is None:
        assert quick is None
        return
    if quick is not None:
        alone = raw[: quick.end]
        again = quickly(alone, client, reading)
        assert again is not None
        assert same_but_for_blanks(again, thoroughly(alone, client, reading))
    assert read.end - read.start <= reading.most_bytes
    _goes_on_as_it_came(read)


def _goes_on_as_it_came(read: Request) -> None:
    """What goes to a container is one good head that says the same, and nothing of one hop alone."""
    if read.manner.refusal is not None:
        return
    onward = (
        read.onward if read.manner.has_host_field else read.onward.replace(b"\r\n", b"\r\nHost: h\r\n", 1)
    )
    head = parse_request_head(onward, most_fields=1000)
    came = read.head()
    assert (head.method, head.path, head.query) == (came.method, came.path, came.query)
    assert head.framing == came.framing == read.framing
    assert not head.named.keys() & _ONE_HOP
    assert head.values(b"x-request-id") == (read.identity,)
    assert onward.count(b"\r\n\r\n") == 1
    assert head.minor_version == 1
    if came.host:
        assert head.host == came.host == read.host
    assert head.expects_continue == came.expects_continue


def responses(data: bytes) -> None:
    """A container's responses: as requests, but for the request that they answer."""
    if len(data) < 2:
        return
    asked, reused, raw = _ASKED[data[0] % 4], bool(data[0] & 4), data[2:]
    reading = READING if data[0] & 8 else TUNNEL_LESS
    assert read_responses(
        _pieces(raw, data[1] % 16), asked, reused=reused, ends=True, reading=reading
    ) == read_responses(_pieces(raw, 0), asked, reused=reused, ends=True, reading=reading)
    reader = ResponseReader()
    try:
        found = reader.read(raw, reading, asked, reused=reused)
        while isinstance(found, Interim):
            _is_one_head(found.message or b"HTTP/1.1 103 E\r\n\r\n", asked.method)
            found = reader.read(b"", reading, asked, reused=reused)
    except BadResponse as bad:
        assert str(bad).isprintable()
        return
    if found is None:
        return
    head = _is_one_head(found.onward, asked.method)
    came = found.head(asked.method)
    assert (head.status, head.phrase) == (came.status, came.phrase)
    assert head.values(b"x-request-id") == (asked.identity,)
    assert not head.values(b"x-rgate-reason")
    if head.framing != found.framing:  # framed anew: for a client that knows no chunks, or up to the end
        assert {head.framing, found.framing} <= {CHUNKED, UNTIL_CLOSE}
    if found.end == len(raw) - len(found.received) + found.end:  # it was the first
        _same_thoroughly(found.received, asked, reading)


def _is_one_head(head: bytes, method: bytes) -> Any:
    assert re.search(rb"\n\r?\n", head).end() == len(head)  # type: ignore[union-attr] # there is one
    return parse_response_head(head, method, most_fields=1000)


def _same_thoroughly(raw: bytes, asked: Request, reading: Reading) -> None:
    quick = ResponseReader()._quickly(raw, reading, asked)
    if quick is not None:
        parsed = parse_response_head(raw[: quick.end], asked.method)
        assert same_responses(quick, response_of(parsed, asked, raw, quick.end), asked.method)


def judged(data: bytes) -> None:
    """What is taken means the same to a second parser, but for what is known to be forgiven."""
    if not data:
        return
    raw = data[1:]
    head = re.split(rb"\r\n\r\n|\n\r?\n", raw, maxsplit=1)[0]
    if data[0] % 2:
        while raw.startswith(b"\r\n"):  # forgiven by us alone (RFC 9112 2.2)
            raw = raw[2:]
        ours = our_request(raw)
        assert (
            ours is None or ways_of_forgiveness(head) or _frames(ours.trailers) or ours == their_request(raw)
        )
    else:
        method = (b"GET", b"HEAD")[data[0] // 2 % 2]
        answered = our_response(raw, method)
        if answered is not None and answered.first[0] != 101 and not ways_of_forgiveness_in_responses(raw):
            assert _frames(answered.trailers) or answered == their_response(raw, method)


def _frames(trailers: Fields) -> bool:
    """Whether *trailers*, which go on without such, frame something: h11 reads them as if they did."""
    return any(name in (b"content-length", b"transfer-encoding", b"host") for name, _ in trailers)


def chunks(data: bytes) -> None:
    """Chunked content: cut or whole, strict or lenient it is the same, and written again it is read again."""
    if not data:
        return
    raw = data[1:]
    strict, lenient = (_content(_pieces(raw, 0), lenient=one) for one in (False, True))
    for one, is_lenient in ((strict, False), (lenient, True)):
        assert _content(_pieces(raw, data[0] % 16), lenient=is_lenient) == one
    if strict is None:
        return
    assert lenient == strict, "what is taken of a client means the same of a container"
    content, trailers, complete, rest = strict
    if complete:
        again = (chunk(content) if content else b"") + b"0\r\n"
        again += b"".join(b"%b:%b\r\n" % one for one in trailers) + b"\r\n"
        assert _content([again + rest], lenient=False) == strict
        _content([last_chunk(trailers)], lenient=False)
    assert len(content) <= len(raw)


def _content(pieces: Iterable[bytes], *, lenient: bool) -> tuple[bytes, Any, bool, bytes] | None:
    """Return the content, its trailers, whether it is whole, and what is behind it; None: refused."""
    reader, taken, rest = Chunks(lenient=lenient), b"", b""
    try:
        for piece in pieces:
            while piece and not reader.complete:
                got, end = reader.take(piece, 0)
                taken, piece = taken + got, piece[end:]
            rest += piece
    except Refused:
        return None
    return taken, reader.trailers, reader.complete, rest


def config(data: bytes) -> None:
    """A configuration: a value that its own document gives again, or errors that each fit in a line."""
    try:
        found = parse_config(data, "c.yml")
    except ConfigErrors as errors:
        _fit_in_lines(errors, data)
        return
    assert isinstance(found, Config)
    assert parse_config(text_of(document_of(found)), "c.yml") == found
    assert parse_document(document_of(found), "c") == found
    Router(found.routes).match(b"/", b"h")


_LINE_END: Final = re.compile(rb"\r\n|\n|\r|\xc2\x85|\xe2\x80[\xa8\xa9]")


def _fit_in_lines(errors: ConfigErrors, data: bytes) -> None:
    assert errors.errors
    for error in errors.errors:
        assert str(error).isprintable()
        str(error).encode()
        assert 0 <= error.line <= len(_LINE_END.findall(data)) + 1


def cases(data: bytes) -> None:
    """Routing cases: values of which each expects something, or errors that each fit in a line."""
    try:
        placed = parse_cases(data, "cases.yml")
    except ConfigErrors as errors:
        _fit_in_lines(errors, data)
        return
    for one in placed:
        assert one.case.expect != Expected()
        assert one.case.title
        explain(_GATEWAY, one.case.asked, ())


def recordings(data: bytes) -> None:
    """A snapshot: what is read is written, and read again it is the same; or errors."""
    try:
        found = read(data, "s.json")
    except ConfigErrors as errors:
        assert errors.errors
        assert all(str(error).isprintable() for error in errors.errors)
        return
    again = read(written(replace(found, taken=0.0)).encode(), "s.json")
    assert written(again) == written(replace(found, taken=0.0))
    backend = Backend("b", match_labels=(("app", "a"),))
    for one, other in zip(found.sources, again.sources, strict=True):
        assert one.left_out == other.left_out
        assert view_of(backend, seen(one.containers, one.host)) == view_of(
            backend, seen(other.containers, other.host)
        )


_QVALUE: Final = re.compile(rb"0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+")


def accept(data: bytes) -> None:
    """Accept: as a plain reading of RFC 9110 12.5.1 has it, where each weight is one or counts as 0."""
    weights: dict[bytes, float] = {}
    for item in data[:2048].lower().split(b","):
        name, *parameters = (part.strip() for part in item.split(b";"))
        given = next((one.partition(b"=")[2] for one in parameters if one.partition(b"=")[0] == b"q"), b"1")
        weights[name] = float(given) if _QVALUE.fullmatch(given) else 0.0

    def weight(*names: bytes) -> float:
        return next((weights[name] for name in names if name in weights), 0.0)

    html = weight(b"text/html", b"text/*", b"*/*")
    others = [weight(b"application/%b" % one, b"application/*", b"*/*") for one in (b"json", b"problem+json")]
    assert prefers_html(data) is (html > max(others))


def envelopes(data: bytes) -> None:
    """An envelope: JSON with the status and the content in it, as text where it is no JSON."""
    media_type, _, content = data.partition(b"\n")
    try:
        raw = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % media_type
        head = parse_response_head(raw, b"GET")
    except BadResponse:
        return
    if len(head.values(b"content-type")) != 1:
        return
    made = envelope(head, content)
    if made is not None:
        text = made.decode()  # it is UTF-8
        read = json.loads(text, parse_int=str, parse_float=str)
        assert read.keys() == {"status_code", "body"}
        assert read["status_code"] == "200"
        assert text.startswith('{"status_code": 200, "body": ')


_QUERIES: Final[tuple[Callable[[str], Any], ...]] = (
    parse_stats_query,
    parse_series_query,
    parse_window,
    parse_story_query,
)


def queries(data: bytes) -> None:
    """Queries of own pages: a value that means the same when it is written again, or a short sentence."""
    if not data:
        return
    text = data[1:].decode("latin-1")
    try:
        found = _QUERIES[data[0] % len(_QUERIES)](text)
    except BadQuery as bad:
        assert bad.detail
        assert len(bad.detail) < 2000
        return
    if isinstance(found, StoryQuery):
        said = {field.name: getattr(found, field.name) for field in fields(found)}
        said |= {
            "failed": 1 if found.failed else None,
            "stories": 1 if found.stories else None,
            "since": None,
        }
        again = parse_story_query(urlencode({key: value for key, value in said.items() if value is not None}))
        assert replace(again, since=found.since) == found


def questions(data: bytes) -> None:
    """Questions to `explain`: a request that a client could send, or a sentence in one line."""
    if not data:
        return
    try:
        if data[0] % 2:
            asked = asked_in(data[1:], STRANGER)
        else:
            url = split_url(data[1:].decode("latin-1"))
            assert url is None or (0 < url.port < 65536 and url.target.startswith("/"))
            return
    except BadQuestion as bad:
        assert str(bad).isprintable()
        return
    explained = explain(_GATEWAY, asked, ())
    assert all(fact.text.isprintable() for fact in explained.facts)
    json.dumps([explained.target, explained.host, explained.detail], ensure_ascii=False).encode()


_GATEWAY: Final = Gateway(
    Config(
        (Route("/a", "b", strip_prefix=True), Route("/c", "b", host="h")), (Backend("b", urls=("http://x",)),)
    ),
    views_of((Backend("b", urls=("http://x",)),), seen((), HostView())),
    lambda: 0.0,
    can_tunnel=True,
)


_PREFIXES: Final = ("/", "/a", "/a/", "/a/b", "/aa", "/%2e", "/b.c")
_HOSTS: Final = ("", "h", "*.h", "a.h", "[::1]", "127.0.0.1")
_ROUTES: Final = tuple(
    Route(prefix, "b", match=match, host=host)
    for number, prefix in enumerate(_PREFIXES)
    for host in _HOSTS[: number + 2]
    for match in (tuple(Match)[number % 2],)
)
_ROUTER: Final = Router(_ROUTES)


def routes(data: bytes) -> None:
    """Hosts and paths: the route is that of a search through all; no `..` is left, however it is written."""
    host, _, path = data.partition(b"\n")
    path = b"/" + path
    found = _ROUTER.match(path, host)
    fitting = [route for route in _ROUTES if _fits(route, path, host)]
    best = max(fitting, key=lambda route: (_rank(route.host), len(route.path_prefix)), default=None)
    assert found == best
    assert _ROUTER.match(path, host) == found, "what is remembered of a host is the same"
    plain = path.replace(b"\\", b"/")
    for code in (b"%2f", b"%2F", b"%5c", b"%5C"):
        plain = plain.replace(code, b"/")
    segments = [one.partition(b";")[0].lower().replace(b"%2e", b".") for one in plain.split(b"/")]
    assert has_dot_segment(path) is any(one in (b".", b"..") for one in segments[1:])
    if is_ours(host, frozenset()):
        name = (
            host.rpartition(b":")[0]
            if re.fullmatch(rb".*:[0-9]*", host) and not host.endswith(b"]")
            else host
        )
        plain_name = name.lower().removesuffix(b".").decode("ascii").strip("[]")
        assert plain_name == "localhost" or plain_name.endswith(".localhost") or ip_address(plain_name)


def _fits(route: Route, path: bytes, host: bytes) -> bool:
    prefix = route.path_prefix.encode()
    if not path.startswith(prefix):
        return False
    if route.match is Match.SEGMENT and not (
        path == prefix or prefix.endswith(b"/") or path[len(prefix) :].startswith(b"/")
    ):
        return False
    name = host.lower()
    name = (
        name.partition(b"]")[0] + b"]"
        if name.startswith(b"[")
        else name.partition(b":")[0].removesuffix(b".")
    )
    wanted = route.host.encode()
    if len(name) > 253:
        return not wanted
    if wanted.startswith(b"*."):
        return name.endswith(wanted[1:]) and len(name) >= len(wanted)
    return not wanted or name == wanted


def _rank(host: str) -> tuple[bool, bool, int]:
    """Return how well a route's *host* fits where it does: itself, the longest wildcard, any."""
    return bool(host), not host.startswith("*"), len(host)


def labels(data: bytes) -> None:
    """A backend's label filters, as a file says them: all it asks for and nothing else is found."""
    text = data.decode("utf-8", "replace")
    given = text.split("\n")
    document = {"routes": [], "backends": [{"name": "b", "match_labels": given}]}
    try:
        (backend,) = parse_document(document, "c").backends
    except ConfigErrors as errors:
        assert all(str(error).isprintable() for error in errors.errors)
        return
    assert [f"{key}={value}" for key, value in backend.match_labels] == list(dict.fromkeys(given))
    wanted = dict(backend.match_labels)
    if "rgate.port" in wanted:  # it says more than who is meant
        return
    up = Container("1", "c", wanted, State.RUNNING, published=(PublishedPort(80, "127.0.0.1", 8000),))
    assert len(view_of(backend, seen([up], HostView())).candidates) == 1
    for key in (*list(wanted)[:1], *list(wanted)[-1:]):
        other = replace(up, labels={name: value for name, value in wanted.items() if name != key})
        assert not view_of(backend, seen([other], HostView())).candidates


def traceparent(data: bytes) -> None:
    """What is taken is one (W3C's Trace Context 2, 3.2), and goes on as it was understood."""
    parsed = parse_traceparent(data)
    if parsed is None:
        return
    version, trace_id, span_id, flags = data[:2], data[3:35], data[36:52], data[53:55]
    assert data[2:3] == data[35:36] == data[52:53] == b"-"
    assert (parsed.trace_id, parsed.span_id) == (trace_id, span_id)
    for digits in (version, trace_id, span_id, flags):
        assert set(digits) <= set(b"0123456789abcdef")
    assert int(trace_id, 16)
    assert int(span_id, 16)
    assert version != b"ff"
    assert data[55:56] == b"" or (version != b"00" and data[55:56] == b"-")
    assert parsed.is_sampled == bool(int(flags, 16) & 1)
    assert parse_traceparent(format_traceparent(*parsed)) == parsed


TARGETS: Final = MappingProxyType(
    {
        target.__name__: target
        for target in (
            requests,
            responses,
            judged,
            chunks,
            config,
            cases,
            recordings,
            accept,
            envelopes,
            queries,
            questions,
            routes,
            labels,
            traceparent,
        )
    }
)
"""By their names, which those of their corpora are too."""
