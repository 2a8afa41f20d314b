"""The page of the metrics, `/_rgate/metrics`: the sum of all workers, from memory (behaviour 10)."""

import platform
from collections.abc import Mapping
from typing import Any, Final

from rgate._version import __version__
from rgate.core.counters import ZERO, Counters, Labels, Numbers, Series
from rgate.core.gateway import Gateway
from rgate.core.ledger import Figures, Ledger
from rgate.core.metrics import IN, RESTING, OfAll, OfWorker, of_all
from rgate.core.reasons import Reason
from rgate.stats import Stats
from rgate.stats.lifetime import CONTAINER_REQUESTS, PROBLEMS, Part, counters_of, ever
from rgate.telling.shared_ledger import SharedLedger
from rgate.telling.siblings import Siblings
from rgate.web.exposition import (
    AGE,
    BUILD,
    CANDIDATES,
    CONFIG_LOADED,
    CONNECTED,
    POOL_CONNECTS,
    STARTED,
    exposition,
)
from rgate.web.worker_metrics import WorkerMetrics

_QUESTION: Final = "metrics"
_MOST_FOLDED: Final = 1000
"""Of so many live files the others are told: more are those of long ago, and too long a question."""


class MetricsPage:
    """Tells of this *worker* and its *siblings*, and of the figures. Any thread may call."""

    def __init__(self, gateway: Gateway, worker: WorkerMetrics, stats: Stats, siblings: Siblings) -> None:
        self._gateway = gateway
        self._worker = worker
        self._stats = stats
        self._siblings = siblings
        self._ledger = SharedLedger(siblings.directory)
        self._folded: Mapping[str, int] = {}  # as the database said when this was asked last
        siblings.answer(_QUESTION, self._answer)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics as *accept* asks for them, and their media type."""
        return exposition(self.values(), accept)

    def values(self) -> dict[str, Series]:
        """Return the values of each metric. None falls, whichever worker was asked before."""
        folded = self._folded if len(self._folded) <= _MOST_FOLDED else {}
        answers = self._siblings.ask(_QUESTION, {"folded": folded}).values
        workers = [OfWorker.of_json(answer["worker"]) for answer in answers]
        # Behind the parts, so that nothing is folded in between that is in neither.
        figures = self._figures([Part.of_json(part) for answer in answers for part in answer["parts"]])
        together = of_all(workers)

        def told(ledger: Ledger) -> Ledger:
            counted = ledger.with_workers(one.counted for one in workers).with_figures(figures)
            return counted.with_only(lambda name, labels: _is_kept(together, name, labels))

        return self._told(self._ledger.update(told), together)

    def _figures(self, parts: list[Part]) -> Figures | None:
        """Return the figures with these *parts*; None: the database has not said yet what is in it."""
        parts = [*self._stats.parts_of_others({part.live_id for part in parts}), *parts]
        lifetime = self._stats.lifetime()
        if lifetime is None:
            return None
        self._folded = lifetime.folded
        return Figures(lifetime.database, counters_of(ever(lifetime, parts)))

    def _told(self, ledger: Ledger, together: OfAll) -> dict[str, Series]:
        build = (__version__, self._worker.engine, platform.python_version())
        values: dict[str, Series] = {
            **ledger.since_start(),
            **together.gauges,
            **({} if ledger.figures is None else _with_all_reasons(ledger.figures.counters)),
            CANDIDATES: _candidates(together),
            AGE: {(name,): (one.age_s,) for name, one in together.sources.items() if one.age_s is not None},
            CONNECTED: {(name,): (int(one.connected),) for name, one in together.sources.items()},
            CONFIG_LOADED: {(): (together.config_loaded_s,)},
            BUILD: {build: (1,)},
        }
        if together.started_s is not None:
            values[STARTED] = {(): (together.started_s,)}
        if POOL_CONNECTS in values:
            none: dict[Labels, Numbers] = {(backend.name,): ZERO for backend in self._gateway.config.backends}
            values[POOL_CONNECTS] = {**none, **values[POOL_CONNECTS]}
        return values

    def _answer(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what this worker knows, as JSON values."""
        parts = self._stats.parts(arguments["folded"])
        return {"worker": self._worker.says().as_json(), "parts": [part.as_json() for part in parts]}


def _is_kept(together: OfAll, name: str, labels: Labels) -> bool:
    return name != CONTAINER_REQUESTS or together.is_kept(labels[0], labels[1])


def _with_all_reasons(figures: Counters) -> Counters:
    """Return *figures* with the reasons that did not happen yet: a rate wants to see them begin."""
    none: dict[Labels, Numbers] = {(reason.value,): ZERO for reason in Reason}
    return {**figures, PROBLEMS: {**none, **figures[PROBLEMS]}}


def _candidates(together: OfAll) -> Series:
    counts: dict[Labels, Numbers] = {}
    for backend, states in together.states.items():
        for state in (IN, RESTING, *states.values()):
            counts.setdefault((backend, state), ZERO)
        for state in states.values():
            counts[backend, state] = (counts[backend, state][0] + 1,)
    return counts
