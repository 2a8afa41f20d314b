"""The way of nearly all requests: an ordinary head, all content in one read, a connection at hand, and an
answer of the same kind. What is not so takes the general way, `forwarding.py`, also in the middle.

Why it looks as it does: each line costs every request. So there is no object, task, future or timer a
request; heads are checked and edited by one compiled pattern (core/ordinary.py) instead of a loop over
fields; each message goes out by one write; and what a route needs lies ready in a `HotRoute`.
"""

import itertools
import secrets
import time
from typing import TYPE_CHECKING, Final

from rgate.core.candidates import Candidate
from rgate.core.config import Config, Policy, ResponseFormat, Route
from rgate.core.exchange import IDEMPOTENT
from rgate.core.gateway import Snapshot
from rgate.core.message import has_dot_segment, parse_request_head
from rgate.core.ordinary import ORDINARY_REQUEST, ORDINARY_RESPONSE
from rgate.core.own import OWN_PREFIX
from rgate.core.record import Record
from rgate.engines.asyncio_engine.client import IDLE_TIMEOUT_NS, NS, Client
from rgate.engines.asyncio_engine.forwarding import Forwarding
from rgate.engines.asyncio_engine.upstream import Pool, Pools, Upstream

if TYPE_CHECKING:
    from rgate.engines.asyncio_engine.engine import Shared

_RESPONSE_ADDED: Final = b"Via: 1.1 rgate\r\nX-Request-ID: "

# 128 bits, as others make them: random for this process, and counted on from there.
_id_prefix = secrets.token_hex(8).encode("ascii")
_next_id = itertools.count(secrets.randbits(62)).__next__


class HotRoute:
    """A route with all that its requests need at once."""

    __slots__ = ("backend", "candidates", "pools", "prefix", "response_ns", "route", "snapshot", "stripped")

    def __init__(self, snapshot: Snapshot, route: Route, pools: Pools) -> None:
        backend = snapshot.backends[route.backend]
        self.snapshot = snapshot
        self.route = route
        self.prefix = route.path_prefix
        self.backend = route.backend
        self.stripped = len(route.path_prefix.encode()) if route.strip_prefix else 0
        self.response_ns = int(backend.timeouts.response * NS)
        ordinary = backend.policy is Policy.RANDOM and route.response_format is ResponseFormat.RAW
        # Without candidates, the general way finds out why.
        self.candidates = snapshot.views[route.backend].candidates if ordinary else ()
        self.pools: list[Pool] = [pools.of(candidate.address) for candidate in self.candidates]


class HotRoutes:
    """The routes of one snapshot, made as they are asked for."""

    def __init__(self, snapshot: Snapshot, pools: Pools) -> None:
        config: Config = snapshot.config
        self.snapshot = snapshot
        self.own = (OWN_PREFIX, config.stats.path.encode())
        self.most_fields = config.limits.header_fields
        self.few_bytes = 4 * self.most_fields  # no head this short can have too many: "a:" CR LF
        # A limit of the content's size is looked after by the general way.
        self.most_bytes = config.limits.header_bytes if config.limits.body_bytes is None else 0
        self._pools = pools
        self._made: dict[str, HotRoute] = {}

    def match(self, path: bytes) -> HotRoute | None:
        """Return the route of *path*; None where it has none, or is for the general way."""
        route = self.snapshot.router.match(path)
        if route is None:
            return None
        made = self._made.get(route.path_prefix)
        if made is None:
            made = self._made[route.path_prefix] = HotRoute(self.snapshot, route, self._pools)
        return made if made.candidates else None


