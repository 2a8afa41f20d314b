"""The metrics, and how they are written: by the official client of Prometheus (behaviour 10)."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from rgate.core.counters import Series
from rgate.core.escape import storable
from rgate.discovery.watcher import LAG_BOUNDS_S
from rgate.stats.lifetime import BOUNDS_S

CANDIDATES: Final = "rgate_candidates"
CONNECTIONS: Final = "rgate_connections"
POOL_CONNECTS: Final = "rgate_pool_connects_total"
LAG: Final = "rgate_discovery_lag_seconds"
AGE: Final = "rgate_discovery_age_seconds"
CONNECTED: Final = "rgate_docker_connected"
LINES_LOST: Final = "rgate_log_lines_lost_total"
CONFIG_LOADED: Final = "rgate_config_loaded_timestamp_seconds"
BUILD: Final = "rgate_build_info"
CPU: Final = "process_cpu_seconds_total"
STARTED: Final = "process_start_time_seconds"

_NANOSECOND: Final = 1e-9
_TURN: Final = 64
"""So many lines are written at once; then others may go on."""


@dataclass(frozen=True, slots=True)
class Told:
    """A metric. *kind*: counter, gauge, histogram or info. *text*: what it is, for people."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    bounds_s: tuple[float, ...] = ()  # of a histogram
    unit: float = 1  # by which its sum is multiplied

    @property
    def family(self) -> str:
        """Its name without what its kind adds to it."""
        return self.name.removesuffix({"counter": "_total", "info": "_info"}.get(self.kind, ""))


METRICS: Final = (
    Told(
        "rgate_requests_total",
        "counter",
        "Requests that ended, as /stats counts them: since the database was made.",
        ("route", "backend", "status"),
    ),
    Told(
        "rgate_container_requests_total",
        "counter",
        "Of these, those that a container answered. Told until an hour after it is gone.",
        ("backend", "container", "status"),
    ),
    Told(
        "rgate_request_duration_seconds",
        "histogram",
        "From a request's first byte to the last of its response, for the same requests.",
        ("route", "backend"),
        BOUNDS_S,
        _NANOSECOND,
    ),
    Told(
        "rgate_problems_total",
        "counter",
        "Requests that rgate answered or ended by itself, and why: X-Rgate-Reason.",
        ("reason",),
    ),
    Told(
        CANDIDATES,
        "gauge",
        "Containers of a backend: in, resting after a failure, or why they get no requests.",
        ("backend", "state"),
    ),
    Told(CONNECTIONS, "gauge", "Open connections, with a request on them or without.", ("side", "state")),
    Told(POOL_CONNECTS, "counter", "New connections made to containers, since the start.", ("backend",)),
    Told(
        LAG,
        "histogram",
        "From Docker's event to what it tells of being in force, in each worker, since the start.",
        (),
        LAG_BOUNDS_S,
    ),
    Told(AGE, "gauge", "Since the last full list of containers began.", ("source",)),
    Told(CONNECTED, "gauge", "Whether the source of containers answers: 1 or 0.", ("source",)),
    Told(LINES_LOST, "counter", "Lines that could not be written to a log, since the start.", ("log",)),
    Told(CONFIG_LOADED, "gauge", "When the configuration in force was read, in Unix seconds."),
    Told(BUILD, "info", "What runs here.", ("version", "engine", "python")),
    Told(CPU, "counter", "User and system CPU time of all workers, since the start."),
    Told("process_resident_memory_bytes", "gauge", "Resident memory of all workers."),
    Told("process_virtual_memory_bytes", "gauge", "Virtual memory of all workers."),
    Told("process_open_fds", "gauge", "Open file descriptors of all workers."),
    Told("process_max_fds", "gauge", "How many file descriptors all workers may open."),
    Told(STARTED, "gauge", "When the worker that runs longest started, in Unix seconds."),
)


def exposition(values: Mapping[str, Series], accept: str) -> tuple[bytes, str]:
    """Return *values*, those of each metric by its name, as *accept* (RFC 9110 12.5.1) asks for them, and the
    media type. A metric without values is left out.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Collected(values)), content_type


class _Collected(Collector):
    def __init__(self, values: Mapping[str, Series]) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for told in METRICS:
            if series := self._values.get(told.name):
                metric = Metric(told.family, told.text, told.kind)
                # Made as they are written: of thousands of routes there are a hundred thousand.
                metric.samples = cast(list[Sample], _Samples(told, series))
                yield metric


class _Samples:
    def __init__(self, told: Told, series: Series) -> None:
        self._told = told
        # As the figures have the names, so that all metrics name one thing alike.
        self._series = {tuple(map(storable, labels)): numbers for labels, numbers in series.items()}

    def __iter__(self) -> Iterator[Sample]:
        for number, sample in enumerate(self._samples()):
            if number % _TURN == 0:
                time.sleep(0)
            yield sample

    def _samples(self) -> Iterator[Sample]:
        told = self._told
        bounds = [*map(floatToGoString, told.bounds_s), "+Inf"]
        for values in sorted(self._series):
            numbers, labels = self._series[values], dict(zip(told.labels, values, strict=True))
            if told.kind != "histogram":
                yield Sample(told.name, labels, numbers[0])
                continue
            for bound, number in zip(bounds, numbers[1:], strict=True):
                yield Sample(f"{told.name}_bucket", {**labels, "le": bound}, number)
            yield Sample(f"{told.name}_count", labels, numbers[-1])
            yield Sample(f"{told.name}_sum", labels, numbers[0] * told.unit)
