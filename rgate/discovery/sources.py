"""All sources together: a watcher for each, which knows nothing of the others (behaviour 12)."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rgate.core.config import Backend, Source
from rgate.core.counters import Numbers, added, nothing
from rgate.core.knowledge import Knowledge
from rgate.core.timeline import TimelineEvent
from rgate.discovery.daemon import Daemon, daemon_of
from rgate.discovery.docker_errors import shown_host
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.registry import Registry
from rgate.discovery.source import ContainerSource
from rgate.discovery.swarm_source import SwarmSource
from rgate.discovery.watcher import LAG_BOUNDS_S, Watcher

# So long a reload waits for sources that are new, and with it whatever signal comes meanwhile.
_EXPECTED_WITHIN_S: Final = 1.0


def opened(source: Source) -> tuple[ContainerSource, Daemon]:
    """Return who is asked for the containers of *source*, and where. Nobody is asked yet."""
    daemon = daemon_of(source)
    return (SwarmSource(daemon) if source.swarm else DockerSource(daemon)), daemon


def shown(sources: Sequence[Source]) -> str:
    """Return who is asked, for people."""
    named = ((source.name, daemon_of(source)) for source in sources)
    told = [
        (name, shown_host(one.host) if one.host else f"no Docker, as {one.problem}") for name, one in named
    ]
    return ", ".join(f"{name} ({where})" if len(told) > 1 else where for name, where in told)


class Sources:
    """Watches what a configuration names, from `start` on. *tell* takes how it goes, an event at a time.

    *own_id*: see `Watcher`. One thread at a time may change what is watched; any may ask.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        registry: Registry,
        *,
        own_id: str = "",
        tell: Callable[[TimelineEvent], object] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._own_id = own_id
        self._tell = tell
        self._is_started = False
        self._watchers: dict[Source, Watcher] = {}  # replaced whole, as other threads read it
        self._coming: dict[Source, Watcher] = {}
        self._gone = nothing(LAG_BOUNDS_S)  # the lags of those that are not watched any more
        self.configure(sources)

    @property
    def knowledge(self) -> tuple[Knowledge, ...]:
        """How fresh what is known of each source is now."""
        return tuple(watcher.knowledge for watcher in self._watchers.values())

    @property
    def lags(self) -> Numbers:
        """See `Watcher.lags`; of all that were watched."""
        lags = self._gone
        for watcher in self._watchers.values():
            lags = added(lags, watcher.lags)
        return lags

    @property
    def unheard(self) -> tuple[str, ...]:
        """Those that have not answered yet, by name."""
        return tuple(source.name for source, watcher in self._watchers.items() if not watcher.has_listed)

    def expect(self, backends: Iterable[Backend], sources: Sequence[Source]) -> None:
        """Look at those of *sources* that are new, for a while, before they are configured with *backends*,
        so that what others know does not go out before something is known of them.
        """
        new = [source for source in sources if source not in self._watchers]
        if new and self._is_started:
            self._registry.expect(backends, new)
            self._coming = {source: self._watcher(source) for source in new}
            for watcher in self._coming.values():
                watcher.is_named = len(sources) > 1
                watcher.start()
            _wait_first_look(self._coming.values(), _EXPECTED_WITHIN_S)

    def configure(self, sources: Iterable[Source]) -> None:
        """Watch *sources* and no others; those that were watched before go on undisturbed."""
        before = self._watchers
        known = before | self._coming
        self._watchers = {source: known.get(source) or self._watcher(source) for source in sources}
        self._coming = {}
        for source, watcher in before.items():
            if source not in self._watchers:
                watcher.stop()
                self._gone = added(self._gone, watcher.lags)
        for watcher in self._watchers.values():
            watcher.is_named = len(self._watchers) > 1
        if self._is_started:
            self.start()

    def _watcher(self, source: Source) -> Watcher:
        asked, daemon = opened(source)
        return Watcher(
            asked,
            self._registry,
            of=source,
            published_host=daemon.published_host,
            own_id=self._own_id,
            tell=self._tell,
        )

    def start(self) -> None:
        """Begin to look, where that has not begun."""
        self._is_started = True
        for watcher in self._watchers.values():
            watcher.start()

    def look_again(self) -> None:
        """Look for what the registry wants now, as its backends are others."""
        for watcher in self._watchers.values():
            watcher.look_again()

    def wait_first_look(self, timeout_s: float) -> bool:
        """Wait until the first look at each source has ended, either way; whether it has."""
        return _wait_first_look(self._watchers.values(), timeout_s)

    def stop(self) -> None:
        """End, without waiting for who does not answer."""
        for watcher in self._watchers.values():
            watcher.stop()


def _wait_first_look(watchers: Iterable[Watcher], timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    return all(one.wait_first_look(max(0.0, until_s - time.monotonic())) for one in watchers)
