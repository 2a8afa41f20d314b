"""What `/_rgate/timeline` tells, whichever worker is asked (behaviour 10)."""

import json
from typing import Any

import pytest

from rgate.core.facts import Level
from rgate.core.timeline import MOST, Kind, TimelineEvent, refused, started
from rgate.telling.timeline import Timeline
from rgate.web.timeline_page import TimelinePage

from .fellows import Fellow


def told(page: TimelinePage) -> dict[str, Any]:
    document = json.loads(json.dumps(page.document().as_json()))
    assert isinstance(document, dict)
    return document


@pytest.mark.clause("10.timeline.page")
def test_events_are_told_newest_first_with_these_keys() -> None:
    timeline = Timeline([started(1.0, "0.1.0", 1, "127.0.0.1:8080")])
    for at in (2.0, 3.0):
        timeline.add(TimelineEvent(at, Kind.OUT, Level.WARN, "a", "`one` out: paused", "why", about="one"))
    document = told(TimelinePage(timeline, Fellow([])))
    assert list(document) == ["now", "missing_workers", "events"]
    assert document["events"] == [
        {
            "at": 3.0,
            "kind": "out",
            "level": "warn",
            "backend": "a",
            "text": "`one` out: paused",
            "why": "why; 2 times in 1 s",
            "times": 2,
            "since": 2.0,
        },
        {
            "at": 1.0,
            "kind": "start",
            "level": "ok",
            "backend": "",
            "text": "rgate 0.1.0 started on 127.0.0.1:8080",
            "why": "",
            "times": 1,
            "since": 1.0,
        },
    ]


@pytest.mark.clause("10.timeline.page")
def test_there_are_at_most_a_thousand() -> None:
    fellows: list[Fellow] = []
    timelines = [Timeline(began=float(began)) for began in range(2)]
    pages = [TimelinePage(timeline, Fellow(fellows)) for timeline in timelines]
    for number in range(MOST):
        for worker, timeline in enumerate(timelines):
            timeline.add(refused(float(number), ["a"], f"{worker} {number}", 1.0))
    assert len(told(pages[0])["events"]) == MOST


@pytest.mark.clause("10.timeline.workers")
def test_whoever_is_asked_tells_the_same_and_each_event_once() -> None:
    fellows: list[Fellow] = []
    timelines = [Timeline(began=float(began)) for began in (2, 1, 3)]
    pages = [TimelinePage(timeline, Fellow(fellows)) for timeline in timelines]
    for number, timeline in enumerate(timelines):
        timeline.add(TimelineEvent(10.0 + number / 10, Kind.IN, Level.OK, "a", "`one` in", about="one in"))
        timeline.add(refused(20.0 + number, ["a"], "one", 1.0))
    answers = [told(page)["events"] for page in pages]
    assert answers[0] == answers[1] == answers[2]
    assert [(event["at"], event["kind"], event["times"]) for event in answers[0]] == [
        (22.0, "out", 3),
        (10.1, "in", 1),
    ]
    fellows[1].hangs = True
    document = told(pages[0])
    assert (document["missing_workers"], document["events"][1]["at"]) == (1, 10.0)
