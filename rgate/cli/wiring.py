"""Puts the parts together: configuration, discovery, figures, pages and an engine."""

import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from flask import Flask

from rgate._version import __version__
from rgate.cli.config_file import load_config
from rgate.core.candidates import Candidate
from rgate.core.config import Config
from rgate.core.connections import Connections
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.record import Counter, Record, RecordLog, RequestLog, Whole
from rgate.core.succession import Listeners
from rgate.core.tracing import tracer_of
from rgate.discovery.own_container import own_container_id
from rgate.discovery.registry import Registry
from rgate.discovery.sources import Sources
from rgate.engines import ENGINES
from rgate.stats import Stats, open_stats
from rgate.telling.balanced import Balanced
from rgate.telling.log import lines_lost
from rgate.telling.process import Process, Started
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone, Siblings
from rgate.telling.timeline import Comings, Refusals, Timeline
from rgate.web.app import create_web
from rgate.web.pages import Web
from rgate.web.worker_metrics import WorkerMetrics

if TYPE_CHECKING:
    from rgate.telling.traces import Traces

# Made before workers are, so that all of them decide alike on a trace.
_TRACES_KEY: Final = os.urandom(16)


class Engine(Protocol):
    """Serves a gateway. See `rgate.engines`."""

    def start(self, listeners: Sequence[socket.socket], beat: Callable[[], object] | None = None) -> None:
        """Begin to accept on *listeners*, and return. They are closed when no more is accepted.

        *beat* is called each second or oftener, by what carries or accepts requests, as long as that runs.
        """

    def connections(self) -> Connections:
        """Return how many connections there are. Any thread may ask."""

    def drain(self, within_s: float, listeners: Listeners = Listeners.CLOSED) -> bool:
        """Stop accepting, and wait for what is under way; whether all ended in time.

        *listeners*: what becomes of them. Where another rgate accepts on them, this one need not, and has
        more time for clients whose connections are idle; where nobody else holds them, nobody is let in
        before they are closed.
        """

    def under_way(self) -> Mapping[tuple[str, Candidate], int]:
        """Return how many requests each candidate of a backend is asked for now. Any thread may call."""

    def stop(self) -> None:
        """End at once. What is still under way is cut, and recorded before this returns."""


class _All:
    """A RequestLog for the figures, the stories, and others that want a record of each request; and for
    *traces*, to which only some go.
    """

    def __init__(
        self, stats: Stats, stories: Rings, others: Iterable[RecordLog], traces: RecordLog | None
    ) -> None:
        self._stats = stats
        self._others = tuple(others)
        self._logs: list[RecordLog | Rings] = [stats, stories, *self._others]
        if traces is not None:
            self._logs.append(traces)
        self.keep: Callable[[Whole], object] = stories.keep

    def add(self, record: Record) -> None:
        for request_log in self._logs:
            request_log.add(record)

    def counter(self, route: str, backend: str, container: str) -> Counter | None:
        return None if self._others else self._stats.counter(route, backend, container)


@dataclass(frozen=True, slots=True)
class Wired:
    """One gateway with all that it needs."""

    gateway: Gateway
    registry: Registry
    sources: Sources
    stats: Stats
    stories: Rings
    process: Process
    comings: Comings
    metrics: WorkerMetrics
    web: Web
    log: RequestLog
    traces: "Traces | None"

    def watch_if_needed(self) -> None:
        """Look for containers where a backend names any: fixed `urls` need no Docker."""
        if self.gateway.config.needs_docker:
            self.sources.start()

    def reload(self, config: Config) -> None:
        """Put *config* in force, whole."""
        self.sources.expect(config.backends, config.asked_sources)
        self.registry.configure(config.backends, config.asked_sources, partial(self.gateway.swap, config))
        self.sources.configure(config.asked_sources)
        self.stories.note(self.gateway.snapshot)
        self.comings.look()
        self.metrics.loaded()
        self.sources.look_again()
        self.watch_if_needed()

    def close(self) -> None:
        """End what runs beside the requests, and store the figures."""
        self.sources.stop()
        traces_sent = self.traces.closing() if self.traces is not None else lambda: None
        self.stats.close()
        traces_sent()


