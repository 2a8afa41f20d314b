"""What a request meets first: its route, rgate's own paths, or a refusal (behaviour 3).

The configuration and the backends' views are one immutable snapshot, swapped whole by one
assignment: readers need no lock, and a reload cannot be seen half done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView
from rgate.core.config import Backend, Config, Route
from rgate.core.exchange import Exchange, Own
from rgate.core.fields import ClientConnection, is_in, request_id
from rgate.core.message import RequestHead, has_dot_segment
from rgate.core.own import is_own
from rgate.core.problem import OwnResponse, default_response, problem
from rgate.core.reasons import Reason
from rgate.core.routing import Router


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration, and all that is known of its backends at one moment."""

    config: Config
    router: Router
    backends: Mapping[str, Backend]
    views: Mapping[str, BackendView]


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that was looked at: its id, and what comes of it."""

    request_id: bytes
    outcome: Exchange | Own | OwnResponse


class Gateway:
    """Decides what becomes of each request. Engines hold one and ask it.

    *random* gives floats in [0, 1) for the pick among candidates.
    """

    __slots__ = ("balancer", "snapshot")

    def __init__(self, config: Config, views: Mapping[str, BackendView], random: Callable[[], float]) -> None:
        self.balancer = Balancer(random)
        # What is in force now; take it once where two of its parts have to fit.
        self.snapshot = _snapshot(config, views)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.snapshot.config

    @property
    def views(self) -> Mapping[str, BackendView]:
        """What is known of each backend, by name."""
        return self.snapshot.views

    def swap(self, config: Config, views: Mapping[str, BackendView]) -> None:
        """Put *config* and the views of its backends in force, for every request from now on."""
        self.snapshot = _snapshot(config, views)
        self._forget_changed(views)

    def swap_views(self, views: Mapping[str, BackendView]) -> None:
        """Put *views* in force. Those of another configuration's backends are left: `swap` brings both."""
        old = self.snapshot
        if views.keys() != old.backends.keys():
            return
        self.snapshot = Snapshot(old.config, old.router, old.backends, views)
        self._forget_changed(views)

    def _forget_changed(self, views: Mapping[str, BackendView]) -> None:
        self.balancer.keep_only(c for view in views.values() for c in view.candidates)

    def client(self, peer: str, local_port: int) -> ClientConnection:
        """Return what rgate holds of a connection from the address *peer*."""
        return ClientConnection(peer, local_port, trusted=is_in(peer, self.config.trusted_proxies))

    def begin(
        self, head: RequestHead, client: ClientConnection, made_id: bytes, *, can_tunnel: bool
    ) -> Begun:
        """Return the id of the request and what comes of it; *made_id* is used where it has none."""
        identity = request_id(head, made_id)
        return Begun(identity, self._outcome(head, client, identity, can_tunnel))

    def _outcome(
        self, head: RequestHead, client: ClientConnection, identity: bytes, can_tunnel: bool
    ) -> Exchange | Own | OwnResponse:
        snapshot = self.snapshot
        accept = _accept(head)
        refused = _refusal(head, snapshot.config)
        if refused is not None:
            reason, detail = refused
            return problem(reason, detail, request_id=identity.decode("latin-1"), accept=accept)
        if is_own(head.path, snapshot.config.stats.path):
            return Own()
        route = snapshot.router.match(head.path)
        if route is None:
            return default_response(snapshot.config.default_response, request_id=identity.decode("latin-1"))
        if head.upgrade and not can_tunnel:
            return problem(
                Reason.NOT_IMPLEMENTED,
                "This engine cannot switch protocols: leave out the Upgrade field, or use another engine.",
                request_id=identity.decode("latin-1"),
                backend=route.backend,
                accept=accept,
            )
        return self.exchange(snapshot, route, head, client, identity, can_tunnel=can_tunnel)

    def exchange(
        self,
        snapshot: Snapshot,
        route: Route,
        head: RequestHead,
        client: ClientConnection,
        identity: bytes,
        *,
        can_tunnel: bool,
    ) -> Exchange:
        """Return the exchange of a request that *route* of *snapshot* matches."""
        return Exchange(
            head=head,
            client=client,
            request_id=identity,
            accept=_accept(head),
            route=route,
            backend=snapshot.backends[route.backend],
            view=snapshot.views[route.backend],
            balancer=self.balancer,
            upgrading=can_tunnel,
        )


def _accept(head: RequestHead) -> bytes:
    return b",".join(head.values(b"accept"))


def _refusal(head: RequestHead, config: Config) -> tuple[Reason, str] | None:
    if head.method in (b"CONNECT", b"TRACE"):
        return Reason.METHOD_NOT_ALLOWED, f"{head.method.decode()} is not forwarded."
    if has_dot_segment(head.path):
        return (
            Reason.PATH_NOT_NORMALIZED,
            "The path has a `.` or `..` segment: clients remove those before they send.",
        )
    limit = config.limits.body_bytes
    if limit is not None and isinstance(head.framing, int) and head.framing > limit:
        return Reason.BODY_TOO_LARGE, f"The body is larger than `limits.body_bytes`, {limit} bytes."
    return None


def _snapshot(config: Config, views: Mapping[str, BackendView]) -> Snapshot:
    backends = {backend.name: backend for backend in config.backends}
    return Snapshot(config, Router(config.routes), backends, views)
