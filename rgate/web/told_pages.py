"""Problems, stories and explanations as pages in HTML (behaviour 6, 9 and 10). Values in, bytes out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from shlex import quote
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup

from rgate.core.advice import what_to_do
from rgate.core.commands import PROGRAM, asking
from rgate.core.facts import FORWARDED
from rgate.core.own import OwnPage
from rgate.core.problem import ToldProblem
from rgate.web.amounts import moment
from rgate.web.documents import AttemptDocument, ExplanationDocument, StoryDocument
from rgate.web.markup import page

# A part of a bar that is shorter is drawn so long, in percent of the whole: else one could not see it.
_LEAST_SHOWN: Final = 0.6


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt, and its parts drawn to scale."""

    number: int
    container: str
    address: str
    reused: bool
    phases: Sequence[tuple[str, float]]
    end: str
    text: str
    bars: Markup


def problem_page(told: ToldProblem, story: StoryDocument | None = None) -> bytes:
    """Return the page that tells of a problem. *story*: of the request, for one who may read it."""
    advice = what_to_do(told.reason, insider=told.insider)
    facts = {"reason": told.reason.value, "backend": told.backend, "request id": told.request_id}
    return page(
        "problem.html",
        told=told,
        level="down" if told.status > 499 else "degraded",
        do=story.do if story else advice,
        command=story.command if story else "",
        facts=[(about, value) for about, value in facts.items() if value],
        story=story,
        attempts=_drawn(story.attempts, story.ms) if story else (),
        explain=_explain_url(story) if story else "",
    )


def story_page(story: StoryDocument, zone: tzinfo | None, program: str = PROGRAM, url: str = "") -> bytes:
    """Return the page that tells the story of a request. *zone*: of its times; None: this machine's.

    *program* tells it too, and asks the gateway at *url*.
    """
    known = [f"generation {story.generation}"] if story.generation else []
    if story.docker_age_s is not None:
        known.append(f"full list {story.docker_age_s:g} s old")
    return page(
        "story.html",
        story=story,
        at=moment(story.at, zone).strftime("%Y-%m-%d %H:%M:%S %Z"),
        known=", ".join(known),
        attempts=_drawn(story.attempts, story.ms),
        why=asking(program, "why", quote(story.id), url),
        again=json.dumps([story.method, _target(story)]),
        explain=_explain_url(story),
    )


def explanation_page(told: ExplanationDocument, asked: str) -> bytes:
    """Return the page that explains a request. *asked*: the target, as it was asked for."""
    return page("explanation.html", told=told, asked=asked, forwarded=FORWARDED)


def _target(story: StoryDocument) -> str:
    """Return what to ask about for the request of *story*: a URL where its route is of one host."""
    if story.target.startswith("/") and story.host and not story.route.startswith("/"):
        return f"http://{story.host}{story.target}"
    return story.target


def _explain_url(story: StoryDocument) -> str:
    asked = {"method": story.method, "target": _target(story)}
    return f"{OwnPage.EXPLAIN.value}?{urlencode(asked, errors='replace')}"


def _drawn(attempts: Sequence[AttemptDocument], whole_ms: float) -> list[_Attempt]:
    return [
        _Attempt(
            one.number, one.container, one.address, one.reused, one.phases, one.end, one.text,
            _bars(one, max(whole_ms, 0.001)),
        )
        for one in attempts
    ]  # fmt: skip


def _bars(attempt: AttemptDocument, whole_ms: float) -> Markup:
    """Return an attempt as a drawing: how long each of its parts took, of the whole request."""
    parts, at_ms = [], attempt.start_ms
    for name, length_ms in attempt.phases:
        x, width = 100 * at_ms / whole_ms, max(_LEAST_SHOWN, 100 * length_ms / whole_ms)
        parts.append(
            Markup('<rect class="{}" x="{:.2f}" width="{:.2f}" height="10"/>').format(name, x, width)
        )
        at_ms += length_ms
    return Markup(
        '<svg class="fall" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="all" width="100" height="10"/>{}</svg>'
    ).format(Markup("").join(parts))