def wire(
    config: Config,
    *,
    can_tunnel: bool,
    database: str | None = None,
    seed: int | None = None,
    logs: Iterable[RecordLog] = (),
    workers: int = 1,
    descriptors: int = 1 << 30,
    siblings: Siblings | None = None,
    process: Process | None = None,
    must_work: bool = True,
) -> Wired:
    """Return a gateway for *config*, one of *workers*, and for an engine that *can_tunnel*.

    *descriptors*: how many each process may have open.

    *siblings* are all processes of this rgate; None: it is the only one. *process*: what this one knows of
    itself; None: nothing yet.

    Raises StatsError where the database cannot be used; unless it *must_work*, it is waited for.
    """
    stats = open_stats(database or config.stats.database, must_work=must_work)
    registry = Registry(config.backends, config.asked_sources)
    pick: Callable[[], float] = random.Random(seed).random  # noqa: S311 - a pick need not be secret
    gateway = Gateway(
        config,
        registry.views,
        pick,
        can_tunnel=can_tunnel,
        machine_name=socket.gethostname(),
        workers=workers,
        descriptors=descriptors,
        tracer=tracer_of(config.tracing, _TRACES_KEY, random.Random().getrandbits),  # noqa: S311 - ids are no secrets
    )
    registry.subscribe(gateway.swap_views)
    process = process or Process(Timeline(began=time.time()), Started(__version__))
    timeline = process.timeline
    sources = Sources(config.asked_sources, registry, own_id=own_container_id(), tell=timeline.add)

    def knowledge() -> tuple[Knowledge, ...]:
        return sources.knowledge

    stories = Rings(knowledge)
    stories.note(gateway.snapshot)
    registry.subscribe(lambda _: stories.note(gateway.snapshot))
    process.knows(lambda: registry.since)
    comings = Comings(timeline, lambda: registry.views)
    registry.subscribe(lambda _: comings.look())
    balanced = Balanced(lambda: registry.views)
    registry.subscribe(lambda _: balanced.look())
    gateway.balancer.told = Refusals(timeline, lambda: gateway.views)
    siblings = siblings or Alone()
    metrics = WorkerMetrics(gateway, knowledge, siblings.place)
    metrics.lags = lambda: sources.lags
    metrics.lost["stderr"] = lines_lost
    registry.subscribe(lambda _: metrics.note())
    app = create_web(
        gateway,
        stats,
        knowledge,
        stories=stories,
        siblings=siblings,
        process=process,
        metrics=metrics,
    )
    web = Web(gateway, app, knowledge, stories)
    traces = _open_traces(config)
    log = _All(stats, stories, logs, traces)
    return Wired(gateway, registry, sources, stats, stories, process, comings, metrics, web, log, traces)


def _open_traces(config: Config) -> "Traces | None":
    """Return what sends spans; None without `tracing`, which may be all that needs OpenTelemetry."""
    if config.tracing is None:
        return None
    from rgate.telling.traces import Traces

    return Traces(config.tracing.endpoint)


def make_engine(name: str, wired: Wired) -> Engine:
    """Return the engine called *name*, one of ENGINES."""
    module, _, attribute = ENGINES[name].partition(":")
    made = getattr(import_module(module), attribute)
    engine = cast(Engine, made(wired.gateway, wired.web, wired.log))
    wired.process.serves(engine.under_way)
    wired.metrics.engine, wired.metrics.connections = name, engine.connections
    return engine


def create_app(config: Config | str) -> Flask:
    """Return a wired gateway as a WSGI application; see `rgate.create_app`."""
    wired = wire(load_config(config, is_used=True) if isinstance(config, str) else config, can_tunnel=False)
    wired.watch_if_needed()
    from rgate.engines.flask_engine import create_flask_app, under_way_in

    app = create_flask_app(wired.gateway, wired.web, wired.log)
    wired.process.serves(partial(under_way_in, app))
    return app
