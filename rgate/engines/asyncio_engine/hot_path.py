"""The way of nearly all requests: an ordinary head, all content in one read, a connection at hand, and an
answer of the same kind. What is not so takes the general way, `forwarding.py`, also in the middle.

Why it looks as it does: each line costs every request. So there is no object, task, future or timer a
request; heads are checked and edited by one compiled pattern (core/ordinary.py) instead of a loop over
fields; each message goes out by one write, together with others (outbox.py); and what a route needs lies
ready in a `HotRoute`.
"""

import re
import time
from typing import TYPE_CHECKING, Final

from rgate.core.chunked import LAST_CHUNK, chunk, whole_content
from rgate.core.exchange import IDEMPOTENT, Attempt
from rgate.core.message import parse_request_head
from rgate.core.ordinary import without_forwarded
from rgate.core.own import OWN_PREFIX
from rgate.core.record import Record
from rgate.engines.asyncio_engine.client import IDLE_TIMEOUT_NS, Client
from rgate.engines.asyncio_engine.forwarding import Forwarding
from rgate.engines.asyncio_engine.hot_routes import Destination, HotRoute
from rgate.engines.asyncio_engine.upstream import Pool, Upstream

if TYPE_CHECKING:
    from rgate.engines.asyncio_engine.engine import Shared

_ID_NAME: Final = b"\r\nX-Request-ID: "
_RESPONSE_ADDED: Final = b"Via: 1.1 rgate" + _ID_NAME


class HotClient(Client):
    """A client's connection; between requests, and during ordinary ones, it needs no other object."""

    __slots__ = ("_added", "asked_in", "destination", "request", "request_id", "route", "upstream")

    route: HotRoute
    destination: Destination
    request: bytes  # as it came
    request_id: bytes
    asked_in: int  # the outbox's turn in which the request was put there

    def __init__(self, shared: "Shared") -> None:
        super().__init__(shared)
        self.upstream: HotUpstream | None = None  # it has our request, and has not answered yet
        self._added: tuple[bytes, bytes] | None = None

    def data_received(self, data: bytes) -> None:
        shared = self.shared
        routes = shared.routes
        if routes.snapshot is not shared.gateway.snapshot:
            routes = shared.renew_routes()
        matched = routes.match_request(data)
        if (
            matched is None
            or self.work is not None
            or self.upstream is not None
            or self.received
            or self.is_write_paused
            or shared.draining
        ):
            self._go_the_general_way(data)
            return
        method, path, host, kept, length, given_id, forwarded = matched.groups()
        end = matched.end()
        if (
            host is None
            or (content_bytes := len(data) - end) != (int(length) if length else 0)
            or content_bytes > routes.most_content
            or end > routes.most_bytes
            or path == routes.stats_path
            or path.startswith(OWN_PREFIX)
            or (forwarded and self.connection.trusted)
            or (found := routes.find(path)) < 0
            or not (route := routes.made[found] or routes.make(found)).destinations
            or (picked := route.pick()) < 0
        ):
            self._go_the_general_way(data)
            return
        destination = route.destinations[picked]
        self.began_ns = now_ns = time.monotonic_ns()
        self.deadline_ns = now_ns + route.response_ns
        self.request_id = identity = given_id or shared.next_id()
        self.route = route
        self.destination = destination
        self.request = data
        if route.counts_inflight:
            shared.gateway.balancer.started(destination.candidate)
        is_idempotent = method in IDEMPOTENT
        idle = destination.pool.idle
        if is_idempotent and idle:
            upstream: Upstream | None = idle.pop()
        else:
            upstream = destination.pool.take(certainly_open=not is_idempotent)
        if upstream is None:
            self._connect()
            return

        self.upstream = upstream  # type: ignore[assignment]  # the pools of this engine hold no others
        upstream.client = self  # type: ignore[attr-defined]
        before_host, behind_host = self._added or self._make_added()
        head = data[: matched.start(4)] + data[matched.end(4) : end - 2] if kept else data[: end - 2]
        if route.stripped:
            head = _without_prefix(head, matched.start(2), route.stripped)
        if forwarded:
            head = without_forwarded(head)
        if given_id:  # it stands in the head
            behind_host, identity = behind_host.removesuffix(_ID_NAME), b""
        message = b"".join(
            (head, before_host, host, behind_host, identity, b"\r\n\r\n", data[end:] if length else b"")
        )
        outbox = shared.outbox
        self.asked_in = outbox.turn
        if is_idempotent:
            outbox.to_upstreams.append((upstream.transport, message))
            if not outbox.is_scheduled:
                outbox.schedule()
        else:  # at once, as the connection may close until the end of the turn
            self.asked_in = -1
            upstream.transport.write(message)

    def _make_added(self) -> tuple[bytes, bytes]:
        """Return what `fields.request_fields` adds, but for the host and the request's id."""
        connection = self.connection
        self._added = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
            % connection.peer.encode("ascii"),
            b"\r\nX-Forwarded-Port: %d\r\nVia: 1.1 rgate%b" % (connection.local_port, _ID_NAME),
        )
        return self._added

    def answered(self, status: int, response: bytes, content_bytes: int) -> None:
        """Write the whole *response*; it is counted before, as who has it finds it in the figures."""
        now_ns = time.monotonic_ns()
        shared, upstream = self.shared, self.upstream
        assert upstream is not None
        upstream.client = self.upstream = None
        upstream.idle_since_ns = now_ns
        upstream.pool.idle.append(upstream)
        counter = self.destination.counter
        if counter is not None:
            counter.add(status, now_ns - self.began_ns, now_ns)
        else:
            self._record(status, content_bytes, now_ns)
        if self.route.counts_inflight:
            shared.gateway.balancer.ended(self.destination.candidate)
        self.request = b""
        self.deadline_ns = now_ns + IDLE_TIMEOUT_NS
        outbox = shared.outbox
        outbox.to_clients.append((self.transport, response))
        if not outbox.is_scheduled:
            outbox.schedule()

    def _record(self, status: int, content_bytes: int, now_ns: int) -> None:
        method, target, _ = self.request.split(b" ", 2)
        route = self.route.route
        self.shared.log.add(
            Record(
                time.time(),
                self.connection.peer,
                method.decode("ascii"),
                target.decode("latin-1"),
                status,
                content_bytes,
                now_ns - self.began_ns,
                route.path_prefix,
                route.backend,
                self.destination.candidate.name,
                1,
                "",
                self.request_id.decode("ascii"),
            )
        )

    # The general way takes over: whatever happens now, it knows what to do.

    def _go_the_general_way(self, data: bytes) -> None:
        self._take_general_way()
        super().data_received(data)

    def _connect(self) -> None:
        """Let the general way make a connection to the one that was picked: another pick would be unfair."""
        forwarding, attempt, content = self._forwarding()
        forwarding.start_with(content, attempt)

    def _take_general_way(self) -> None:
        upstream = self.upstream
        if upstream is not None:
            self.upstream = upstream.client = None
            forwarding, _, content = self._forwarding()
            forwarding.resume(upstream, content)

    def _forwarding(self) -> tuple[Forwarding, Attempt, bytes]:
        """Return what the general way would have made of the request by now, and the request's content."""
        request, self.request = self.request, b""
        end = request.index(b"\r\n\r\n") + 4
        exchange = self.shared.gateway.exchange(
            self.route.snapshot,
            self.route.route,
            parse_request_head(request[:end], most_fields=len(request)),
            self.connection,
            self.request_id,
            can_tunnel=True,
        )
        attempt = exchange.attempted(self.destination.candidate)
        return Forwarding(self.shared, self, exchange), attempt, request[end:]

    def _gone(self) -> None:
        self._take_general_way()
        super()._gone()

    def pause_writing(self) -> None:
        self._take_general_way()
        super().pause_writing()

    def expired(self) -> None:
        self._take_general_way()
        super().expired()

    def is_idle(self) -> bool:
        return self.upstream is None and super().is_idle()


