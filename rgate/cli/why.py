"""`why`: the story of a request that has been, as a running rgate tells it (behaviour 9.why)."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from rgate.cli.asking_gateway import NoAnswer, asked_as
from rgate.cli.text import SECOND, Style, has_colour, moment, say
from rgate.cli.waiting import told_if_slow
from rgate.core.escape import in_one_line
from rgate.core.own import OwnPage
from rgate.web.documents import AttemptDocument, RequestsDocument, StoryDocument

_KNOWN, _UNKNOWN = 0, 1
_LONGEST_ASKED: Final = 500
_WITH_ZONE: Final = f"{SECOND}.%f%z"


def why(options: Namespace) -> int:
    """Print the story. Returns the exit status: 0, or 1 where there is none. Raises CannotTell."""
    # No request has an id that is longer than a few hundred characters.
    asked_id = options.id[:_LONGEST_ASKED] if options.id is not None else None
    wanted: dict[str, Any] = {"limit": 1, "id": asked_id, "failed": 1 if options.failed else None}
    with told_if_slow(f"asking {options.gateway}"):
        found = asked_as(RequestsDocument, options.gateway, OwnPage.REQUESTS.value, wanted)
    if not found.requests:
        print(f"rgate: {_unknown(options, found)}", file=sys.stderr)
        return _UNKNOWN
    if (found_id := found.requests[0].id) in (".", ".."):
        raise NoAnswer(
            f"a client called its request {found_id!r}, which no path may hold: "
            f"{options.gateway}{OwnPage.REQUESTS.value}?id={found_id} tells of it in a line"
        )
    path = OwnPage.STORY.value + quote(found_id, safe="")
    with told_if_slow(f"asking {options.gateway}"):
        story = asked_as(StoryDocument, options.gateway, path)
    if options.json:
        say(json.dumps(story.as_json(), indent=2))
    else:
        say("\n".join(text_of(story, Style(has_colour(sys.stdout)))))
    return _KNOWN


def _unknown(options: Namespace, found: RequestsDocument) -> str:
    missing = f"; {found.missing_workers} workers did not answer" if found.missing_workers else ""
    if options.id is None:
        return f"no request{' that failed' if options.failed else ''} is known yet{missing}"
    return in_one_line(f"no request {options.id!r} is known: it is not kept any more, or never was{missing}")


def text_of(story: StoryDocument, style: Style) -> Iterator[str]:
    """Yield the lines of the story. What clients, containers and labels say in them is escaped."""
    failed = story.reason is not None or story.status > 499
    head = in_one_line(f"{story.status} {story.reason or f'by the {story.by.value}'}")
    line = f"{story.method} {story.target}" if story.method else "no request that could be read"
    host = f" for {story.host}" if story.host else ""
    yield f"{style.bad(head) if failed else style.bold(head)}  {in_one_line(line)}"
    yield style.dim(in_one_line(f"{moment(story.at, _WITH_ZONE)}, from {story.client}{host}, id {story.id}"))
    yield ""
    yield style.code(in_one_line(story.told))
    yield style.code(in_one_line(story.do))
    if story.command:
        yield f"    {in_one_line(story.command)}"
    yield ""
    for at_ms, text in _steps(story):
        time = f"{at_ms:.1f} ms" if at_ms is not None else ""
        yield f"{style.dim(f'{time:>11}')}  {style.code(in_one_line(text))}"


def _steps(story: StoryDocument) -> Iterator[tuple[float | None, str]]:
    """Yield what happened, and when, in ms since the request's first byte; None: no moment of its own."""
    yield 0.0, "the request's first byte came"
    told_last = ("Answer", "Client")
    for fact in story.facts:
        if fact.about not in told_last:
            yield None, f"{fact.about}: {fact.text}"
    if story.backend:
        yield None, f"Known then: generation {story.generation}{_age(story)}"
        yield from _candidates(story)
    for attempt in story.attempts:
        yield from _attempt(attempt)
    for fact in story.facts:
        if fact.about == told_last[0]:
            yield story.ms, fact.text


def _age(story: StoryDocument) -> str:
    return f", Docker's last list {story.docker_age_s:g} s old" if story.docker_age_s is not None else ""


def _candidates(story: StoryDocument) -> Iterator[tuple[None, str]]:
    names = max((len(one.name) for one in story.candidates), default=0)
    addresses = max((len(one.address or "") for one in story.candidates), default=0)
    for one in story.candidates:
        picked = f"; asked as number {one.picked}" if one.picked is not None else ""
        address = f"{one.address or '':{addresses}}"
        yield None, f"  {'in ' if one.is_in else 'out'}  {one.name:{names}}  {address}  {one.why}{picked}"


_DONE: Final = {"connect": "connected", "wait": "the head of its response was there"}


def _attempt(attempt: AttemptDocument) -> Iterator[tuple[float | None, str]]:
    how = "a pooled connection" if attempt.reused else "a new connection"
    name, at_ms = attempt.container, attempt.start_ms
    where = name if name == attempt.address else f"{name} ({attempt.address})"
    yield at_ms, f"{attempt.number}. {where} is asked, over {how}"
    *before, last = attempt.phases or [("", 0.0)]
    for phase, length_ms in before:
        at_ms += length_ms
        yield at_ms, f"   {_DONE.get(phase, phase)}, after {length_ms:.1f} ms"
    yield at_ms + last[1], f"   {attempt.end}: {attempt.text}"
