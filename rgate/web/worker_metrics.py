"""What this worker says of itself for the metrics (behaviour 10)."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client.process_collector import ProcessCollector

from rgate.core.connections import Connections
from rgate.core.counters import Labels, Numbers, Series
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.ledger import Counted
from rgate.core.metrics import Gone, OfWorker, sources_of, states_of
from rgate.web.exposition import CONNECTIONS, CPU, LAG, LINES_LOST, POOL_CONNECTS, STARTED

_UNLABELLED: Final[Labels] = ()


class WorkerMetrics:
    """Asks the parts of this worker. Any thread may call.

    *place*: which of the workers it is. Set later: the *engine* that serves, how many *connections* it has
    (None: another server has them), how many lines each log *lost*, and the *lags* of discovery.
    """

    def __init__(self, gateway: Gateway, knowledge: Callable[[], Sequence[Knowledge]], place: str) -> None:
        self.engine = ""
        self.connections: Callable[[], Connections] | None = None
        self.lost: dict[str, Callable[[], int]] = {}
        self.lags: Callable[[], Numbers] | None = None
        self._gateway = gateway
        self._knowledge = knowledge
        self._place = place
        self._process = ProcessCollector(registry=None)
        self._gone = Gone()
        self._noting = threading.Lock()  # what changed, and what was loaded, come from two threads
        self.loaded()

    def loaded(self) -> None:
        """Take it that the configuration in force was read now."""
        self._config_loaded_s = time.time()
        self.note()

    def note(self) -> None:
        """Look at which containers there are."""
        with self._noting:
            self._gone.note(self._gateway.views.values(), time.monotonic())

    def says(self) -> OfWorker:
        """Return what it says now."""
        gateway, now_s = self._gateway, time.monotonic()
        process = {metric.name: metric.samples[0].value for metric in self._process.collect()}
        cpu_s, started_s = process.pop(CPU.removesuffix("_total"), None), process.pop(STARTED, None)
        counters: dict[str, Series] = {LINES_LOST: {(name,): (lost(),) for name, lost in self.lost.items()}}
        gauges: dict[str, Series] = {name: {_UNLABELLED: (value,)} for name, value in process.items()}
        if cpu_s is not None:
            counters[CPU] = {_UNLABELLED: (cpu_s,)}
        if self.lags is not None:
            counters[LAG] = {_UNLABELLED: self.lags()}
        if self.connections is not None:
            connections = self.connections()
            counters[POOL_CONNECTS] = {(backend,): (made,) for backend, made in connections.made.items()}
            gauges[CONNECTIONS] = _gauges(connections)
        return OfWorker(
            Counted(self._place, f"{os.getpid()} {started_s}", counters),
            gauges,
            states_of(gateway.views.values(), lambda one: gateway.balancer.is_left_out(one, now_s)),
            self._gone.seconds(now_s),
            sources_of(self._knowledge() if gateway.config.needs_docker else ()),
            self._config_loaded_s,
            started_s,
        )


def _gauges(connections: Connections) -> dict[Labels, Numbers]:
    return {
        ("client", "active"): (connections.clients_active,),
        ("client", "idle"): (connections.clients_idle,),
        ("upstream", "active"): (connections.upstreams_active,),
        ("upstream", "idle"): (connections.upstreams_idle,),
    }
