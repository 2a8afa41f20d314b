"""What rgate itself did and saw, an event a line: values, sentences, and what is folded (behaviour 10).

Times come in as Unix seconds. A sentence may hold `code`; what comes from names and labels is in it as it is:
who shows it escapes it. What came of containers: `view_changes.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Self

from rgate.core.config_errors import ConfigError
from rgate.core.facts import Level
from rgate.core.wording import code, only, several

FOLDED_WITHIN_S: Final = 120.0
"""An event that comes again within so long is told in one line, with how often. Full lists come each 30 s."""

LONGEST: Final = 500
"""So many characters of a text are kept."""

MOST: Final = 1000
"""So many lines are kept, and told."""


class Kind(Enum):
    """What an event is of. The value is what users read."""

    START = "start"  # of rgate
    IN = "in"  # a container may be asked now
    OUT = "out"  # one may not any more
    NEAR = "near"  # one nearly has a backend's labels
    CONFIG = "config"
    DOCKER = "docker"
    SOURCE = "source"  # one of several Dockers
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened, at *at*. *backend*: "" where it is of none, or of several.

    *about* is what is the same of events that repeat; "": this one does not. *times*: so often it did, from
    *since* to *at*. *is_own*: other workers did not see it.
    """

    at: float
    kind: Kind
    level: Level
    backend: str
    text: str
    why: str = ""
    about: str = ""
    times: int = 1
    since: float | None = None
    is_own: bool = False

    @property
    def first_at(self) -> float:
        """When it happened first, of the times that are folded."""
        return self.at if self.since is None else self.since

    @property
    def key(self) -> tuple[Kind, Level, str, str]:
        """What is the same of events that may be folded."""
        return self.kind, self.level, self.backend, self.about

    @property
    def told_why(self) -> str:
        """Return *why*, and how often."""
        often = f"{self.times} times in {length(self.at - self.first_at)}" if self.times > 1 else ""
        return "; ".join(filter(None, (self.why, often)))

    def shortened(self) -> "TimelineEvent":
        """Return it with no text that is longer than LONGEST: labels and files may hold anything."""
        if max(len(self.text), len(self.why), len(self.about)) <= LONGEST:
            return self
        return replace(self, text=_cut(self.text), why=_cut(self.why), about=_cut(self.about))

    def as_json(self) -> dict[str, Any]:
        """Return it as workers tell each other, of JSON's own types."""
        return {
            "at": self.at,
            "kind": self.kind.value,
            "level": self.level.value,
            "backend": self.backend,
            "text": self.text,
            "why": self.why,
            "about": self.about,
            "times": self.times,
            "since": self.since,
            "is_own": self.is_own,
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Return what `as_json` told."""
        return cls(**{**told, "kind": Kind(told["kind"]), "level": Level(told["level"])})


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def folded(earlier: TimelineEvent, later: TimelineEvent) -> TimelineEvent | None:
    """Return both as one; None where they are not of the same, or too long passed between them."""
    if not earlier.about or earlier.key != later.key or later.first_at - earlier.at > FOLDED_WITHIN_S:
        return None
    newest = max(earlier, later, key=lambda event: event.at)
    since = min(earlier.first_at, later.first_at)
    return replace(newest, times=earlier.times + later.times, since=since)


def fold(events: Iterable[TimelineEvent]) -> list[TimelineEvent]:
    """Return *events*, oldest first, with what repeats folded: it stands where it happened last."""
    lines: dict[int, TimelineEvent] = {}
    last: dict[tuple[Kind, Level, str, str], int] = {}
    for number, event in enumerate(sorted(events, key=lambda event: event.at)):
        before = lines.get(last.get(event.key, -1))
        both = folded(before, event) if before is not None else None
        if both is not None:
            del lines[last[event.key]]
        last[event.key] = number
        lines[number] = both or event
    return list(lines.values())


@dataclass(frozen=True, slots=True)
class Told:
    """What one worker tells: its events, and since when it watches."""

    began: float
    events: Sequence[TimelineEvent]


def merged(told: Sequence[Told]) -> list[TimelineEvent]:
    """Return the events of all workers, oldest first, each once.

    All watch the same Docker, and are told the same of their rgate: so that is told as the one knows it that
    watches the longest. What requests found, each saw for itself.
    """
    eldest = min(told, key=lambda one: one.began, default=Told(0.0, ()))
    others = (event for one in told if one is not eldest for event in one.events)
    return fold((*eldest.events, *(event for event in others if event.is_own)))


@dataclass(frozen=True, slots=True)
class Life:
    """When rgate started, and its configuration was taken last, in Unix seconds; None: not yet.

    *config_error*: why the file was not taken since; "": it was.
    """

    started: float | None = None
    config_loaded: float | None = None
    config_error: str = ""

    def after(self, event: TimelineEvent) -> "Life":
        """Return what is so after *event*."""
        match event:
            case TimelineEvent(kind=Kind.START):
                return Life(event.at, event.at)
            case TimelineEvent(kind=Kind.CONFIG, level=Level.OK):
                return replace(self, config_loaded=event.at, config_error="")
            case TimelineEvent(kind=Kind.CONFIG):
                return replace(self, config_error=event.about)
            case _:
                return self


_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def length(seconds: float) -> str:
    """Return a length of time for people, such as `6 min`: two of a unit at least."""
    for unit_s, unit in _UNITS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"


# rgate itself.


def started(at: float, version: str, workers: int, listen: str) -> TimelineEvent:
    """Return that rgate is ready, on the addresses *listen*."""
    processes = f", {workers} workers," if workers > 1 else ""
    return TimelineEvent(at, Kind.START, Level.OK, "", f"rgate {version} started{processes} on {listen}")


def worker_ended(at: float, pid: int, how: str, again_in_s: float) -> TimelineEvent:
    """Return that the worker *pid* ended, *how*, and when another takes its place."""
    return TimelineEvent(
        at,
        Kind.WORKER,
        Level.WARN,
        "",
        f"worker {pid} ended ({how}); another starts in {again_in_s:g} s",
        "what it had under way was cut",
        about="ended",
    )


def worker_hangs(at: float, pid: int, silent_s: float) -> TimelineEvent:
    """Return that the worker *pid* was silent for *silent_s*, and is ended."""
    return TimelineEvent(
        at,
        Kind.WORKER,
        Level.BAD,
        "",
        f"worker {pid} hangs: it did nothing for {silent_s:g} s, and is ended",
        "what waits to be accepted is served by who takes its place",
        about="hangs",
    )


def worker_started(at: float, pid: int) -> TimelineEvent:
    """Return that a worker took the place of one that ended."""
    return TimelineEvent(at, Kind.WORKER, Level.OK, "", f"worker {pid} took its place", about="started")


def config_taken(at: float, file: str, changes: str, generation: str = "") -> TimelineEvent:
    """Return that *file* was read again; *changes*: what is other than before, "" for nothing."""
    return TimelineEvent(
        at, Kind.CONFIG, Level.OK, "", f"{file} reloaded: {changes or 'nothing changed'}", generation
    )


def config_refused(at: float, errors: Sequence[ConfigError]) -> TimelineEvent:
    """Return that a file was not taken, for its first error and perhaps more."""
    first, more = errors[0], len(errors) - 1
    place = f"line {first.line}: " if first.line else ""
    path = f"{code(first.path)}: " if first.path else ""
    others = f" (and {several(more, 'more error')})" if more else ""
    error = f"{place}{path}{first.message}{others}"
    return TimelineEvent(
        at, Kind.CONFIG, Level.BAD, "", f"{first.file} not taken: {error}", "the old one stays", about=error
    )


# Docker.


def of_source(event: TimelineEvent, source: str) -> TimelineEvent:
    """Return *event*, which is of Docker, as that of one *source* of several."""
    about = f"{source} {event.about}" if event.about else ""
    return replace(event, kind=Kind.SOURCE, text=f"{code(source)}: {event.text}", about=about)


def docker_there(at: float, version: str, away_s: float | None, listed: str) -> TimelineEvent:
    """Return that Docker answers: for the first time, or after *away_s*. *listed*: see `listed`."""
    again = "" if away_s is None else f" again, after {length(max(0.0, away_s))}"  # a clock may be set back
    text = f"Docker answers{again}"
    return TimelineEvent(at, Kind.DOCKER, Level.OK, "", f"{text}: {version}", listed)


def docker_away(at: float, error: str, *, is_known: bool) -> TimelineEvent:
    """Return that Docker does not answer any more, or has not yet. *is_known*: it did before."""
    why = "the last known containers stay in use" if is_known else "no container is known yet"
    return TimelineEvent(at, Kind.DOCKER, Level.BAD, "", f"Docker away: {error}", why, about="away")


def events_back(at: float, gone_s: float, listed: str) -> TimelineEvent:
    """Return that Docker's events had ended and come again, while it answered."""
    text = f"Docker's events had ended, and come again after {length(gone_s)}"
    return TimelineEvent(at, Kind.DOCKER, Level.WARN, "", text, listed, about="events")


def events_lacking(at: float, why: str, poll_s: float) -> TimelineEvent:
    """Return that there are no events of Docker's, so that lists are asked for every *poll_s* seconds."""
    text = f"Docker's events cannot be had: lists are asked for instead, every {poll_s:g} s"
    return TimelineEvent(at, Kind.DOCKER, Level.WARN, "", text, why, about="events")


def full_list(at: float, listed: str, *, missed: bool) -> TimelineEvent:
    """Return that a full list was compared with what events told. *listed*: see `listed`."""
    if missed:
        return TimelineEvent(
            at,
            Kind.DOCKER,
            Level.WARN,
            "",
            "full list: it had what events had missed",
            listed,
            about="missed",
        )
    return TimelineEvent(
        at, Kind.DOCKER, Level.OK, "", "full list: nothing had been missed", listed, about="list"
    )


def listed(containers: int, took_s: float) -> str:
    """Return how many containers a full list had, and how long it took."""
    return f"{several(containers, 'container')}, {1000 * took_s:.0f} ms"


# What requests found.


def refused(
    at: float, backends: Sequence[str], name: str, left_out_s: float, *, closed: bool = False
) -> TimelineEvent:
    """Return that a candidate of *backends* refused, and is left out for a while; *closed*: it accepted, and
    closed without an answer.
    """
    for_long = (
        f"{left_out_s:g} s at a time until it answers"
        if closed
        else (f"{left_out_s:g} s, and longer while it goes on")
    )
    did = "accepted, and closed without an answer" if closed else "refused"
    return TimelineEvent(
        at,
        Kind.OUT,
        Level.WARN,
        only(backends),
        f"{code(name)} {did}; left out for {for_long}",
        "others are asked first",
        about=f"{name} {'closed' if closed else 'refused'}",
        is_own=True,
    )


def accepts_again(
    at: float, backends: Sequence[str], name: str, out_s: float, *, closed: bool = False
) -> TimelineEvent:
    """Return that a candidate that had refused, or *closed*, accepts or answers again, after *out_s*."""
    does = "answers" if closed else "accepts"
    return TimelineEvent(
        at,
        Kind.IN,
        Level.OK,
        only(backends),
        f"{code(name)} {does} again",
        f"it {'closed without an answer' if closed else 'refused'} for {length(out_s)}",
        about=f"{name} {does}",
        is_own=True,
    )
