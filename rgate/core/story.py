"""The story of a request that has been, as values and sentences: what `why` and `/_rgate/requests/ID` tell
(behaviour 9.why).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.advice import advice
from rgate.core.candidates import Address, BackendView, ContainerView
from rgate.core.facts import Fact, Level
from rgate.core.reasons import Failure, Reason
from rgate.core.record import (
    CUT,
    LONGEST_HOST_TOLD,
    LONGEST_METHOD_TOLD,
    LONGEST_TARGET_TOLD,
    RESPONSE,
    Record,
    Try,
)


class By(Enum):
    """Who made the answer. The value is what users read."""

    RGATE = "rgate"
    CONTAINER = "container"
    CLIENT = "client"  # it went away: nobody did


@dataclass(frozen=True, slots=True)
class Then:
    """A container of a backend, as it was known at one moment. *why*: it was a candidate, or was none."""

    name: str
    address: str  # "" without one
    is_in: bool
    why: str


@dataclass(frozen=True, slots=True)
class ToldCandidate:
    """The same, and the number of the attempt that went to it; None: it was not asked."""

    then: Then
    picked: int | None


@dataclass(frozen=True, slots=True)
class ToldAttempt:
    """One attempt. *start_ms*: since the request's first byte. *phases*: their names, and milliseconds."""

    number: int
    container: str
    address: str
    reused: bool
    start_ms: float
    phases: tuple[tuple[str, float], ...]
    end: str
    text: str

    @property
    def length_ms(self) -> float:
        """How long it took."""
        return round(sum(length_ms for _, length_ms in self.phases), 3)


@dataclass(frozen=True, slots=True)
class Story:
    """What became of one request, and why. *docker_age_s*: how old the last full list was; None: unknown."""

    record: Record
    by: By
    docker_age_s: float | None
    told: str
    do: str
    command: str
    candidates: tuple[ToldCandidate, ...]
    attempts: tuple[ToldAttempt, ...]
    facts: tuple[Fact, ...]


LONGEST_WHY: Final = 500
_MOST_TOLD: Final = 64


def candidates_of(view: BackendView) -> tuple[Then, ...]:
    """Return the containers of *view*: no more than some, and no sentence longer than `LONGEST_WHY`."""
    number = len(view.containers or view.candidates)
    thens = [_then(one) for one in view.containers[:_MOST_TOLD]]
    if not view.containers:
        thens = [_fixed(str(candidate.address)) for candidate in view.candidates[:_MOST_TOLD]]
    if number > _MOST_TOLD:
        thens.append(Then(f"and {number - _MOST_TOLD} more", "", is_in=False, why="not told of one by one"))
    return tuple(thens)


def _fixed(address: str) -> Then:
    return Then(address, address, is_in=True, why="a fixed address")


def _then(container: ContainerView) -> Then:
    health = {"none": "no health check"}.get(container.health, container.health)
    why = container.detail if container.left_out is not None else f"has all labels, {health}"
    address = str(container.address) if container.address is not None else ""
    return Then(container.name, address, is_in=container.left_out is None, why=why[:LONGEST_WHY])


def by_whom(record: Record) -> By:
    """Return who made the answer."""
    if record.reason == Reason.CLIENT_CLOSED.value:
        return By.CLIENT
    return By.CONTAINER if record.tries and record.tries[-1].outcome in (RESPONSE, CUT) else By.RGATE


def story_of(record: Record, then: tuple[Then, ...] | None, docker_age_s: float | None) -> Story:
    """Return the story of *record*. *then*: the containers of its backend as of then; None: not known."""
    told = advice(record)
    return Story(
        record,
        by_whom(record),
        docker_age_s,
        told.told,
        told.do,
        told.command,
        _picked(then or (), record.tries),
        attempts_of(record),
        tuple(_facts(record, then)),
    )


def _picked(then: tuple[Then, ...], tries: tuple[Try, ...]) -> tuple[ToldCandidate, ...]:
    numbers = {one.container: number for number, one in reversed([*enumerate(tries, 1)])}
    return tuple(ToldCandidate(one, numbers.get(one.name)) for one in then)


# The attempts.


def attempts_of(record: Record) -> tuple[ToldAttempt, ...]:
    """Return what is told of each attempt, in their order."""
    return tuple(_attempt(number, one, record) for number, one in enumerate(record.tries, 1))


