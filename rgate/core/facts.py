"""Facts: the steps of a decision as sentences for people (behaviour 9). What is decided is told here, and
decided elsewhere.

A sentence may hold `code`: names, paths and addresses. What comes from labels and clients is in it as it is:
who shows it escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.candidates import BackendView
from rgate.core.config import Backend, DefaultResponse, Match, Policy, ResponseFormat, Route
from rgate.core.knowledge import DEFAULT_SOURCE, Connection, Knowledge, stale_since
from rgate.core.own import OwnPage
from rgate.core.problem import ANSWERS, Problem


class Level(Enum):
    """How good a fact is. The value is what users read."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Fact:
    """One step of a decision, for people. *about*: a word or two, such as `Docker`. *at*: Unix seconds."""

    level: Level
    about: str
    text: str
    at: float | None = None


FORWARDED: Final = "Forwarded"
"""What the fact is about that tells the forwarded head's first line: its fields belong below it."""

ANSWER: Final = "Answer"

_PICKS: Final = {
    Policy.RANDOM: "any of them is asked",
    Policy.ROUND_ROBIN: "they are asked in turn",
    Policy.LEAST_INFLIGHT: "the one with the fewest requests under way is asked",
}


def in_words(names: Sequence[str]) -> str:
    """Return *names* as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def code(text: str) -> str:
    """Return *text* as code in a sentence."""
    return f"`{text}`"


# Before a backend is known.


def refused(problem: Problem) -> Fact:
    """Return that the request is refused, whatever its route."""
    return Fact(Level.BAD, "Request", problem.detail)


def own_path(path: str, page: OwnPage | Problem) -> Fact:
    """Return that *path* is one of rgate's own, and what is there."""
    whose = f"{code(path)} is rgate's own, before every route"
    if isinstance(page, Problem):
        return Fact(Level.BAD, "Own page", f"{whose}. {page.detail}")
    return Fact(Level.OK, "Own page", whose)


def no_route(path: str, host: str, routes: int) -> Fact:
    """Return that none of so many *routes* matches."""
    asked = f"{code(path)} of {code(host)}" if host else code(path)
    if not routes:
        return Fact(Level.WARN, "Route", "there is none in the configuration")
    none = f"none of the {routes} routes matches" if routes > 1 else "the one route does not match"
    return Fact(Level.WARN, "Route", f"{none} {asked}")


def route(chosen: Route, shadowed: Sequence[Route]) -> Fact:
    """Return by which route the request goes, and which others match too."""
    kind = ", which matches whole segments" if chosen.match is Match.SEGMENT else ""
    if not shadowed:
        return Fact(Level.OK, "Route", f"{code(chosen.name)}{kind}; no other one matches")
    how = "the longest" if all(one.host == chosen.host for one in shadowed) else "the best"
    others = in_words([code(one.name) for one in shadowed])
    match = "match" if len(shadowed) > 1 else "matches"
    return Fact(
        Level.OK, "Route", f"{code(chosen.name)}{kind}: {how} of {len(shadowed) + 1}, as {others} {match} too"
    )


# The backend.


def backend(chosen: Backend, view: BackendView) -> Fact:
    """Return what the backend asks for, and how it picks."""
    picks = f"; {_PICKS[chosen.policy]}" if len(view.candidates) > 1 else ""
    if chosen.urls:
        return Fact(Level.OK, "Backend", f"{code(chosen.name)} has fixed addresses (`urls`){picks}")
    labels = in_words([code(f"{key}={value}") for key, value in chosen.match_labels])
    word = "labels" if len(chosen.match_labels) > 1 else "label"
    level = Level.OK if view.candidates else Level.BAD
    whose = f" of {in_words([code(name) for name in chosen.sources])}" if chosen.sources else ""
    wants = f"{code(chosen.name)} wants containers{whose} with the {word} {labels}{picks}"
    return Fact(level, "Backend", wants)


def knowledge(known: Knowledge, *, is_named: bool) -> Fact:
    """Return how fresh what is known of the containers of a source is. *is_named*: there are several."""
    about = f"Docker {known.source}" if is_named or known.source != DEFAULT_SOURCE else "Docker"
    error = f" ({known.error})" if known.error else ""
    match known.docker:
        case Connection.CONNECTED:
            version = f", {known.version}" if known.version else ""
            age = (
                f", the last full list {known.last_list_s:.1f} s old" if known.last_list_s is not None else ""
            )
            return Fact(
                Level.OK, about, f"connected{version}{age}, events {known.events.value}", known.since or None
            )
        case Connection.AWAY:
            who = about if is_named else "Docker"
            return Fact(Level.WARN, about, stale_since(known.since, who), known.since or None)
        case Connection.NEVER:
            return Fact(Level.BAD, about, f"it has not answered yet{error}", known.since or None)


def candidate(name: str, address: str, address_from: str) -> Fact:
    """Return that a container is a candidate, or a fixed address."""
    where = "" if name == address else f" at {code(address)}"
    how = f", {address_from}" if address_from else ""
    return Fact(Level.OK, "In", f"{code(name)}{where}{how}")


def left_out(detail: str) -> Fact:
    """Return that a container is not asked, and why."""
    return Fact(Level.WARN, "Out", detail)


def near_miss(detail: str) -> Fact:
    """Return that a container nearly is a candidate."""
    return Fact(Level.INFO, "Near miss", detail)


# What goes on.


def forwarded(method: str, target: str, chosen: Route) -> Fact:
    """Return the first line of what a candidate gets."""
    without = f", without {code(chosen.path_prefix)}" if chosen.strip_prefix else ""
    return Fact(Level.INFO, FORWARDED, f"{code(f'{method} {target}')}{without}, with the fields")


def nobody_accepts(problem: Problem) -> Fact:
    """Return what follows where no candidate accepts a connection."""
    status, _ = ANSWERS[problem.reason]
    return Fact(Level.INFO, "If all refuse", f"{status} {code(problem.reason.value)}: {problem.detail}")


# The answer, last.


def answer_of_candidates(names: Iterable[str], method: str, target: str, chosen: Route) -> Fact:
    """Return that one of the candidates *names* answers."""
    found = tuple(names)
    who = code(found[0]) if len(found) == 1 else f"one of these {len(found)}"
    kept = ", in an envelope" if chosen.response_format is ResponseFormat.ENVELOPE else ""
    return Fact(Level.OK, ANSWER, f"what {who} says to {code(f'{method} {target}')}{kept}")


def answer_of_page(path: str) -> Fact:
    """Return that a page of rgate's own answers."""
    return Fact(Level.OK, ANSWER, f"rgate's own page {code(path)}")


def answer_by_default(response: DefaultResponse) -> Fact:
    """Return that the default response answers."""
    return Fact(Level.WARN, ANSWER, f"{response.status_code}, the default response")


def answer_of_problem(problem: Problem) -> Fact:
    """Return that rgate answers itself, and why."""
    status, title = ANSWERS[problem.reason]
    return Fact(
        Level.BAD, ANSWER, f"{status} {code(problem.reason.value)}, made by rgate: {title}. {problem.detail}"
    )
