"""A WSGI server that keeps what a gateway needs: the raw target, fields in order, strict framing.

A thread serves each connection that has a request under way (wsgi_connection.py); idle ones, and those that
are only read from behind their last answer, wait in one selector, which is here. Why not a server that
exists: docs/decisions/002-wsgi-server.md.
"""

import contextlib
import logging
import queue
import select
import selectors
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from rgate.core.patience import (
    HANDSHAKE_S,
    LAST_LINGER_S,
    LAST_MOMENT_S,
    LINGER_BETWEEN_S,
    SUCCEEDED_MOMENT_S,
)
from rgate.core.succession import Listeners
from rgate.engines.crowd import Crowd, is_lack
from rgate.engines.last_clients import let_nobody_in
from rgate.engines.memory import GIVE_BACK_S, give_back
from rgate.engines.sockets import poll
from rgate.engines.wsgi_connection import Connection, Service, Then

log = logging.getLogger("rgate")

_SWEEP_S: Final = 1.0  # by so much a time-out may be late; while rgate ends, by LAST_MOMENT_S
_RESTS_S: Final = 10.0  # a thread that nobody needed for so long ends


class WsgiServer:
    """Accepts connections for *service* while there is room, and ends them.

    *crowd* is told of too little room.
    """

    def __init__(self, service: Service, crowd: Crowd) -> None:
        self._service = service
        self._crowd = crowd
        self._threads = _Threads()
        self._drained = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="rgate-accept", daemon=True)
        # All below belongs to the watching thread; others have something done there by an order.
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._open: set[Connection] = set()
        # Those in the selector, and when their time is over; the one that waits longest first.
        self._waiting: OrderedDict[Connection, float] = OrderedDict()
        self._accepts_again_s = 0.0
        self._next_sweep_s = 0.0
        self._gives_back_s = time.monotonic() + GIVE_BACK_S
        self._nobody_in_s = float("inf")  # when nobody new is let in
        self._last_moment_s = float("inf")  # when nothing more is accepted
        self._beat: Callable[[], object] | None = None

    def start(self, listeners: Sequence[socket.socket], beat: Callable[[], object] | None = None) -> None:
        """Begin to accept on *listeners*, and return. *beat* is called by who accepts, as long as it does."""
        self._beat = beat
        for listener in listeners:
            listener.setblocking(False)
        self._listeners += listeners
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, self._woken)
        self._watcher.start()

    def clients(self) -> tuple[int, int]:
        """Return how many connections have a request under way, and how many have none."""
        idle = sum(not one.has_half_a_head for one in self._waiting.copy())
        return max(len(self._open) - idle, 0), idle

    def drain(self, within_s: float, listeners: Listeners = Listeners.CLOSED) -> bool:
        """Stop accepting, end what is idle, and wait for the rest; whether all ended in time.

        *listeners*: what becomes of them.
        """
        self._order(partial(self._begin_drain, listeners))
        return self._drained.wait(within_s)

    def stop(self) -> None:
        """End at once: what is under way is cut."""
        self._order(self._cut_all)
        self._watcher.join(LAST_LINGER_S)

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        with contextlib.suppress(OSError):  # it wakes already, or has ended
            self._wake_sender.send(b"w")

    # In the watching thread.

    def _watch(self) -> None:
        while not (self._service.is_stopped and self._drained.is_set()):
            self._accept_while_there_is_room()
            for key, _ in self._selector.select(self._next_sweep_s - time.monotonic()):
                key.data()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._orders.get_nowait()()
            if (now_s := time.monotonic()) >= self._next_sweep_s:
                self._next_sweep_s = now_s + (LAST_MOMENT_S if self._service.is_draining else _SWEEP_S)
                self._sweep(now_s)
                self._crowd.look()
        for one in (self._selector, self._wake_receiver, self._wake_sender):
            one.close()

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)

    @property
    def _is_room_left(self) -> bool:
        return len(self._open) < self._service.gateway.most_connections

    @property
    def _is_full(self) -> bool:
        return not self._is_room_left and not self._waiting

    def _accept_while_there_is_room(self) -> None:
        """Listen for new connections, or leave them in the kernel's queue while none finds room."""
        accepts = not self._is_full and self._accepts_again_s <= time.monotonic()
        for listener in self._listeners:
            is_registered = listener in self._selector.get_map()
            if accepts and not is_registered:
                self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
            elif is_registered and not accepts:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket, *, is_last: bool = False) -> bool:
        """Accept one connection, for which another is closed if need be; whether there may be one more.

        *is_last*: whoever is not accepted now is reset.
        """
        if not self._is_room_left and not self._make_room() and not is_last:
            return False
        try:
            accepted, address = listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if isinstance(error, ConnectionAbortedError):
                return True  # it went away before it was accepted
            self._crowd.not_accepted(error)
            self._accepts_again_s = time.monotonic() + _SWEEP_S
            return is_lack(error) and self._make_room()
        try:
            connection = Connection(accepted, address, self._service)
        except OSError:  # it is gone already
            accepted.close()
            return True
        self._open.add(connection)
        self._wait_for_request(connection)
        return True

    def _make_room(self) -> bool:
        """Close the connection that waits for the longest time; whether there is one."""
        quiet = (one for one in self._waiting if not _has_come(one))
        connection = next(quiet, None)
        if connection is not None:
            self._end(connection)
            self._crowd.makes_way(self._service.gateway.most_connections)
        return connection is not None

    def _wait_for_request(self, connection: Connection) -> None:
        self._wait(connection, connection.waits_until_s - time.monotonic())

    def _linger(self, connection: Connection) -> None:
        connection.linger()
        self._wait(connection, LAST_LINGER_S if self._service.is_draining else LINGER_BETWEEN_S)

    def _wait(self, connection: Connection, wait_s: float) -> None:
        if self._service.is_stopped:
            self._end(connection)
            return
        self._waiting[connection] = time.monotonic() + wait_s
        self._selector.register(connection.socket, selectors.EVENT_READ, partial(self._readable, connection))

    def _readable(self, connection: Connection) -> None:
        self._take_out(connection)
        if not connection.is_lingering:
            self._begin(connection)
        elif connection.forgets():
            self._wait(connection, LAST_LINGER_S if self._service.is_draining else LINGER_BETWEEN_S)
        else:
            self._end(connection)

    def _take_out(self, connection: Connection) -> None:
        if self._waiting.pop(connection, None) is not None:
            self._selector.unregister(connection.socket)

    def _end(self, connection: Connection) -> None:
        self._take_out(connection)
        self._open.discard(connection)
        connection.close()
        self._tell_if_drained()

    def _tell_if_drained(self) -> None:
        if not self._open and not self._listeners:
            self._drained.set()

    def _sweep(self, now_s: float) -> None:
        """End what waited for too long, and the accepting once it is time."""
        if self._beat is not None:
            self._beat()
        self._threads.run_late()
        if now_s >= self._gives_back_s:
            self._gives_back_s = now_s + GIVE_BACK_S
            give_back()
        for connection in [one for one, until_s in self._waiting.items() if until_s <= now_s]:
            if connection.is_lingering:
                self._end(connection)
                continue
            if _has_come(connection):
                continue  # it came while this thread was held up
            self._take_out(connection)
            if connection.has_half_a_head:
                self._begin(connection)
            else:
                self._linger(connection)
        if self._is_full and poll({one.fileno(): select.POLLIN for one in self._listeners}, 0):
            self._crowd.full(len(self._open))
        if now_s >= self._nobody_in_s:
            for listener in self._listeners:
                let_nobody_in(listener)
            self._nobody_in_s = float("inf")
            # From now on, however late this is: who is just being let in comes in.
            self._last_moment_s = self._next_sweep_s = time.monotonic() + HANDSHAKE_S
        elif now_s >= self._last_moment_s:
            self._accept_no_more()

    def _begin_drain(self, listeners: Listeners) -> None:
        self._service.is_draining = True
        now_s = time.monotonic()
        self._next_sweep_s = now_s + LAST_MOMENT_S
        moment_s = LAST_MOMENT_S
        if listeners is Listeners.CLOSED:
            self._nobody_in_s = self._next_sweep_s
        else:
            self._last_moment_s = self._next_sweep_s
        if listeners is Listeners.SUCCEEDED:
            self._close_listeners()  # what waits there is the other's
            moment_s = SUCCEEDED_MOMENT_S
        for connection, until_s in self._waiting.items():
            if connection.has_half_a_head:
                continue
            left_s = LAST_LINGER_S if connection.is_lingering else moment_s
            self._waiting[connection] = min(until_s, now_s + left_s)

    def _accept_no_more(self) -> None:
        """Take what the kernel has accepted, and close the listeners."""
        self._close_listeners(accepting=True)
        self._tell_if_drained()

    def _close_listeners(self, *, accepting: bool = False) -> None:
        while self._listeners:
            listener = self._listeners.pop()
            with contextlib.suppress(KeyError):
                self._selector.unregister(listener)
            while accepting and self._accept(listener, is_last=True):
                pass
            listener.close()  # at once: who is let in meanwhile, unless nobody is, is reset

    def _cut_all(self) -> None:
        self._service.is_draining = self._service.is_stopped = True
        self._accept_no_more()
        for connection in list(self._open):
            if connection in self._waiting:
                self._end(connection)
            else:
                connection.interrupt()
        self._tell_if_drained()

    def _begin(self, connection: Connection) -> None:
        """Let a thread serve *connection*, or have it wait for one where the system gives none."""
        if not self._threads.run(partial(self._serve, connection)):
            self._crowd.threadless()

    def _serve(self, connection: Connection) -> None:
        """Serve what *connection* asks for, in a thread of its own, and give it back."""
        then = connection.serve()
        after = {Then.WAIT: self._wait_for_request, Then.LINGER: self._linger, Then.END: self._end}
        self._order(partial(after[then], connection))