class HotUpstream(Upstream):
    """An upstream's connection; *client* is whose ordinary request it has."""

    __slots__ = ("client",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.client: HotClient | None = None

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None:
            super().data_received(data)
            return
        shared = client.shared
        if client.asked_in == shared.outbox.turn:
            # It speaks before it was asked, so this is no answer; on a new connection there will be one.
            self.transport.abort()
            self._end(None)
            return
        routes = shared.routes
        matched = routes.match_response(data)
        if matched is not None and (end := matched.end()) <= routes.most_bytes and not shared.draining:
            status, empty, kept, length, chunked = matched.groups()
            if chunked:
                content = None if empty or length else whole_content(data[end:])
                if content is not None:
                    response = _chunked_response(data, matched, client.request_id, content)
                    client.answered(int(status), response, len(content))
                    return
            elif len(data) - end == (0 if empty else int(length) if length else -1):
                head = data[: matched.start(3)] + data[matched.end(3) : end - 2] if kept else data[: end - 2]
                response = b"".join((head, _RESPONSE_ADDED, client.request_id, b"\r\n\r\n", data[end:]))
                client.answered(int(status), response, len(data) - end)
                return
        self.take_general_way()
        super().data_received(data)

    def take_general_way(self) -> None:
        """Let the general way take over, where a client waits."""
        if self.client is not None:
            self.client._take_general_way()

    def _end(self, error: Exception | None) -> None:
        self.take_general_way()
        super()._end(error)

    def pause_writing(self) -> None:
        self.take_general_way()
        super().pause_writing()


def _chunked_response(data: bytes, matched: re.Match[bytes], request_id: bytes, content: bytes) -> bytes:
    """Return the response with *content*, in one chunk, as the general way frames it."""
    pieces, start = [], 0
    for line, line_end in sorted((matched.span(3), matched.span(5))):
        if line >= 0:
            pieces.append(data[start:line])
            start = line_end
    framing = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces += [data[start : matched.end() - 2], _RESPONSE_ADDED, request_id, framing]
    pieces += [chunk(content), LAST_CHUNK] if content else [LAST_CHUNK]
    return b"".join(pieces)


def _without_prefix(head: bytes, path: int, length: int) -> bytes:
    """Return *head* without the first *length* bytes of its path, which begins at *path* (behaviour 2)."""
    rest = head[path + length :]
    return head[:path] + (rest if rest.startswith(b"/") else b"/" + rest)
