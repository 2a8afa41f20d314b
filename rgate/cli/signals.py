"""Signals as things to wait for, in order."""

import contextlib
import selectors
import signal
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Final, Protocol

ENDED: Final = 253
"""An order that is no signal's: to end as at SIGTERM, as nobody else holds the listeners."""

REPLACED: Final = 254
"""An order that is no signal's: to end as at SIGTERM, as another rgate serves on."""

# Of several that wait one is enough. Another SIGTERM is one more, which says: at once.
_FOLDED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
_MOST_AT_ONCE: Final = 4096


class Orders(Protocol):
    """Where a running gateway is told what to do: numbers of signals, ENDED and REPLACED."""

    def get(self) -> int:
        """Wait for the next. 0: what was waited for beside them is done."""

    def tell_done(self) -> None:
        """Give 0 to whoever waits."""


class Signals:
    """The `Orders` that come as signals.

    Through Python's wake-up descriptor, which the C handler writes to in whatever thread the kernel
    chose: a main thread that waits on a lock would not notice one that another thread took.
    """

    def __init__(self, names: Iterable[str] = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._waiting: deque[int] = deque()
        numbers = [signal.Signals[name] for name in names]
        signal.set_wakeup_fd(self._sender.fileno())
        for number in numbers:
            signal.signal(number, _noted_by_descriptor)
        # They waited up to here, and whoever started rgate may have left them so.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def get(self) -> int:
        """Wait for the next."""
        if not self._waiting:
            for number in self._receiver.recv(_MOST_AT_ONCE):
                if number not in _FOLDED or number not in self._waiting:
                    self._waiting.append(number)
        return self._waiting.popleft()

    def wait(self, others: Iterable[socket.socket], within_s: float | None) -> int | None:
        """Wait for the next; None once one of *others* can be read, or after *within_s*."""
        if self._waiting or self._receiver in readable([self._receiver, *others], within_s):
            return self.get()
        return None

    def tell(self, number: int) -> None:
        """Give *number* to whoever waits, as if that signal had come. Any thread may call."""
        self._sender.send(bytes([number]))

    def tell_done(self) -> None:
        """Give 0 to whoever waits."""
        self.tell(0)


def readable(sockets: Iterable[socket.socket], within_s: float | None) -> list[socket.socket]:
    """Return those of *sockets* that can be read, once there is one, or after *within_s*; None: no limit."""
    # Not select(2): with many workers there are descriptors beyond its 1,024.
    with selectors.DefaultSelector() as selector:
        of = {selector.register(one, selectors.EVENT_READ).fd: one for one in sockets}
        return [of[key.fd] for key, _ in selector.select(within_s)]


def _noted_by_descriptor(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: without a handler of Python's, the default action would end the process."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let signals wait meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_supervisor() -> None:
    """Let signals do nothing in a worker: a terminal sends them to all processes of an rgate."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
