"""Signals as things to wait for, in order."""

import select
import signal
import socket
from collections.abc import Iterable
from types import FrameType
from typing import Protocol


class Orders(Protocol):
    """Where a running gateway is told what to do: numbers of signals."""

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
        for name in names:
            if number := getattr(signal, name, None):
                signal.signal(number, _noted_by_descriptor)
        signal.set_wakeup_fd(self._sender.fileno())

    def get(self) -> int:
        """Wait for the next."""
        return self._receiver.recv(1)[0]

    def wait(self, others: Iterable[socket.socket], within_s: float | None) -> int | None:
        """Wait for the next; None once one of *others* can be read, or after *within_s*."""
        ready, _, _ = select.select([self._receiver, *others], [], [], within_s)
        return self.get() if self._receiver in ready else None

    def tell_done(self) -> None:
        """Give 0 to whoever waits."""
        self._sender.send(b"\0")


def _noted_by_descriptor(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: without a handler of Python's, the default action would end the process."""
