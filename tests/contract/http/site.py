"""The routes and backends that every gateway under test is given.

A case takes a lane for itself: a route with a prefix of its own and the scripted backends behind it. So
nothing that one case leaves behind, such as a pooled connection, meets another.
"""

import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from tests.contract.http.wire import DEADLINE_S, Late, Listener, Wire, readable

DEFAULT_STATUS = 403
DEFAULT_BODY = b"This is not reachable"
MOST_BODY_BYTES = 1000  # where a limit is set at all
MOST_CONNECTIONS = 8
# Peers of the gateway with limits: in `trusted_proxies` and `admin.allow`, in the latter only, in none.
TRUSTED, ALLOWED, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.9"


@dataclass(frozen=True)
class Timeouts:
    """Seconds, as in a backend's `timeouts`."""

    connect: float = 2
    response: float = 30
    idle: float = 60


HASTY = Timeouts(connect=0.4, response=0.5, idle=0.8)
IMPATIENT = Timeouts(connect=0.2)


@dataclass(frozen=True)
class Kind:
    """What the lanes of one kind have in common.

    `{}` in *prefix* and *host* is the lane's number. Without *prefix* it is the kind's name and the number.
    """

    number: int
    listening: tuple[bool, ...] = (True,)
    timeouts: Timeouts = Timeouts()
    strip_prefix: bool = False
    segment: bool = False
    envelope: bool = False
    policy: str = "random"
    prefix: str = ""
    host: str = ""


KINDS = {
    "single": Kind(800),
    "pair": Kind(32, listening=(True, True)),
    "trio": Kind(8, listening=(True, True, True), timeouts=IMPATIENT),
    "half": Kind(16, listening=(False, True)),  # the first of the two refuses
    "dead": Kind(12, listening=(False, False)),
    "ten_dead": Kind(4, listening=(False,) * 10, timeouts=IMPATIENT),
    "alone": Kind(40, listening=(False,)),
    "hasty": Kind(24, timeouts=HASTY),
    "hasty_pair": Kind(4, listening=(True, True), timeouts=HASTY),
    "least_pair": Kind(4, listening=(True, True), envelope=True, policy="least_inflight"),
    "enveloped": Kind(120, envelope=True),
    "hasty_enveloped": Kind(4, envelope=True, timeouts=HASTY),
    "stripping": Kind(40, strip_prefix=True),
    "slashed": Kind(4, strip_prefix=True, prefix="/slashed-{}/"),
    "segmented": Kind(8, segment=True),
    "nested": Kind(4),
    "nested/deep": Kind(4, prefix="/nested-{}/deep"),
}
# Their gateway is one of its own. The first ones share a prefix, and who has it depends on the host.
HOST_KINDS = {
    "hosts": Kind(40, prefix="/hosts-{}"),
    "hosts/deep": Kind(40, prefix="/hosts-{}/deep"),
    "hosts_exact": Kind(40, prefix="/hosts-{}", host="shop.example"),
    "hosts_deep_only": Kind(40, prefix="/hosts-{}/deep", host="deep.shop.example"),
    "hosts_wildcard": Kind(40, prefix="/hosts-{}", host="*.example"),
    "hosts_wildcard/deep": Kind(40, prefix="/hosts-{}/deep", host="*.example"),
    "hosts_longer_wildcard": Kind(40, prefix="/hosts-{}", host="*.shop.example"),
    "one_host": Kind(16, host="only.example"),
    "root": Kind(4, strip_prefix=True, prefix="/", host="root-{}.example"),
}
FEW = 100  # the most lanes of one kind that a gateway has which serves few cases


