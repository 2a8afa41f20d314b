"""A stream of rgate's own, for a thread that waits for each piece of it (behaviour 10.live)."""

import threading
import time
from collections.abc import Iterator
from typing import Final

from rgate.core.patience import IDLE_S
from rgate.core.problem import OwnStream
from rgate.engines.sockets import ENDED, poll
from rgate.telling.live import Live

_LOOK_S: Final = 0.1
"""Whoever waits for a client that reads slowly looks so often whether rgate ends."""


class StreamAnswer:
    """What *live* tells, as an iterable of content (PEP 3333). It is the `Viewer`."""

    def __init__(self, own: OwnStream, live: Live) -> None:
        self.own = own
        self._live = live
        self._given = threading.Condition()
        self._data = b""  # that was given, and not taken yet
        self._has_ended = False

    # What the thread of `Live` calls.

    @property
    def is_ready(self) -> bool:
        """Whether what was given is taken."""
        return not self._data

    def take(self, data: bytes) -> None:
        """Take the next piece."""
        with self._given:
            self._data = data
            self._given.notify()

    def end(self) -> None:
        """Take it that nothing more comes."""
        with self._given:
            self._has_ended = True
            self._given.notify()

    # What the thread of the connection calls.

    def __iter__(self) -> Iterator[bytes]:
        """Yield each piece as it comes."""
        opened = self._live.open(self, self.own)
        yield opened.first
        while opened.goes_on:
            with self._given:
                self._given.wait_for(lambda: self._data or self._has_ended)
                data, self._data = self._data, b""
            if not data:
                return
            yield data

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait for *event* on the client's *descriptor*; whether it came in time, and before rgate ends."""
        until_s = time.monotonic() + IDLE_S
        while not self._has_ended and time.monotonic() < until_s:
            if ready := poll({descriptor: event | ENDED}, _LOOK_S):
                return bool(ready.get(descriptor, 0) & event)
        return False

    def close(self) -> None:
        """Take it that nothing more is sent (PEP 3333)."""
        self._live.leave(self)