def _attempt(number: int, one: Try, record: Record) -> ToldAttempt:
    began_ns = record.ended_ns - record.latency_ns
    return ToldAttempt(
        number,
        one.container,
        one.address,
        one.reused,
        _ms(one.began_ns - began_ns),
        tuple(_phases(one)),
        one.outcome,
        _text(one, record),
    )


def _phases(one: Try) -> list[tuple[str, float]]:
    """Return how long each part of an attempt took: to connect, to wait for the response, to receive it."""
    if not one.reused and not one.connected_ns:
        return [("connect", _ms(one.ended_ns - one.began_ns))]
    asked_ns = one.connected_ns or one.began_ns
    phases = [] if one.reused else [("connect", _ms(asked_ns - one.began_ns))]
    phases.append(("wait", _ms((one.answered_ns or one.ended_ns) - asked_ns)))
    if one.answered_ns:
        phases.append(("receive", _ms(one.ended_ns - one.answered_ns)))
    return phases


def _text(one: Try, record: Record) -> str:
    took = f"{_ms(one.ended_ns - (one.connected_ns or one.began_ns)):.1f} ms"
    sentence = {
        RESPONSE: f"{record.status}, {record.bytes_sent} bytes, passed on",
        CUT: f"the response broke off behind {record.bytes_sent} bytes",
        Failure.REFUSED.value: "nothing accepted a connection",
        Failure.OVERLOADED.value: "rgate had no descriptor for a connection",
        Failure.STALE.value: "the pooled connection turned out closed; asked again",
        Failure.NOISE.value: "on the pooled connection was what nobody had asked for; asked again",
        Failure.CLOSED_EARLY.value: f"closed after {took}, without one byte",
        Failure.BAD_RESPONSE.value: "no valid HTTP response",
        Failure.TIMEOUT.value: f"no head of a response in {took}",
        Failure.UNREAD.value: "it took nothing more of the request's content",
        Reason.CLIENT_CLOSED.value: "the client went away; the request to the container was ended",
        Reason.STOPPED.value: "rgate ended, and the response was cut",
    }.get(one.outcome, "ended, as the request could not go on")
    return f"{sentence}: {one.text}" if one.text else sentence


def _ms(length_ns: int) -> float:
    return round(max(length_ns, 0) / 1e6, 3)


# The rest, step by step.


def _facts(record: Record, then: tuple[Then, ...] | None) -> list[Fact]:
    facts = []
    if is_target_cut(record):
        facts.append(Fact(Level.INFO, "Target", f"cut behind {LONGEST_TARGET_TOLD} bytes"))
    if record.route:
        facts.append(Fact(Level.OK, "Route", f"`{record.route}`"))
    elif record.method:
        facts.append(Fact(Level.WARN, "Route", "it came to none"))
    if record.backend:
        facts.append(Fact(Level.OK, "Backend", f"`{record.backend}`"))
        if then is None:
            text = "who was one is not known any more: too much has changed since"
            facts.append(Fact(Level.INFO, "Candidates", text))
    facts.append(_answer(record))
    facts.append(Fact(Level.INFO, "Client", f"`{client_of(record)}`"))
    return facts


def _answer(record: Record) -> Fact:
    by = by_whom(record)
    made = {
        By.RGATE: "made by rgate",
        By.CONTAINER: "made by the container, passed on",
        By.CLIENT: "made by nobody: the client had gone",
    }[by]
    reason = f" `{record.reason_or_cut}`" if record.reason_or_cut else ""
    detail = f". {record.detail}" if record.detail else ""
    level = Level.BAD if record.has_failed else Level.WARN if record.status > 399 else Level.OK
    return Fact(level, "Answer", f"{record.status}{reason}, {made}, {record.bytes_sent} bytes{detail}")


def client_of(record: Record) -> str:
    """Return the client's address, with its port where that is known."""
    return str(Address(record.client, record.client_port)) if record.client_port else record.client


def shown_target(record: Record) -> str:
    """Return the target, or its beginning."""
    return record.target[:LONGEST_TARGET_TOLD]


def is_target_cut(record: Record) -> bool:
    """Whether only the target's beginning is told."""
    return len(record.target) > LONGEST_TARGET_TOLD


def shown_method(record: Record) -> str:
    """Return the method, or its beginning."""
    return record.method[:LONGEST_METHOD_TOLD]


def shown_host(record: Record) -> str:
    """Return Host, or its beginning."""
    return record.host[:LONGEST_HOST_TOLD]