class Lane:
    """One route, and the scripted backends behind it."""

    def __init__(self, name: str, path: str, kind: Kind, host: str = "") -> None:
        self.name = name
        self.path = path.encode()
        self.host = host
        self.kind = kind
        self.listeners = tuple(Listener(listening=listening) for listening in kind.listening)

    def __repr__(self) -> str:
        return f"<Lane {self.name}>"

    def sockets(self) -> list[socket.socket]:
        """Return the sockets of those backends that listen."""
        return [one.sock for one in self.listeners if one.listens]

    def accept(self, within_s: float = DEADLINE_S) -> Wire:
        """Return the next connection that the gateway makes, to whichever backend it chose."""
        ready = readable(self.sockets(), within_s)
        if not ready:
            raise Late("the gateway did not connect to the backend")
        return next(one for one in self.listeners if one.sock in ready).accept()

    def accept_for(self, client: Wire) -> Wire:
        """Return the next connection; fails at once where the gateway answers *client* instead."""
        readable([client.sock, *self.sockets()], DEADLINE_S)
        if self.is_unvisited() and client.is_readable():
            raise Late(f"the gateway did not connect to the backend, but said {client.peek()!r}")
        return self.accept()

    def accept_or(self, *present: Wire) -> Wire:
        """Return the connection that brings the next request: one of *present*, or a new one."""
        sockets = [wire.sock for wire in present]
        ready = readable([*sockets, *self.sockets()], DEADLINE_S)
        for wire in present:
            if wire.sock in ready and not wire.is_at_end():
                return wire
        return self.accept()

    def is_closed_or_visited(self, client: Wire) -> bool:
        """Whether the gateway connects here, or says something to *client* or ends its connection."""
        return bool(readable([client.sock, *self.sockets()], DEADLINE_S))

    def is_unvisited(self) -> bool:
        """Whether no connection of the gateway's waits to be accepted."""
        return all(one.is_unvisited() for one in self.listeners if one.listens)

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


def first_of(client: Wire, *lanes: Lane) -> bool:
    """Wait until the gateway answers *client* or connects to one of *lanes*; whether it did in time."""
    return bool(readable([client.sock, *(sock for lane in lanes for sock in lane.sockets())], DEADLINE_S))


class Site:
    """All lanes of one gateway, the limits it is to hold, and what it answers elsewhere.

    *limited*: few lanes, and `limits.body_bytes`, `limits.connections`, `trusted_proxies`, `admin.allow`.
    *settings*: further keys of rgate's configuration, and entries of its lists.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind] = KINDS,
        *,
        limited: bool = False,
        settings: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.limited = limited
        self.settings = settings
        most = FEW if limited else 1 << 16
        self._free = {
            name: [_lane(name, kind, number) for number in range(min(kind.number, most))]
            for name, kind in kinds.items()
        }
        # In no order, as the order of routes must not matter.
        self.lanes = [lane for lanes in self._free.values() for lane in lanes]
        random.Random(7).shuffle(self.lanes)

    def take(self, kind: str) -> Lane:
        """Return a lane of *kind* that no case had before."""
        assert self._free[kind], f"every lane of kind {kind!r} is taken: make more in KINDS"
        return self._free[kind].pop(0)

    def close(self) -> None:
        for lane in self.lanes:
            lane.close()


def _lane(name: str, kind: Kind, number: int) -> Lane:
    figure = f"{number:03}"
    prefix = (kind.prefix or f"/{name}-{{}}").format(figure)
    return Lane(f"{name.replace('/', '_')}_{figure}", prefix, kind, kind.host.format(figure))


class FullListener:
    """A listener whose queue is full, so that the kernel lets no connection be made."""

    def __init__(self, listener: Listener) -> None:
        listener.listen(0)
        self._fillers = [socket.socket() for _ in range(3)]  # one more than are let in
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", listener.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for filler in self._fillers:
            filler.close()


def full(lane: Lane, but: int = 0) -> ExitStack:
    """Let nobody connect to the backends of *lane*, *but* the last ones, until what is returned is closed."""
    with ExitStack() as stack:
        for listener in lane.listeners[: len(lane.listeners) - but]:
            stack.enter_context(FullListener(listener))
        return stack.pop_all()
