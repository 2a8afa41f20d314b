"""What the sources show, and each backend's view of it all."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from rgate.core.candidates import BackendView
from rgate.core.config import ENVIRONMENT, Backend, Source
from rgate.core.container_level import Since, since_now
from rgate.core.knowledge import DEFAULT_SOURCE
from rgate.core.labels import Wanted
from rgate.core.seen import Seen
from rgate.core.selection import views_of

Views = Mapping[str, BackendView]


class Registry:
    """Takes what each watcher sees; gives an immutable mapping of views, swapped whole.

    Readers need no lock. *unix_s* is the time of day.
    """

    def __init__(
        self,
        backends: Iterable[Backend],
        sources: Iterable[Source] = (ENVIRONMENT,),
        *,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._unix_s = unix_s
        self._lock = threading.Lock()  # protects all below: watchers and a reload may change them at once
        self._generation = 0
        self._subscribers: list[Callable[[Views], None]] = []
        self._sources: tuple[Source, ...] = ()
        self._wanted: dict[str, Wanted] = {}
        self._seen: dict[str, Seen] = {}
        self._coming: dict[Source, Seen] = {}  # of those that are expected, what they show already
        self._set(backends, sources)
        self._views: Views = MappingProxyType(self._views_now())
        self._since: Since = {}

    @property
    def views(self) -> Views:
        """Each backend's view, by its name."""
        return self._views

    @property
    def generation(self) -> int:
        """How many times the views have changed."""
        return self._generation

    @property
    def since(self) -> Since:
        """When each container came in or went out, for each backend."""
        return self._since

    def subscribe(self, callback: Callable[[Views], None]) -> None:
        """Call *callback* with each new mapping of views, from the thread that changed it."""
        self._subscribers.append(callback)

    def configure(
        self,
        backends: Iterable[Backend],
        sources: Iterable[Source] = (ENVIRONMENT,),
        put_in_force: Callable[[Views], object] = lambda _: None,
    ) -> None:
        """Take other *backends* and *sources*. Nobody is called but *put_in_force*, with the views of those:
        before any others can come, and behind all that came before.

        What a source that is gone has shown is gone with it. One of the same name that is another now has the
        place of that one from its first look on.
        """
        with self._lock:
            self._set(backends, sources)
            self._refresh()
            put_in_force(self._views)

    def expect(self, backends: Iterable[Backend], sources: Iterable[Source]) -> None:
        """Keep what *sources* show, for when they are configured with *backends*."""
        with self._lock:
            coming = tuple(sources)
            self._coming = {source: Seen(None, source=source.name) for source in coming}
            self._wanted = _wanted(tuple(backends), coming) | self._wanted

    def _set(self, backends: Iterable[Backend], sources: Iterable[Source]) -> None:
        before, self._backends, self._sources = self._sources, tuple(backends), tuple(sources)
        self._wanted = _wanted(self._backends, self._sources)
        self._seen = {source.name: self._first_seen(source, before) for source in self._sources}
        self._coming = {}

    def _first_seen(self, source: Source, before: Sequence[Source]) -> Seen:
        """Return what is known of *source* from its first moment on; *before*: who was asked till then."""
        known, coming = self._seen.get(source.name), self._coming.get(source)
        if source not in before and coming is not None:
            return self._kept(known, coming)
        return known or coming or Seen(None, source=source.name)

    def _kept(self, known: Seen | None, seen: Seen) -> Seen:
        """Return *seen*, with what was *known* where it tells of nothing: a source that a reload changed, and
        that has not answered since.
        """
        if seen.containers is not None or known is None or known.containers is None:
            return seen
        if not seen.error:
            return known
        away_since = seen.away_since or known.away_since or self._unix_s()
        return replace(known, error=seen.error, away_since=away_since)

    def wants(self, labels: Mapping[str, str], source: str = DEFAULT_SOURCE) -> bool:
        """Whether some backend wants the container of *source* that has these *labels*."""
        wanted = self._wanted.get(source)
        return wanted is not None and wanted.has(labels)

    def show(self, seen: Seen, source: Source = ENVIRONMENT) -> None:
        """Put in force what *source* shows; nothing of one that is not asked."""
        with self._lock:
            if source in self._sources:
                self._seen[source.name] = self._kept(self._seen.get(source.name), seen)
                self._publish()
            elif source in self._coming:
                self._coming[source] = seen

    def _publish(self) -> None:
        if self._refresh():
            for callback in self._subscribers:
                callback(self._views)

    def _refresh(self) -> bool:
        """Make the views anew; whether they are others than before."""
        views = self._views_now()
        changed = views != self._views
        if changed:
            self._since = since_now(self._since, self._views, views, self._unix_s())
            self._views = MappingProxyType(views)
            self._generation += 1
        return changed

    def _views_now(self) -> dict[str, BackendView]:
        return views_of(self._backends, tuple(self._seen.values()))


def _wanted(backends: Sequence[Backend], sources: Iterable[Source]) -> dict[str, Wanted]:
    """Return what *backends* want of each of *sources*, by name."""
    return {
        source.name: Wanted(
            backend.match_labels
            for backend in backends
            if not backend.sources or source.name in backend.sources
        )
        for source in sources
    }
