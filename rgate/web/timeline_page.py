"""The page of what discovery and rgate itself did, told by all workers (behaviour 10)."""

import time
from collections.abc import Mapping
from typing import Any, Final

from rgate.core.timeline import MOST, TimelineEvent, Told, merged
from rgate.telling.siblings import Siblings
from rgate.telling.timeline import Timeline
from rgate.web.documents import TimelineDocument, TimelineEventDocument

_QUESTION: Final = "timeline"


class TimelinePage:
    """Tells of the *timeline* of this worker, and of its *siblings*."""

    def __init__(self, timeline: Timeline, siblings: Siblings) -> None:
        self._timeline = timeline
        self._siblings = siblings
        siblings.answer(_QUESTION, self._answer)

    def document(self) -> TimelineDocument:
        """Return the newest events of all workers, each once."""
        answers = self._siblings.ask(_QUESTION, {})
        told = [_told(value) for value in answers.values]
        return TimelineDocument(
            now=time.time(),
            missing_workers=answers.missing,
            events=[TimelineEventDocument.of_event(event) for event in merged(told)[: -MOST - 1 : -1]],
        )

    def _answer(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        events = [event.as_json() for event in self._timeline.newest()]
        return {"began": self._timeline.began, "events": events}


def _told(value: Mapping[str, Any]) -> Told:
    return Told(value["began"], [TimelineEvent.of_json(event) for event in value["events"]])
