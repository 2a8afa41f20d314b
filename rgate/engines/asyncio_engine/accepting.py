"""Which connections there are, and who is let in: as many as there is room for (behaviour 2.limits).

The loop's own servers accept whatever waits, and close what there is no descriptor for. So what waits in the
kernel's queue is accepted here, one by one, while there is room.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Final

from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.crowd import is_lack
from rgate.engines.last_clients import let_nobody_in

log = logging.getLogger("rgate")

_ACCEPTED_A_TURN: Final = 64
_FOUND_AT_ONCE: Final = 256
"""Those idle longest are looked for among all, and so many kept: not all are looked at for each new one."""


class Accepting:
    """Accepts on listeners, and knows all connections: *clients*. *made* makes a new one's protocol.

    Everything here runs in the loop.
    """

    def __init__(self, shared: Shared, made: Callable[[], Client]) -> None:
        self.clients: set[Client] = set()
        self._shared = shared
        self._made = made
        self._listeners: Sequence[socket.socket] = ()
        self._is_on = False
        self._coming: set[asyncio.Task[None]] = set()
        self._longest_idle: deque[tuple[int, Client]] = deque()

    def start(self, listeners: Sequence[socket.socket]) -> None:
        """Accept on *listeners* from now on."""
        self._listeners = listeners
        for listener in listeners:
            listener.setblocking(False)
        self.go_on()

    def go_on(self) -> None:
        """Accept again, if that was put off."""
        if not self._is_on:
            self._is_on = True
            for listener in self._listeners:
                self._shared.loop.add_reader(listener, self._accept, listener)

    def _put_off(self) -> None:
        if self._is_on:
            self._is_on = False
            for listener in self._listeners:
                self._shared.loop.remove_reader(listener)

    @property
    def is_over(self) -> bool:
        """Whether nothing is accepted any more, and nothing was that is not among the clients."""
        return not self._listeners

    def let_nobody_in(self) -> None:
        """Let no connection begin any more: there will be no one to accept it."""
        for listener in self._listeners:
            let_nobody_in(listener)

    def end(self) -> None:
        """Accept what the kernel has accepted, and no more. Nothing comes between the two: who is let in
        meanwhile, unless nobody is, is reset.
        """
        self._close(accepting=True)

    def leave(self) -> None:
        """Accept no more: what the kernel has accepted is another's."""
        self._close(accepting=False)

    def _close(self, *, accepting: bool) -> None:
        self._put_off()
        for listener in self._listeners:
            while accepting and self._accepts_one(listener):
                pass
            listener.close()
        self._listeners = ()

    def closed(self, client: Client) -> None:
        """Take the end of a connection: there may be room for another."""
        self.clients.discard(client)
        if not self._is_on and self._is_room_left():
            self.go_on()

    # One by one.

    def _accept(self, listener: socket.socket) -> None:
        if not self._is_room_left():
            self._make_room()  # which is there in the next turn, and so is who waits for it
            return
        for _ in range(_ACCEPTED_A_TURN):
            if not self._accepts_one(listener) or not self._is_room_left():
                return

    def _is_room_left(self) -> bool:
        return len(self.clients) < self._shared.gateway.most_connections

    def _accepts_one(self, listener: socket.socket) -> bool:
        """Whether one was accepted, or may be in this turn."""
        try:
            accepted, _ = listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if isinstance(error, ConnectionAbortedError):
                return True  # it went away before it was accepted
            self._shared.crowd.not_accepted(error)
            if is_lack(error):
                self._make_room()
            self._put_off()  # until a connection has ended, or for a moment
            return False
        accepted.setblocking(False)
        client = self._made()
        self.clients.add(client)
        task = self._shared.loop.create_task(self._begin(client, accepted))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        return True

    async def _begin(self, client: Client, accepted: socket.socket) -> None:
        try:
            await self._shared.loop.connect_accepted_socket(lambda: client, accepted)
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception("a connection could not be begun")
            accepted.close()
            client.connection_lost(error)

    # Room.

    def _make_room(self) -> None:
        """Close a connection for a new client, where one is idle; else accept no more for now."""
        if self._close_longest_idle():
            self._shared.crowd.makes_way(self._shared.gateway.most_connections)
        else:
            self._shared.crowd.full(len(self.clients))
            self._put_off()

    def _close_longest_idle(self) -> bool:
        self._shared.outbox.flush()  # a client whose response waits there counts as idle
        for _ in range(2):
            while self._longest_idle:
                since_ns, client = self._longest_idle.popleft()
                if client.idle_since_ns == since_ns and client.is_quiet():
                    client.transport.abort()
                    return True
            idle = [(since, one) for one in self.clients if (since := one.idle_since_ns) is not None]
            self._longest_idle = deque(nsmallest(_FOUND_AT_ONCE, idle, key=lambda found: found[0]))
        return False