class HotClient(Client):
    """A client's connection; between requests, and during ordinary ones, it needs no other object."""

    __slots__ = ("_added", "candidate", "request", "request_id", "route", "upstream")

    route: HotRoute
    candidate: Candidate
    request: bytes  # as it came
    request_id: bytes

    def __init__(self, shared: "Shared") -> None:
        super().__init__(shared)
        self.upstream: HotUpstream | None = None  # it has our request, and has not answered yet
        self._added: tuple[bytes, bytes] | None = None

    def data_received(self, data: bytes) -> None:
        shared = self.shared
        matched = ORDINARY_REQUEST.match(data)
        if (
            matched is None
            or self.work is not None
            or self.upstream is not None
            or self.received
            or self.is_write_paused
            or shared.draining
        ):
            self._take_general_way()
            super().data_received(data)
            return
        method, path, host, kept, length = matched.groups()
        end = matched.end()
        routes = shared.routes
        if routes.snapshot is not shared.gateway.snapshot:
            routes = shared.routes = HotRoutes(shared.gateway.snapshot, shared.pools)
        if (
            host is None
            or len(data) - end != (int(length) if length else 0)
            or end > routes.most_bytes
            or (end > routes.few_bytes and data.count(b"\n", 0, end) > routes.most_fields + 2)
            or path.startswith(routes.own)
            or ((b"." in path or b"%" in path) and has_dot_segment(path))
            or (route := routes.match(path)) is None
            or (index := shared.gateway.balancer.pick_unhindered(route.candidates)) < 0
            or (upstream := route.pools[index].take(certainly_open=method not in IDEMPOTENT)) is None
        ):
            super().data_received(data)
            return

        self.began_ns = now_ns = time.monotonic_ns()
        self.deadline_ns = now_ns + route.response_ns
        self.request_id = identity = b"%b%016x" % (_id_prefix, _next_id())
        self.route = route
        self.candidate = route.candidates[index]
        self.request = data
        self.upstream = upstream  # type: ignore[assignment]  # the pools of this engine hold no others
        upstream.client = self  # type: ignore[attr-defined]
        before_host, behind_host = self._added or self._make_added()
        target = matched.start("path") + route.stripped
        if route.stripped and path[route.stripped : route.stripped + 1] != b"/":
            start = method + b" /" + data[target : matched.start("kept") if kept else end - 2]
        elif route.stripped:
            start = method + b" " + data[target : matched.start("kept") if kept else end - 2]
        else:
            start = data[: matched.start("kept") if kept else end - 2]
        upstream.transport.write(
            b"".join(
                (
                    start,
                    data[matched.end("kept") : end - 2] if kept else b"",
                    before_host,
                    host,
                    behind_host,
                    identity,
                    b"\r\n\r\n",
                    data[end:] if length else b"",
                )
            )
        )

    def _make_added(self) -> tuple[bytes, bytes]:
        """Return what `fields.request_fields` adds, but for the host and the request's id."""
        connection = self.connection
        self._added = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
            % connection.peer.encode("ascii"),
            b"\r\nX-Forwarded-Port: %d\r\nVia: 1.1 rgate\r\nX-Request-ID: " % connection.local_port,
        )
        return self._added

    def answered(self, status: int, response: bytes, content_bytes: int) -> None:
        """Write the whole *response*; it is counted before, as who has it finds it in the figures."""
        now_ns = time.monotonic_ns()
        route = self.route
        line = self.request.split(b" ", 2)
        self.shared.log.add(
            Record(
                time.time(),
                self.connection.peer,
                line[0].decode("ascii"),
                line[1].decode("latin-1"),
                status,
                content_bytes,
                now_ns - self.began_ns,
                route.prefix,
                route.backend,
                self.candidate.name,
                1,
                "",
                self.request_id.decode("ascii"),
            )
        )
        self.upstream = None
        self.request = b""
        self.deadline_ns = now_ns + IDLE_TIMEOUT_NS
        self.transport.write(response)

    # The general way takes over: whatever happens now, it knows what to do.

    def _take_general_way(self) -> None:
        upstream = self.upstream
        if upstream is None:
            return
        self.upstream = upstream.client = None
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
        exchange.attempted(self.candidate)
        Forwarding(self.shared, self, exchange).resume(upstream, request[end:])

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
        matched = ORDINARY_RESPONSE.match(data)
        if matched is not None:
            status, kept, length = matched.groups()
            end = matched.end()
            if (
                length is not None
                and len(data) - end == int(length)
                and end <= client.shared.routes.most_bytes
                and data.count(b"\n", 0, end) <= client.shared.routes.most_fields + 2
                and status not in (b"204", b"304")
                and not client.shared.draining
            ):
                self.client = None
                self.idle_since_ns = client.began_ns
                self.pool.idle.append(self)
                start, stop = matched.span("kept") if kept else (end - 2, end - 2)
                response = b"".join(
                    (
                        data[:start],
                        data[stop : end - 2],
                        _RESPONSE_ADDED,
                        client.request_id,
                        b"\r\n\r\n",
                        data[end:],
                    )
                )
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
