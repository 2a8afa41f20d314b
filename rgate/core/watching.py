"""When Docker is asked what, and what is said of how that goes (behaviour 1, 4 and 9). No I/O, no clock.

    watching.begin(now)                       what was heard goes in: begin, pinged, listed, event, …
    for command in watching.take(): …         what is to be done comes out
    watching.known.containers                 what is known, after each step

Subscribe before listing: a container that starts in between would be missed until the next list. Any end of
the events is a break; a ping on another connection finds links that are half open. Lists, inspects and events
are under way side by side, and none waits for another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from rgate.core.containers import Details, Event, Listed
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.known import Known, Wants
from rgate.core.timeline import (
    TimelineEvent,
    docker_away,
    docker_there,
    events_back,
    events_lacking,
    full_list,
    listed,
)

RESYNC_S: Final = 30.0
PING_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.5
# Not longer: who starts Docker again expects its containers within seconds.
LONGEST_PAUSE_S: Final = 4.0

POLL_S: Final = 2.0
"""So often lists are asked for where there are no events; less often where a list takes longer itself."""

STEADY_S: Final = 2.0
"""Events that end sooner are none."""

LONGEST_WITHOUT_EVENTS_S: Final = 60.0
"""At least so often it is tried whether there are events after all."""

INSPECTS: Final = 10
"""As many are under way at once; for lists fewer, so that an event's need not wait for those that hang."""
INSPECTS_OF_LISTS: Final = 8
INSPECTS_THAT_FAILED: Final = 2

FIRST_INSPECTS_S: Final = 3.0
"""For so long the first look waits for inspects."""

