"""Who was a candidate when: what is kept of views that are no longer in force (behaviour 9.why)."""

import threading
from collections import deque
from typing import Final, NamedTuple

from rgate.core.candidates import BackendView
from rgate.core.gateway import Snapshot
from rgate.core.story import Then, candidates_of

MOST_VIEWS: Final = 16
"""Different ones of a backend;"""

MOST_CONTAINERS: Final = 20_000
"""and so many containers in all, with some hundred bytes each. The oldest views go first."""


class _Past(NamedTuple):
    since: int  # the generation that it came with
    backend: str
    then: tuple[Then, ...]


class PastViews:
    """Names and sentences, and no view: those would keep all else alive that was known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects all below: the watcher and a reload note, pages ask
        self._now: dict[str, BackendView] = {}
        self._of: dict[str, deque[_Past]] = {}
        self._generation = 0
        self._containers = 0

    def note(self, snapshot: Snapshot) -> None:
        """Take the views of *snapshot*, which is in force now."""
        with self._lock:
            if snapshot.generation <= self._generation:
                return  # another thread was quicker, and told of a later one
            self._generation = snapshot.generation
            for name, view in snapshot.views.items():
                if self._now.get(name) != view:
                    self._add(_Past(snapshot.generation, name, candidates_of(view)))
            for gone in self._of.keys() - snapshot.views.keys():
                self._add(_Past(snapshot.generation, gone, ()))
            self._now = dict(snapshot.views)
            while self._containers > MOST_CONTAINERS:
                self._forget(min(self._of.values(), key=lambda known: known[0].since))

    def _add(self, past: _Past) -> None:
        known = self._of.setdefault(past.backend, deque())
        if known and known[-1].then == past.then:
            return
        known.append(past)
        self._containers += 1 + len(past.then)
        if len(known) > MOST_VIEWS:
            self._forget(known)

    def _forget(self, known: deque[_Past]) -> None:
        past = known.popleft()
        self._containers -= 1 + len(past.then)
        if not known:
            del self._of[past.backend]

    def then(self, backend: str, generation: int) -> tuple[Then, ...] | None:
        """Return the containers of *backend* as *generation* knew them; None: that is not known any more."""
        with self._lock:
            for past in reversed(self._of.get(backend, ())):
                if past.since <= generation:
                    return past.then
        return None
