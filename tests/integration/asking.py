"""Clients that ask without pause, each request by one of two kinds, and note what they lost."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Asked:
    """What came of all requests."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, lost: str | None) -> None:
        with self._changed:
            if lost is None:
                self.answered += 1
            else:
                self.lost.append(lost)
            self._changed.notify_all()

    def wait_for(self, answered: int, within_s: float = 60) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= answered, within_s), self


@contextlib.contextmanager
def asking(port: int, *, new: int = 2, kept: int = 2, path: str = "/api/x") -> Iterator[Asked]:
    """Ask from so many threads with a *new* connection for each request, and from others on *kept* ones."""
    asked, is_over = Asked(), threading.Event()
    threads = [
        threading.Thread(target=_ask, args=(port, path, asked, is_over, kind))
        for kind in ["new"] * new + ["kept"] * kept
    ]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        is_over.set()
        for thread in threads:
            thread.join(30)


def _ask(port: int, path: str, asked: Asked, is_over: threading.Event, kind: str) -> None:
    fields = {"Connection": "close"} if kind == "new" else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    number = 0
    while not is_over.is_set():
        number += 1
        try:
            connection.request("GET", path, headers=fields)
            with connection.getresponse() as response:
                content = response.read()
            asked.add(None if (response.status, content) == (200, b"ok") else f"{kind}: {response.status}")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            asked.add(f"{kind} {number}: {error!r}")
    connection.close()