_EXPLAINED_S: Final = 1.0
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Now:
    """One moment, by a steady clock and by the time of day in Unix seconds."""

    steady_s: float
    unix_s: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for the version. The answer: `pinged` or `ping_failed`."""

    number: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Follow the events: `subscribed` where they are to come, `event` with each, `ended` at their end."""

    number: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Let go of those events."""

    number: int


@dataclass(frozen=True, slots=True)
class List:
    """Take a full list. The answer: `listed` or `list_failed`."""

    number: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Inspect a container. The answer: `inspected` or `inspect_failed`."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Let go of all connections: what is under way on them may fail, and is not waited for."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Say it in the log."""

    text: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Say it in the timeline."""

    event: TimelineEvent


@dataclass(frozen=True, slots=True)
class InForce:
    """What these events told of is in force."""

    events: tuple[Event, ...]


Command = Ping | Subscribe | Unsubscribe | List | Inspect | Close | Warn | Tell | InForce


class _Phase(Enum):
    AWAY = auto()  # until the next try
    PINGING = auto()
    SUBSCRIBING = auto()
    LISTING = auto()
    FOLLOWING = auto()


class Watching:
    """What was heard goes in by its methods, with the time; `take` gives what is to be done then.

    Each number is of one command: an answer to one that is not waited for any more says nothing.
    *wants*: see `Known`.
    """

    def __init__(self, wants: Wants, now: Now) -> None:
        self.known = Known(wants)
        self.knowledge = Knowledge(since=now.unix_s)
        self.has_listed = False
        self.has_looked = False  # the first look has ended, either way
        self.listed_at_s: float | None = None
        self.error = ""  # why Docker does not answer; "" where it does
        self._commands: list[Command] = []
        self._phase = _Phase.AWAY
        self._again_at_s = _NEVER  # when the next try is, where it is away
        self._pause_s = FIRST_PAUSE_S
        self._told_away = False
        self._numbers = 0
        self._ping: int | None = None
        self._ping_at_s = _NEVER
        self._list: int | None = None
        self._list_asked_s = 0.0
        self._list_at_s = _NEVER
        self._listed = ""  # what is said of the last full list
        self._version = ""
        self._stream: int | None = None
        self._stream_began_s: float | None = None  # None: nothing says yet that there will be events
        self._subscribe_at_s = _NEVER
        self._ended_at_s: float | None = None  # the events ended, and are to come again
        self._looked_at_s = _NEVER  # when the first look has ended, whoever is still to be inspected
        self._short = 0  # as many streams in a row ended at once
        self._unexplained: set[str] | None = None  # what a list had, and no event has told of; None: told
        self._sure_at_s = 0.0  # from when on no event will tell of it
        self._pending: dict[str, list[Event]] = {}  # events whose containers are being inspected
        # Inspects that failed: why, and behind which number a ping tells whose fault that is.
        self._unsure: dict[str, tuple[str, int]] = {}

    def take(self) -> Sequence[Command]:
        """Return what is to be done now, in order."""
        commands, self._commands = self._commands, []
        return commands

    @property
    def next_s(self) -> float:
        """When `tick` has something to do, though nothing was heard."""
        due_s = min(self._again_at_s, self._ping_at_s, self.known.next_s(is_asked=self._may_inspect))
        if self._unexplained is not None:
            due_s = min(due_s, self._sure_at_s)
        if self._phase is _Phase.FOLLOWING:
            due_s = min(due_s, self._subscribe_at_s, self._steady_at_s)
            due_s = due_s if self._list is not None else min(due_s, self._list_at_s)
            due_s = due_s if self.has_looked else min(due_s, self._looked_at_s)
        return due_s

    @property
    def away_since(self) -> float | None:
        """Since when what is known may not be so any more, in Unix seconds; None where it is fresh."""
        return self.knowledge.since if self.error and self.has_listed else None

    def begin(self) -> None:
        """Try for the first time."""
        self._connect()

    def look_again(self) -> None:
        """Inspect what is needed now that other containers are wanted."""
        self.known.look_again()

    def tick(self, now: Now) -> None:
        """Do what time asks for. To be called after all that was heard was put in."""
        self.known.sweep(now.steady_s)
        if self._phase is _Phase.AWAY and now.steady_s >= self._again_at_s:
            self._connect()
        if self._phase is _Phase.FOLLOWING:
            self._follow(now)
        if now.steady_s >= self._ping_at_s:
            self._ask_ping()
            self.known.look_at_health()
        self._tell_compared(now)
        if self._may_inspect:
            due = self.known.due(
                now.steady_s, most=INSPECTS, of_lists=INSPECTS_OF_LISTS, that_failed=INSPECTS_THAT_FAILED
            )
            self._commands += map(Inspect, due)
        if self._phase is _Phase.FOLLOWING and not self.has_looked:
            self.has_looked = self.known.is_settled or now.steady_s >= self._looked_at_s

    @property
    def _may_inspect(self) -> bool:
        return self._phase in (_Phase.SUBSCRIBING, _Phase.LISTING, _Phase.FOLLOWING)

    def _follow(self, now: Now) -> None:
        if now.steady_s >= self._subscribe_at_s:
            self._subscribe_at_s = _NEVER
            if self._short > 1:
                self._subscribe()
            else:
                self._connect()
        elif now.steady_s >= self._steady_at_s:
            self._events_are_back(now)
        if self._list is None and now.steady_s >= self._list_at_s:
            self._ask_list(now)

    # Whether it answers.

    def _connect(self) -> None:
        """Begin at the beginning: ping, subscribe, list."""
        self._phase = _Phase.PINGING
        self._again_at_s = self._list_at_s = self._subscribe_at_s = _NEVER
        self._unexplained = None
        self._ask_ping()

    def _ask_ping(self) -> None:
        self._ping, self._ping_at_s = self._number(), _NEVER
        self._commands.append(Ping(self._ping))

    def pinged(self, number: int, version: str, now: Now) -> None:
        """Take that it answers, and its version."""
        if number != self._ping:
            return
        self._ping, self._version = None, version
        self._ping_at_s = now.steady_s + PING_S
        for identity, (error, before) in tuple(self._unsure.items()):
            if before < number:
                del self._unsure[identity]
                if self.known.failed(identity, error, now.steady_s):
                    self._list_at_s = min(self._list_at_s, now.steady_s + POLL_S)
        if self._unsure:
            self._ask_ping()
        if self._phase is _Phase.PINGING:
            self._phase = _Phase.SUBSCRIBING
            self._subscribe()

    def ping_failed(self, number: int, error: str, now: Now) -> None:
        """Take that it does not answer."""
        if number == self._ping:
            self.away(error, now)

    def away(self, error: str, now: Now) -> None:
        """Let go of it, and try again after a while. *error*: why, and what to do."""
        if self.knowledge.docker is Connection.CONNECTED:
            self._pause_s = FIRST_PAUSE_S
        self._phase = _Phase.AWAY
        self._again_at_s = now.steady_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._ping = self._list = None
        self._ping_at_s = self._list_at_s = self._subscribe_at_s = _NEVER
        self._unsubscribe()
        self._ended_at_s, self._short = None, 0
        for identity in self._unsure:
            self.known.unanswered(identity)
        self._unsure.clear()
        self._pending.clear()
        self._unexplained = None
        self._commands.append(Close())
        reached = self.knowledge.docker is not Connection.NEVER
        self.error = error
        self._know(Connection.AWAY if reached else Connection.NEVER, now, error=error)
        if not self._told_away:
            known = "the last known containers stay in use" if reached else "no container is known yet"
            self._commands.append(Warn(f"Docker does not answer; {known}", (("error", error),)))
            self._commands.append(Tell(docker_away(now.unix_s, error, is_known=reached)))
            self._told_away = True
        self.has_looked = True

    def _there(self, now: Now) -> None:
        """Tell that it answers, and how it stands with its events."""
        known = self.knowledge
        if known.docker is not Connection.CONNECTED:
            away_s = now.unix_s - known.since if known.docker is Connection.AWAY else None
            self._commands.append(Tell(docker_there(now.unix_s, self._version, away_s, self._listed)))
            self.known.look_again()
        self.error = ""
        lacking = Events.POLLED if self._short > 1 else Events.BROKEN
        is_live = self._stream is not None and self._short < 2
        self._know(Connection.CONNECTED, now, events=Events.LIVE if is_live else lacking)
        if is_live and self._short == 0 and self._ended_at_s is not None:
            self._events_are_back(now)
        if self._told_away:
            self._commands.append(Warn("Docker answers again", (("version", self._version),)))
            self._told_away = False

    def _know(self, docker: Connection, now: Now, *, events: Events = Events.BROKEN, error: str = "") -> None:
        known = self.knowledge
        since = known.since if docker is known.docker else now.unix_s
        version = self._version if docker is Connection.CONNECTED else ""
        self.knowledge = replace(
            known, docker=docker, since=since, events=events, version=version, error=error
        )

    # Events.

    @property
    def _steady_at_s(self) -> float:
        """When the events, which had ended too soon, have gone on for long enough."""
        is_on_trial = self._stream_began_s is not None and self._short > 0
        return (self._stream_began_s or 0.0) + STEADY_S if is_on_trial else _NEVER

    def _subscribe(self) -> None:
        self._stream = self._number()
        self._commands.append(Subscribe(self._stream))

    def _unsubscribe(self) -> None:
        if self._stream is not None:
            self._commands.append(Unsubscribe(self._stream))
        self._stream = self._stream_began_s = None

    def subscribed(self, number: int, now: Now) -> None:
        """Take that from now on nothing is missed."""
        if number == self._stream:
            self._stream_began_s = now.steady_s
            self._list_after_subscribing(now)

    def _list_after_subscribing(self, now: Now) -> None:
        if self._phase is _Phase.SUBSCRIBING:
            self._phase = _Phase.LISTING
            self._ask_list(now)

    def event(self, number: int, event: Event, now: Now) -> None:
        """Take an event."""
        if number != self._stream:
            return
        self.knowledge = replace(self.knowledge, last_event=now.unix_s)
        self.known.event(event, now.steady_s)
        self._pending.setdefault(event.container_id, []).append(event)
        if event.action == "destroy":
            self._in_force(event.container_id)
        if self._unexplained is not None:
            self._unexplained.discard(event.container_id)

    def ended(self, number: int, error: str, now: Now) -> None:
        """Take that the events broke off, or that there are none. *error*: why, where that is known."""
        if number != self._stream:
            return
        is_short = self._stream_began_s is None or now.steady_s < self._stream_began_s + STEADY_S
        self._unsubscribe()
        if self._ended_at_s is None:
            self._ended_at_s = now.steady_s
        self._short = self._short + 1 if is_short else 0
        if self._short > 1:
            self._poll(error, now)
        else:
            if self.knowledge.docker is Connection.CONNECTED:
                self.knowledge = replace(self.knowledge, events=Events.BROKEN)
            self._subscribe_at_s = now.steady_s + self._short * FIRST_PAUSE_S
        self._list_after_subscribing(now)

    def _poll(self, error: str, now: Now) -> None:
        """Ask for lists in the place of events, and less and less often whether there are some."""
        if self.knowledge.events is not Events.POLLED:
            why = error or "they end as soon as they begin"
            lacking = f"Docker's events cannot be had; lists are asked for every {POLL_S:g} s instead"
            self._commands.append(Warn(lacking, (("error", why),)))
            self._commands.append(Tell(events_lacking(now.unix_s, why, POLL_S)))
            self._list_at_s = min(self._list_at_s, now.steady_s + POLL_S)
        if self.knowledge.docker is Connection.CONNECTED:
            self.knowledge = replace(self.knowledge, events=Events.POLLED)
        pause_s = min(POLL_S * 2.0 ** min(self._short - 2, 10), LONGEST_WITHOUT_EVENTS_S)
        self._subscribe_at_s = now.steady_s + pause_s

    def _events_are_back(self, now: Now) -> None:
        if self._ended_at_s is not None:
            gone_s = now.steady_s - self._ended_at_s
            self._commands.append(Tell(events_back(now.unix_s, gone_s, self._listed)))
        self._short, self._ended_at_s = 0, None
        self.knowledge = replace(self.knowledge, events=Events.LIVE)

    # Lists.

    def _ask_list(self, now: Now) -> None:
        self._list, self._list_asked_s, self._list_at_s = self._number(), now.steady_s, _NEVER
        self._commands.append(List(self._list))

    def listed(self, number: int, rows: Sequence[Listed], now: Now) -> None:
        """Take a full list."""
        if number != self._list:
            return
        self._list = None
        took_s = now.steady_s - self._list_asked_s
        changed = self.known.listed(rows, self._list_asked_s, now.steady_s)
        self.has_listed = True
        self.listed_at_s = self._list_asked_s  # what happens while it is made may be missing in it
        self._listed = listed(len(rows), took_s)
        if self._phase is _Phase.LISTING:
            self._phase = _Phase.FOLLOWING
            self._looked_at_s = now.steady_s + FIRST_INSPECTS_S
            self._there(now)
        elif self.knowledge.events is Events.LIVE:
            # What of that happened just now, events tell in a moment.
            self._unexplained = set(changed)
            self._sure_at_s = now.steady_s + _EXPLAINED_S
        is_polled = self.knowledge.events is Events.POLLED
        self._list_at_s = now.steady_s + (max(POLL_S, took_s) if is_polled else RESYNC_S)

    def list_failed(self, number: int, error: str, now: Now) -> None:
        """Take that there is no list, which says nothing of containers."""
        if number == self._list:
            self.away(error, now)

    def _tell_compared(self, now: Now) -> None:
        """Tell what came of the last comparison, unless events may still explain it, or it was told.

        Where something was missed, the events may have gone dead without an end, as behind a firewall that
        forgot them: others are asked for.
        """
        if self._unexplained is not None and (not self._unexplained or now.steady_s >= self._sure_at_s):
            missed = bool(self._unexplained)
            self._commands.append(Tell(full_list(now.unix_s, self._listed, missed=missed)))
            self._unexplained = None
            if missed:
                self._unsubscribe()
                self._connect()

    # Inspects.

    def inspected(self, container_id: str, details: Details | None, now: Now) -> None:
        """Take what a container is like; None: it is gone."""
        if self.known.inspected(container_id, details, now.steady_s):
            self._in_force(container_id)

    def inspect_failed(self, container_id: str, error: str, _now: Now) -> None:
        """Take that a container could not be inspected, and why. A ping tells whose fault that is."""
        self._pending.pop(container_id, None)
        if self._phase is _Phase.AWAY:
            self.known.unanswered(container_id)
            return
        self._unsure[container_id] = error, self._numbers
        if self._ping is None:
            self._ask_ping()

    def _in_force(self, container_id: str) -> None:
        if events := self._pending.pop(container_id, None):
            self._commands.append(InForce(tuple(events)))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
