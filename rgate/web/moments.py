"""What open pages are told of, as it is now, of all workers (behaviour 10.live)."""

from collections.abc import Mapping
from typing import Any, Final

from rgate.core.gateway import Gateway
from rgate.core.live import MOST_A_SECOND
from rgate.core.timeline import TimelineEvent
from rgate.stats import Stats
from rgate.telling.live import Document, Happened, Heard
from rgate.telling.recent import Recent
from rgate.telling.rings import Rings
from rgate.telling.siblings import Answers, Siblings
from rgate.web.backends_page import BackendsPage
from rgate.web.documents import Document as Model
from rgate.web.documents import (
    RequestDocument,
    SeriesByRouteDocument,
    TickDocument,
    TimelineEventDocument,
)
from rgate.web.verdict_page import VerdictPage

_QUESTION: Final = "live"
_WITHIN_S: Final = 0.2
"""A worker that hangs does not keep the figures of the others back for longer."""


class Moments:
    """Implements `Source`: what the pages of the same names say, of this worker and its *siblings*."""

    def __init__(
        self,
        gateway: Gateway,
        stats: Stats,
        stories: Rings,
        recent: Recent,
        siblings: Siblings,
        backends: BackendsPage,
        verdict: VerdictPage,
    ) -> None:
        self._gateway = gateway
        self._stats = stats
        self._stories = stories
        self._recent = recent
        self._siblings = siblings
        self._backends = backends
        self._verdict = verdict
        siblings.answer(_QUESTION, self._answer)

    @property
    def generation(self) -> int:
        """A number that changes with what discovery knows, and with the configuration."""
        return self._gateway.snapshot.generation

    def tick(self, window_s: int, verdict: Document) -> Document:
        """Return what is told each second."""
        series = self._stats.series(window_s)
        return _json(TickDocument.of_series(series, verdict["freshness"]))

    def verdict(self) -> Document:
        """Return the verdict."""
        return _json(self._verdict.document())

    def backends(self, window_s: int) -> Document:
        """Return all backends."""
        return _json(self._backends.document(window_s))

    def routes(self, window_s: int) -> Document:
        """Return the figures of each route."""
        return _json(SeriesByRouteDocument.of_series(*self._stats.series_by_route(window_s)))

    def happened(self, heard: Heard, until_ns: int) -> tuple[dict[str, Happened], Heard]:
        """Return the failures of all workers, and what happened, each event once; and who was heard."""
        wanted = {**heard._asdict(), "until_ns": until_ns}
        answers = self._siblings.ask(_QUESTION, wanted, _WITHIN_S)
        own, *others = answers.values
        unseen = [event for one in others for event in one["timeline"] if event["is_own"]]
        events = sorted((*own["timeline"], *unseen), key=lambda event: event["at"])
        told = [TimelineEvent.of_json(event) for event in events]
        happened = {
            "failure": _failures(answers),
            "timeline": Happened(
                len(told),
                [_json(TimelineEventDocument.of_event(event)) for event in told[:MOST_A_SECOND]],
            ),
        }
        answered = {one["place"]: until_ns for one in answers.values}
        return happened, heard._replace(by_place={**heard.by_place, **answered})

    def _answer(self, arguments: Mapping[str, Any]) -> Document:
        """Tell what happened in this worker, as JSON values."""
        place, until_ns = self._siblings.place, arguments["until_ns"]
        since_ns = arguments["by_place"].get(place, arguments["since_ns"])
        number, failures = self._stories.failures(since_ns, until_ns, MOST_A_SECOND)
        return {
            "place": place,
            "failures": number,
            "requests": [RequestDocument.of_record(record).as_json() for record in failures],
            "timeline": [event.as_json() for event in self._recent.between(since_ns, until_ns)],
        }


def _failures(answers: Answers) -> Happened:
    requests = [request for one in answers.values for request in one["requests"]]
    requests.sort(key=lambda request: request["at"] + request["ms"] / 1000)
    return Happened(sum(one["failures"] for one in answers.values), requests[:MOST_A_SECOND])


def _json(document: Model) -> Document:
    told = document.as_json()
    assert isinstance(told, dict)  # noqa: S101 - for the types alone
    return told