def _has_come(connection: Connection) -> bool:
    """Whether something came on *connection* that was not read yet."""
    return bool(poll({connection.socket.fileno(): select.POLLIN}, 0))


class _Threads:
    """Threads that are reused, and made when all are busy: a slow request never holds up another.

    The one that rests shortest works next, so that those of a peak come to rest for good, and end.
    """

    def __init__(self) -> None:
        # Where each that rests waits for work. To append, to pop and to remove are one operation each.
        self._resting: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._late: deque[Callable[[], None]] = deque()  # what waits for a thread

    def run(self, work: Callable[[], None], *, is_late: bool = False) -> bool:
        """Have *work* done, now; False: once a thread is free, as the system gives no more. *is_late*: before
        all that waits for that.
        """
        try:
            self._resting.pop().put(work)
        except IndexError:
            try:
                threading.Thread(target=self._run, args=(work,), name="rgate-request", daemon=True).start()
            except RuntimeError:
                if is_late:
                    self._late.appendleft(work)
                else:
                    self._late.append(work)
                return False
        return True

    def run_late(self) -> None:
        """Have that done for which there was no thread. To be called now and then: all may have ended."""
        with contextlib.suppress(IndexError):
            while self.run(self._late.popleft(), is_late=True):
                pass

    def _run(self, work: Callable[[], None]) -> None:
        given: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        while True:
            work()
            del work  # and with it the connection
            if self._late:
                with contextlib.suppress(IndexError):
                    work = self._late.popleft()
                    continue
            self._resting.append(given)
            try:
                work = given.get(timeout=_RESTS_S)
            except queue.Empty:
                try:
                    self._resting.remove(given)
                except ValueError:  # it is being given work
                    work = given.get()
                else:
                    return
