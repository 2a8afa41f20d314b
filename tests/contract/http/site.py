"""The routes and backends that every gateway under test is given.

A case takes a lane for itself: a route with a prefix of its own and one or two scripted backends
behind it. So nothing that one case leaves behind, such as a pooled connection, meets another.
"""

import random
import socket
from dataclasses import dataclass
from typing import Self

from tests.contract.http.wire import DEADLINE_S, Late, Listener, Wire, readable

DEFAULT_STATUS = 403
DEFAULT_BODY = b"This is not reachable"
MOST_BODY_BYTES = 1000  # where a limit is set at all
MOST_CONNECTIONS = 8


@dataclass(frozen=True)
class Timeouts:
    """Seconds, as in a backend's `timeouts`."""

    connect: float = 2
    response: float = 30
    idle: float = 60


HASTY = Timeouts(connect=0.4, response=0.5, idle=0.8)


@dataclass(frozen=True)
class Kind:
    """What the lanes of one kind have in common. *suffix* is added to the prefix."""

    number: int
    listening: tuple[bool, ...] = (True,)
    timeouts: Timeouts = Timeouts()
    strip_prefix: bool = False
    segment: bool = False
    envelope: bool = False
    suffix: str = ""


KINDS = {
    "single": Kind(600),
    "pair": Kind(32, listening=(True, True)),
    "half": Kind(16, listening=(False, True)),  # the first of the two refuses
    "dead": Kind(12, listening=(False, False)),
    "alone": Kind(32, listening=(False,)),
    "hasty": Kind(32, timeouts=HASTY),
    "hasty_pair": Kind(4, listening=(True, True), timeouts=HASTY),
    "stripping": Kind(8, strip_prefix=True),
    "segmented": Kind(8, segment=True),
    "nested": Kind(4),
    "nested/deep": Kind(4, suffix="/deep"),
}


class Lane:
    """One route, and the scripted backends behind it."""

    def __init__(self, name: str, path: str, kind: Kind) -> None:
        self.name = name
        self.path = path.encode()
        self.kind = kind
        self.listeners = tuple(Listener(listening=listening) for listening in kind.listening)

    def __repr__(self) -> str:
        return f"<Lane {self.name}>"

    def _listening(self) -> list[socket.socket]:
        return [one.sock for one in self.listeners if one.listens]

    def accept(self, within_s: float = DEADLINE_S) -> Wire:
        """Return the next connection that the gateway makes, to whichever backend it chose."""
        ready = readable(self._listening(), within_s)
        if not ready:
            raise Late("the gateway did not connect to the backend")
        return next(one for one in self.listeners if one.sock in ready).accept()

    def accept_for(self, client: Wire) -> Wire:
        """Return the next connection; fails at once where the gateway answers *client* instead."""
        readable([client.sock, *self._listening()], DEADLINE_S)
        if self.is_unvisited() and client.is_readable():
            raise Late(f"the gateway did not connect to the backend, but said {client.peek()!r}")
        return self.accept()

    def accept_or(self, *present: Wire) -> Wire:
        """Return the connection that brings the next request: one of *present*, or a new one."""
        sockets = [wire.sock for wire in present]
        ready = readable([*sockets, *self._listening()], DEADLINE_S)
        for wire in present:
            if wire.sock in ready and not wire.is_at_end():
                return wire
        return self.accept()

    def is_closed_or_visited(self, client: Wire) -> bool:
        """Whether the gateway connects here, or says something to *client* or ends its connection."""
        return bool(readable([client.sock, *self._listening()], DEADLINE_S))

    def is_unvisited(self) -> bool:
        """Whether no connection of the gateway's waits to be accepted."""
        return all(one.is_unvisited() for one in self.listeners if one.listens)

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


def first_of(client: Wire, *lanes: Lane) -> bool:
    """Wait until the gateway answers *client* or connects to one of *lanes*; whether it did in time."""
    sockets = [one.sock for lane in lanes for one in lane.listeners]
    return bool(readable([client.sock, *sockets], DEADLINE_S))


class Site:
    """All lanes of one gateway, the limits it is to hold, and what it answers elsewhere."""

    def __init__(self, *, limited: bool = False) -> None:
        self.limited = limited  # with `limits.body_bytes`, `limits.connections` and `trusted_proxies`
        self._free: dict[str, list[Lane]] = {
            name: [
                _lane(name, kind, number)
                for number in range(min(kind.number, 24) if limited else kind.number)
            ]
            for name, kind in KINDS.items()
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
    stem = name.removesuffix(kind.suffix)
    label = name.replace("/", "_")
    return Lane(f"{label}_{number:03}", f"/{stem}-{number:03}{kind.suffix}", kind)


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
