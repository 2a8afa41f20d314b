"""The containers as last heard of, and each backend's view of them."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from rgate.core.address import HostView, own_networks
from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.core.container_level import Since, since_now
from rgate.core.containers import Container, State
from rgate.core.knowledge import stale_since
from rgate.core.selection import unavailable_view, views_of
from rgate.discovery.source import Details

Views = Mapping[str, BackendView]

SIGKILL: Final = 9
# What Docker takes beyond a container's stop time-out to say that it died.
_STOP_MARGIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Known:
    details: Details
    container: Container  # with its revision, and whether it is being stopped
    stopping_until_s: float | None = None


class Registry:
    """Takes lists and changes from the watcher; gives an immutable mapping of views, swapped whole.

    Readers need no lock. Times are seconds of any one steady clock; *unix_s* is the time of day. *own_id* is
    the (short) id of the container that rgate itself runs in, "" where it runs in none.
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
        self._known: dict[str, _Known] = {}
        self._seen = False
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
            self._refresh()
            return self._views

    def unavailable(self, error: str, since: float) -> None:
        """Note that Docker has not answered *since*, in Unix seconds. What is known of containers stays."""
        with self._lock:
            self._error = error
            self._stale = stale_since(since)
            self._publish()

    def replace(self, listed: Iterable[Details], now_s: float) -> frozenset[str]:
        """Take a full list: what is not in it is gone.

        Return the ids of containers that were known otherwise, or not at all, or are gone.
        """
        with self._lock:
            self._seen = True
            self._stale = ""
            old = self._known
            self._known = {}
            for details in listed:
                identity = details.container.id
                self._known[identity] = _updated(old.get(identity), details, now_s, changed=False)
            self._publish()
            return _differing(old, self._known)

    def update(self, container_id: str, details: Details | None, now_s: float) -> None:
        """Take what Docker says of one container after an event; None: it is gone."""
        with self._lock:
            if details is None:
                self._known.pop(container_id, None)
            else:
                self._known[container_id] = _updated(
                    self._known.get(container_id), details, now_s, changed=True
                )
            self._publish()

    def signalled(self, container_id: str, signal: int, now_s: float) -> None:
        """Take a `kill` event: with its stop signal or SIGKILL, the container is being stopped."""
        with self._lock:
            known = self._known.get(container_id)
            if known is None or signal not in (known.details.stop_signal, SIGKILL):
                return
            until_s = now_s + known.details.stop_timeout_s + _STOP_MARGIN_S
            self._known[container_id] = replace(
                known, container=replace(known.container, stopping=True), stopping_until_s=until_s
            )
            self._publish()

    def started(self, container_id: str) -> None:
        """Take a `start` event: whatever was being stopped is over."""
        with self._lock:
            known = self._known.get(container_id)
            if known is not None:
                self._known[container_id] = _not_stopping(known)
                self._publish()

    def sweep(self, now_s: float) -> None:
        """Take back what is still running after its stop time-out."""
        with self._lock:
            over = {
                identity: _not_stopping(known)
                for identity, known in self._known.items()
                if known.stopping_until_s is not None and known.stopping_until_s <= now_s
            }
            if over:
                self._known |= over
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
        if not self._seen:
            return {backend.name: unavailable_view(backend, self._error) for backend in self._backends}
        containers = [known.container for known in self._known.values()]
        host = HostView(self._published_host, own_networks(self._own_id, containers))
        return views_of(self._backends, containers, host, stale=self._stale)


def _differing(old: Mapping[str, _Known], new: Mapping[str, _Known]) -> frozenset[str]:
    return frozenset(
        identity
        for identity in {**old, **new}
        if identity not in old
        or identity not in new
        or _is_otherwise(old[identity].container, new[identity].container)
    )


def _is_otherwise(old: Container, new: Container) -> bool:
    """Whether they differ, but for what lists leave out of containers that are not up."""
    if _is_up(old) or _is_up(new):
        return old != new
    return (old.name, old.state, old.labels) != (new.name, new.state, new.labels)


def _updated(old: _Known | None, details: Details, now_s: float, *, changed: bool) -> _Known:
    """Return what is known after *details*; *changed*: Docker itself reported a change of it."""
    container = details.container
    if old is None:
        return _Known(details, container)
    stopping = old.stopping_until_s is not None and now_s < old.stopping_until_s and _is_up(container)
    container = replace(container, stopping=stopping)
    grown = changed or container != replace(old.container, stopping=stopping)
    revision = old.container.revision + grown
    return _Known(details, replace(container, revision=revision), old.stopping_until_s if stopping else None)


def _is_up(container: Container) -> bool:
    return container.state in (State.RUNNING, State.PAUSED)


def _not_stopping(known: _Known) -> _Known:
    container = replace(known.container, stopping=False, revision=known.container.revision + 1)
    return replace(known, container=container, stopping_until_s=None)
