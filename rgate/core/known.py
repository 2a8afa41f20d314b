"""What is known of containers, out of lists, inspects and events in any order (behaviour 4, 8).

What was asked for before something newer was heard never overwrites that. An event that takes a container out
is believed at once; one that may come in is inspected first, as its ports may be others than before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rgate.core.containers import Container, Details, Event, Health, Listed, State

SIGTERM: Final = 15
SIGKILL: Final = 9
# What Docker takes beyond a container's stop time-out to say that it died.
_STOP_MARGIN_S: Final = 2.0

SETTLES_S: Final = 0.5
"""For so long after its event a container that died may go on to read `running` (Podman)."""

FIRST_RETRY_S: Final = 2.0
LONGEST_RETRY_S: Final = 30.0

Wants = Callable[[Mapping[str, str]], bool]
"""Whether some backend could use a container with these labels."""

_STATE_AFTER: Final[Mapping[str, State]] = {
    "die": State.EXITED,
    "stop": State.EXITED,
    "pause": State.PAUSED,
}


@dataclass(slots=True)
class _One:
    """What is known of one container; or only that it was heard of.

    Times are seconds of a steady clock. *row*: what the last list said, unless something was heard since;
    *row_health*: what it said of health. *as_of_s*: when what is known was asked for. *heard_s*: when its
    last event came; *out_s*: what was asked for before cannot tell that it runs; *by_event*: whether an event
    is why it is inspected. *why*: the last inspect failed so; *failures*: as many in a row.
    """

    container: Container | None = None
    details: Details | None = None
    row: Container | None = None
    row_health: Health | None = None
    as_of_s: float = float("-inf")
    heard_s: float = float("-inf")
    out_s: float = float("-inf")
    by_event: bool = False
    why: str = ""
    failures: int = 0


class Known:
    """Takes what is heard. `containers` is what is known of it all, and `due` says who is to be inspected."""

    def __init__(self, wants: Wants) -> None:
        self._wants = wants
        self._ones: dict[str, _One] = {}
        self._stopping: dict[str, float] = {}  # who was sent its stop signal, and until when that counts
        self._gone: dict[str, float] = {}  # since when; a list that was asked for before may still have them
        # Who is to be inspected: whom an event told of, whom a list did, and from when on others are.
        self._urgent: dict[str, None] = {}
        self._listed: dict[str, None] = {}
        self._later: dict[str, float] = {}
        self._asked: dict[str, tuple[float, bool]] = {}  # who is: since when, and whether it failed before
        self._changed = False

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers of which something is known."""
        return tuple(one.container for one in self._ones.values() if one.container is not None)

    @property
    def is_settled(self) -> bool:
        """Whether all that the last list had was inspected as far as need be, or could not be."""
        return not self._listed and not self._asked

    def next_s(self, *, is_asked: bool) -> float:
        """When something is due though nothing was heard; *is_asked*: whether `due` is."""
        later = self._later.values() if is_asked else ()
        return min((*later, *self._stopping.values()), default=float("inf"))

    def take_changed(self) -> bool:
        """Whether `containers` has changed since this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    # What is heard.

    def listed(self, rows: Iterable[Listed], asked_s: float, now_s: float) -> frozenset[str]:
        """Take a full list. Return the ids of those that a backend wants and that were known otherwise."""
        changed, there = set(), set()
        for row in rows:
            there.add(row.id)
            if self._gone.get(row.id, float("-inf")) < asked_s and self._take_row(row, asked_s, now_s):
                changed.add(row.id)
        for identity in self._ones.keys() - there:
            one = self._ones[identity]
            if max(one.as_of_s, one.heard_s) < asked_s:
                if one.container is not None and self._wants(one.container.labels):
                    changed.add(identity)
                self._forget(identity)
        self._gone = {identity: at_s for identity, at_s in self._gone.items() if at_s >= asked_s}
        return frozenset(changed)

    def event(self, event: Event, now_s: float) -> None:
        """Take an event: what it says by itself, and that its container is to be inspected."""
        identity, action = event.container_id, event.action
        if action == "destroy":
            self._forget(identity)
            self._gone[identity] = now_s
            return
        one = self._ones.setdefault(identity, _One())
        one.row, one.by_event, one.heard_s = None, True, now_s
        if action in _STATE_AFTER:
            one.out_s = now_s + (SETTLES_S if action == "die" else 0)
            if one.container is not None and one.container.state is State.RUNNING:
                self._put(one, replace(one.container, state=_STATE_AFTER[action]), is_news=True)
        elif action == "start":
            one.out_s = now_s
            self._not_stopping(identity)
        elif action == "kill":
            self._signalled(one, event.signal, now_s)
        self._urgent[identity] = None

    def inspected(self, container_id: str, details: Details | None, now_s: float) -> bool:
        """Take the answer to an inspect; whether it tells what all events of that container told of."""
        asked_s, _ = self._asked.pop(container_id)
        one = self._ones.get(container_id)
        if one is None:
            return True
        if details is None:
            self._forget(container_id)
            self._gone[container_id] = now_s
            return True
        is_last = container_id not in self._urgent
        one.details, one.why, one.failures = details, "", 0
        if one.row is not None and _is_otherwise_told(one.row, details.container):
            one.row = None  # the next list is news, whichever of both it agrees with
        if details.container.state is State.RUNNING and asked_s < one.out_s:
            if is_last:
                self._later[container_id] = one.out_s
            return False
        one.as_of_s = max(one.as_of_s, asked_s)
        by_event, one.by_event = one.by_event, one.by_event and not is_last
        self._put(one, self._stopping_or_not(details.container, now_s), is_news=by_event)
        return is_last

    def failed(self, container_id: str, why: str, now_s: float) -> bool:
        """Take that an inspect failed, and *why*. Return whether only a list could tell of that container."""
        self._asked.pop(container_id)
        one = self._ones.get(container_id)
        if one is None:
            return False
        one.why = why
        one.failures += 1
        if one.container is None or self._wants(one.container.labels):
            pause_s = min(FIRST_RETRY_S * 2.0 ** min(one.failures - 1, 10), LONGEST_RETRY_S)
            self._later[container_id] = now_s + pause_s
        if one.container is not None:
            self._put(one, one.container)
        return one.container is None and one.row_health is None

    def unanswered(self, container_id: str) -> None:
        """Take that an inspect failed, as all would have: it is still to be."""
        self._asked.pop(container_id)
        if container_id in self._ones:
            self._listed[container_id] = None

    def sweep(self, now_s: float) -> None:
        """Take back what still runs after its stop time-out."""
        for identity in [identity for identity, until_s in self._stopping.items() if until_s <= now_s]:
            self._not_stopping(identity)

    # Who is to be inspected.

    def due(self, now_s: float, *, most: int, of_lists: int, that_failed: int) -> Iterator[str]:
        """Yield who is to be inspected now, and take them for asked: *most* at once; that no event told of,
        so many; *that_failed* the last time, so many.
        """
        for identity in [identity for identity, at_s in self._later.items() if at_s <= now_s]:
            del self._later[identity]
            self._listed[identity] = None
        suspects = sum(failed_before for _, failed_before in self._asked.values())
        for waiting, limit in ((self._urgent, most), (self._listed, of_lists)):
            for identity in tuple(waiting):
                if len(self._asked) >= limit:
                    break
                is_suspect = self._ones[identity].failures > 0
                if identity not in self._asked and not (is_suspect and suspects >= that_failed):
                    suspects += is_suspect
                    self._urgent.pop(identity, None)
                    self._listed.pop(identity, None)
                    self._later.pop(identity, None)
                    self._asked[identity] = (now_s, is_suspect)
                    yield identity

    def look_again(self) -> None:
        """Have those inspected that could not be, and those of which a backend that is new needs it."""
        self._listed |= dict.fromkeys(self._later)
        self._later.clear()
        for identity, one in self._ones.items():
            if one.details is None and self._is_needed(one) and identity not in self._asked:
                self._listed[identity] = None

    def look_at_health(self) -> None:
        """Have those inspected of whose health neither a list nor, it may be, an event tells (Podman)."""
        for identity, one in self._ones.items():
            told_by_inspect = one.details is not None and one.details.container.health is not Health.NONE
            told_by_list = one.row_health not in (None, Health.NONE)
            if told_by_inspect and not told_by_list and self._is_needed(one):
                self._listed[identity] = None

    # One container.

    def _take_row(self, row: Listed, asked_s: float, now_s: float) -> bool:
        """Take what a list says of one; whether it was known otherwise, and a backend wants it."""
        one = self._ones.setdefault(row.id, _One())
        told = row.container
        if told is None:  # an inspect may tell more
            one.row_health = one.row_health or Health.NONE
            if one.container is None and row.id not in self._later:
                self._listed[row.id] = None
            return False
        one.row_health = told.health
        if one.as_of_s >= asked_s or (told.state is State.RUNNING and asked_s < one.out_s):
            return False
        before, is_same, one.row = one.container, one.row == told, told
        one.details = row.details or one.details
        if before is None or not is_same:
            one.as_of_s = asked_s
            self._put(one, self._stopping_or_not(_completed(told, one.details), now_s))
        if (
            self._is_needed(one)
            and row.details is None
            and (
                not is_same
                or (one.details is None and row.id not in self._later and row.id not in self._asked)
            )
        ):
            self._listed[row.id] = None
        wanted = self._wants(told.labels) or (before is not None and self._wants(before.labels))
        return wanted and (before is None or _is_otherwise(before, one.container))

    def _is_needed(self, one: _One) -> bool:
        """Whether a backend could use it, so that all is to be known of it."""
        return (
            one.container is not None
            and one.container.state is State.RUNNING
            and self._wants(one.container.labels)
        )

    def _put(self, one: _One, container: Container, *, is_news: bool = False) -> None:
        """Let *container* be known. *is_news*: Docker itself reported a change of it."""
        container = replace(
            container, not_inspected=one.why, was_inspected=not one.why or one.details is not None
        )
        old = one.container
        if old is not None:
            grown = is_news or container != old
            self._changed |= grown
            one.container = replace(container, revision=old.revision + grown)
        else:
            self._changed = True
            one.container = container

    def _forget(self, identity: str) -> None:
        one = self._ones.pop(identity, None)
        self._changed |= one is not None and one.container is not None
        for kept in (self._urgent, self._listed, self._later, self._stopping):
            kept.pop(identity, None)

    # Who is being stopped.

    def _signalled(self, one: _One, signal: int, now_s: float) -> None:
        """Take a `kill`: with its stop signal or SIGKILL, the container is being stopped."""
        if one.container is None:
            return
        known = one.details or Details(one.container)
        if signal in (known.stop_signal, SIGKILL):
            self._stopping[one.container.id] = now_s + known.stop_timeout_s + _STOP_MARGIN_S
            self._put(one, replace(one.container, stopping=True))

    def _stopping_or_not(self, container: Container, now_s: float) -> Container:
        """Return *container*, and whether it is being stopped: not once it has, or took too long."""
        is_up = container.state in (State.RUNNING, State.PAUSED)
        if not is_up or self._stopping.get(container.id, now_s) <= now_s:
            self._stopping.pop(container.id, None)
        return replace(container, stopping=container.stopping or container.id in self._stopping)

    def _not_stopping(self, identity: str) -> None:
        self._stopping.pop(identity, None)
        one = self._ones[identity]
        if one.container is not None:  # a source may say by itself that it is
            is_told = one.details is not None and one.details.container.stopping
            self._put(one, replace(one.container, stopping=is_told))


def _is_otherwise_told(row: Container, inspected: Container) -> bool:
    """Whether a list told another state than an inspect, or another health, where it told one."""
    return row.state is not inspected.state or row.health not in (Health.NONE, inspected.health)


def _completed(row: Container, details: Details | None) -> Container:
    """Return what a list says of one that runs, and what only an inspect tells of it."""
    if details is None or row.state is not State.RUNNING:
        return row
    known = details.container
    health = known.health if row.health is Health.NONE else row.health
    return replace(row, exposed=known.exposed, health=health)


def _is_otherwise(old: Container, new: Container | None) -> bool:
    """Whether they differ, but for what Docker leaves out of containers that are not up."""
    up = (State.RUNNING, State.PAUSED)
    if new is None or old.state in up or new.state in up:
        return old != new
    return (old.name, old.state, old.labels) != (new.name, new.state, new.labels)
