"""The page that says whether all is well: one verdict, whichever worker is asked (behaviour 10).

All count into the same figures. What else a verdict rests on, each worker asks of all: what any of them knows
of Docker, and what was told last, so that a level holds and rises at the same time for all.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.verdict import (
    WINDOW_S,
    Finding,
    Held,
    Shared,
    Situation,
    Standing,
    freshness,
    held_by_all,
    known_by_all,
    verdict,
)
from rgate.web.amounts import moment, time_of_day
from rgate.web.documents import FactDocument, FindingDocument, ShowDocument, VerdictDocument
from rgate.web.gateway_now import GatewayNow

_QUESTION: Final = "verdict"


class VerdictPage:
    """Tells of a gateway and all its siblings."""

    def __init__(self, now: GatewayNow) -> None:
        self._gateway = now.gateway
        self._stats = now.stats
        self._knowledge = now.knowledge
        self._process = now.process
        self._siblings = now.siblings
        self._told = threading.Lock()  # one verdict of this worker's comes after the other
        self._last: tuple[float, Held | None] = (0.0, None)  # when it was told last, and what is held of it
        now.siblings.answer(_QUESTION, self._answer)

    def document(self) -> VerdictDocument:
        """Return the verdict of now."""
        lately = self._stats.lately(WINDOW_S)  # first, as it may wait for the database
        with self._told:
            answers = self._siblings.ask(_QUESTION, {})
            shared = [_shared(value) for value in answers.values]
            now, snapshot = time.time(), self._gateway.snapshot
            knowledge = known_by_all(shared)
            situation = Situation(
                snapshot.config,
                snapshot.views,
                knowledge,
                lately,
                now,
                clock=lambda at: f"{time_of_day(at, now, None)} {moment(at, None).tzname()}",
                url=self._process.started.url,
                program=self._process.started.program,
            )
            found, held = verdict(situation, held_by_all(shared, now))
            self._last = now, held
        life = self._process.timeline.life
        facts = freshness(
            situation,
            config_loaded=life.config_loaded or self._process.timeline.began,
            config_error=life.config_error,
        )
        return VerdictDocument(
            level=found.standing,
            word=found.standing.word,
            window_s=WINDOW_S,
            headline=found.headline,
            findings=[_finding(finding) for finding in found.findings],
            freshness=[FactDocument.of(fact) for fact in facts],
        )

    def _answer(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what the others need to know to come to the same."""
        at, held = self._last
        return {
            "at": at,
            "held": [held.standing.value, held.better_since] if held is not None else None,
            "knowledge": [_as_json(one) for one in self._knowledge()],
        }


def _shared(value: Mapping[str, Any]) -> Shared:
    """Return what `_answer` told."""
    held = value["held"]
    return Shared(
        value["at"],
        Held(Standing(held[0]), held[1]) if held is not None else None,
        tuple(_of_json(one) for one in value["knowledge"]),
    )


def _as_json(known: Knowledge) -> dict[str, Any]:
    return asdict(known) | {"docker": known.docker.value, "events": known.events.value}


def _of_json(told: Mapping[str, Any]) -> Knowledge:
    return Knowledge(
        **{**told, "docker": Connection(told["docker"]), "events": Events(told["events"])},
    )


def _finding(finding: Finding) -> FindingDocument:
    show = finding.show
    return FindingDocument(
        level=finding.level,
        text=finding.text,
        do=finding.do,
        command=finding.command,
        show=ShowDocument.of(show) if show is not None else None,
    )
