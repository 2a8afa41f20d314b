"""The containers as last heard of, and each backend's view of them."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from rgate.core.address import HostView, own_networks
from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.core.container_level import Since, since_now
from rgate.core.containers import Container
from rgate.core.labels import Wanted
from rgate.core.selection import unavailable_view, views_of

Views = Mapping[str, BackendView]


class Registry:
    """Takes the containers from the watcher; gives an immutable mapping of views, swapped whole.

    Readers need no lock. *unix_s* is the time of day. *own_id* is the (short) id of the container that rgate
    itself runs in, "" where it runs in none.
    """

    def __init__(
        self,
        backends: Iterable[Backend],
        *,
        published_host: str = "",
        own_id: str = "",
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._unix_s = unix_s
        self._published_host = published_host
        self._own_id = own_id
        self._lock = threading.Lock()  # protects all below: the watcher and a reload may change them at once
        self._backends = tuple(backends)
        self._wanted = Wanted(backend.match_labels for backend in self._backends)
        self._containers: tuple[Container, ...] | None = None
        self._error = ""
        self._stale = ""
        self._generation = 0
        self._subscribers: list[Callable[[Views], None]] = []
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

    def configure(self, backends: Iterable[Backend]) -> Views:
        """Return the views of other *backends*, in force from now on; subscribers are not called."""
        with self._lock:
            self._backends = tuple(backends)
            self._wanted = Wanted(backend.match_labels for backend in self._backends)
            self._refresh()
            return self._views

    def wants(self, labels: Mapping[str, str]) -> bool:
        """Whether some backend wants the container that has these *labels*."""
        return self._wanted.has(labels)

    def show(self, containers: Iterable[Container] | None, *, error: str = "", stale: str = "") -> None:
        """Put in force what is known: all *containers*, None where Docker has not answered yet.

        *error*: why it does not answer; *stale*: see `BackendView`.
        """
        with self._lock:
            self._containers = None if containers is None else tuple(containers)
            self._error = error
            self._stale = stale
            self._publish()

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
        if self._containers is None:
            return {backend.name: unavailable_view(backend, self._error) for backend in self._backends}
        host = HostView(self._published_host, own_networks(self._own_id, self._containers))
        return views_of(self._backends, self._containers, host, stale=self._stale)
