"""Is it well? If not, why, and what to do: one level for all, with its findings (behaviour 10).

Pure: what is known of backends, of Docker, and of the last fifteen minutes come in as values.
Sentences may hold `code`; `{ago}` in a fact stands for the live age of its `at`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from shlex import quote
from typing import Final

from rgate.core.advice import Advice, advice_on, where_it_is
from rgate.core.candidates import BackendView, ContainerView
from rgate.core.commands import PROGRAM, asking
from rgate.core.config import Config
from rgate.core.explain import Fact, Level
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.lately import Cause, Lately
from rgate.core.near_misses import MissingLabel, NearMiss
from rgate.core.reasons import LeftOut, Reason
from rgate.core.seen import called_by_docker
from rgate.core.wording import code, listed, why_and_do

WINDOW_S: Final = 900
RISES_AFTER_S: Final = 60.0
"""A level that is worse than it was holds at once; a better one only after so long, lest it flap."""

_FEWEST_OF_A_CAUSE: Final = 5
_MOST_OF_A_KIND: Final = 5  # findings about containers that are out, and near misses
_MOST_TRIES: Final = 3


class Standing(Enum):
    """The level of a verdict. The value is what pages and scripts read."""

    STALE = "stale"
    DOWN = "down"
    DEGRADED = "degraded"
    WAITING = "waiting"
    WELL = "well"

    @property
    def word(self) -> str:
        """What people read."""
        return {"waiting": "Ready"}.get(self.value, self.value.capitalize())


_RANK: Final = {standing: rank for rank, standing in enumerate(Standing)}
"""From worst to best."""

_RISES_LATE: Final = (Standing.DOWN, Standing.DEGRADED)


@dataclass(frozen=True, slots=True)
class Show:
    """Which failures a finding is about. `None`: not told apart by that."""

    reason: str | None = None
    container: str | None = None
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know or do. *command*: to copy into a shell, or ""."""

    level: Level
    text: str
    do: str = ""
    command: str = ""
    show: Show | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell first of all."""

    standing: Standing
    headline: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What was told last. *better_since*: when, in Unix seconds, things began to be better than that."""

    standing: Standing
    better_since: float | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker told last, and at which time, in Unix seconds; and what it knows of Docker now."""

    at: float
    held: Held | None
    knowledge: tuple[Knowledge, ...]


def held_by_all(told: Sequence[Shared], now: float) -> Held | None:
    """Return what any worker told last. Nobody saw a level flap where nobody was told for so long."""
    # Nor where the clock was set back since, and that moment is still to come.
    lately = (one for one in told if abs(now - one.at) <= RISES_AFTER_S)
    last = max(lately, key=lambda one: one.at, default=None)
    return last.held if last is not None else None


def known_by_all(told: Sequence[Shared]) -> tuple[Knowledge, ...]:
    """Return the worst that any worker knows of each source: one that has not looked yet knows nothing."""
    by_source: dict[str, list[Knowledge]] = {}
    for shared in told:
        for one in shared.knowledge:
            by_source.setdefault(one.source, []).append(one)
    return tuple(min(some, key=_how_well) for some in by_source.values())


def _how_well(knowledge: Knowledge) -> tuple[int, float]:
    order = (Connection.AWAY, Connection.CONNECTED, Connection.NEVER)
    return order.index(knowledge.docker), knowledge.since


@dataclass(frozen=True, slots=True)
class Situation:
    """What a verdict is about. *clock* tells a time of Unix seconds as people read it, such as `14:32 UTC`;
    *url* is the gateway's own, and *program* what it was started by.
    """

    config: Config
    views: Mapping[str, BackendView]
    knowledge: Sequence[Knowledge]
    lately: Lately
    now: float
    clock: Callable[[float], str]
    url: str
    program: str = PROGRAM


def verdict(situation: Situation, held: Held | None = None) -> tuple[Verdict, Held]:
    """Return the verdict, and what to hold for the next one."""
    leading = leading_cause(situation.lately)
    standing = _standing(situation, leading)
    holds = settled(standing, held, situation.now)
    headline = _headline(situation, leading) + _why_it_holds(standing, holds)
    told = Verdict(holds.standing, headline, tuple(_findings(situation, leading, holds.standing)))
    return told, holds


def settled(standing: Standing, held: Held | None, now: float) -> Held:
    """Return what holds where *standing* is so now, and *held* was told before."""
    if held is None or held.standing not in _RISES_LATE or _RANK[standing] <= _RANK[held.standing]:
        return Held(standing)
    since = now if held.better_since is None else min(held.better_since, now)  # a clock may be set back
    return Held(standing) if now - since >= RISES_AFTER_S else Held(held.standing, since)


def leading_cause(lately: Lately) -> tuple[Cause, int] | None:
    """Return the cause that stands for at least half of rgate's own errors, and is no accident."""
    if not lately.causes:
        return None
    cause, number = max(lately.causes.items(), key=lambda item: (item[1], item[0].reason.value, item[0]))
    whole = sum(lately.causes.values())
    return (cause, number) if number >= _FEWEST_OF_A_CAUSE and 2 * number >= whole else None


def _standing(situation: Situation, leading: tuple[Cause, int] | None) -> Standing:
    views = situation.views.values()
    if _is_needed(situation.config) and situation.knowledge and all(map(_is_away, situation.knowledge)):
        return Standing.STALE
    if views and not any(view.candidates for view in views):
        return Standing.DOWN
    if leading or not all(view.candidates for view in views) or any(map(_is_away, _asked(situation))):
        return Standing.DEGRADED
    return Standing.WELL if situation.lately.ever else Standing.WAITING


def _asked(situation: Situation) -> Sequence[Knowledge]:
    return situation.knowledge if _is_needed(situation.config) else ()


def _is_needed(config: Config) -> bool:
    return any(backend.match_labels for backend in config.backends)


def _is_away(knowledge: Knowledge) -> bool:
    return knowledge.docker is not Connection.CONNECTED


# The headline.


def _headline(situation: Situation, leading: tuple[Cause, int] | None) -> str:
    away = [one for one in _asked(situation) if _is_away(one)]
    first = _who_has_containers(situation.views)
    if away and len(situation.knowledge) == 1:
        first = _away_since(situation, away[0])
    elif away:
        do = "does" if len(away) == 1 else "do"
        who = listed([one.source for one in away], _MOST_OF_A_KIND)
        first = f"Docker {who} {do} not answer; {first[0].lower()}{first[1:]}"
    return f"{first}; {_errors(situation.lately, leading)}."


def _why_it_holds(standing: Standing, holds: Held) -> str:
    """Return why *holds* is told where *standing* is so now; "" where that is what is told."""
    if holds.standing is standing:
        return ""
    return f" It is better now, and told as {standing.word} once that has held for {RISES_AFTER_S:g} s."


def _away_since(situation: Situation, away: Knowledge) -> str:
    if away.docker is Connection.NEVER:
        return "Docker has not answered since rgate started"
    return f"Docker does not answer since {situation.clock(away.since)}, containers are as of then"


def _who_has_containers(views: Mapping[str, BackendView]) -> str:
    lacking = [name for name, view in views.items() if not view.candidates]
    number = len(views)
    if not number:
        return "No backend is configured"
    if not lacking:
        return f"All {number} backends have containers" if number > 1 else "The backend has containers"
    if len(lacking) == number:
        return f"None of {number} backends has a container" if number > 1 else "The backend has no container"
    has = "has" if len(lacking) == 1 else "have"
    without = listed(lacking, _MOST_OF_A_KIND)
    return f"{number - len(lacking)} of {number} backends have containers, {without} {has} none"


def _errors(lately: Lately, leading: tuple[Cause, int] | None) -> str:
    if not lately.ever:
        return "nothing was asked yet"
    if not lately.requests:
        return "nothing was asked in the last 15 min"
    share = 100 * lately.errors / lately.requests
    digits = 0 if share >= 10 or not share else 1 if share >= 0.1 else 2
    text = f"{share:.{digits}f} % errors in the last 15 min"
    if leading is None:
        return text
    cause, number = leading
    whole = max(lately.errors, number)
    of = f"{number:,} of {whole:,} are" if number < whole else f"all {number:,} are"
    origin = f" from {code(cause.container)}" if cause.container else ""
    return f"{text}, {of} {code(cause.reason.value)}{origin}"


# The findings, in their order: Docker, backends without a container, the leading cause, containers that are
# out, near misses.


def _findings(
    situation: Situation, leading: tuple[Cause, int] | None, standing: Standing
) -> Iterator[Finding]:
    for away in [one for one in _asked(situation) if _is_away(one)]:
        yield _of_docker(away, alone=len(situation.knowledge) == 1)
    yield from _of_lacking(situation)
    if leading is not None and not _is_so_now(situation, leading[0]):
        yield _of_cause(situation, leading[0])
    yield from list(_of_left_out(situation))[:_MOST_OF_A_KIND]
    yield from list(_of_near_misses(situation))[:_MOST_OF_A_KIND]
    if standing is Standing.WAITING:
        yield from _tries(situation)


def _of_docker(away: Knowledge, *, alone: bool) -> Finding:
    who = "Docker" if alone else f"Docker {code(away.source)}"
    known = (
        "no container is known yet"
        if away.docker is Connection.NEVER
        else "containers last known stay in use; what came or went since is unknown"
    )
    why, do = why_and_do(away.error)
    do = do or "start it, or see why it stopped"
    is_stopped = do.startswith("start Docker") and " unix://" in why
    command = "systemctl status docker" if is_stopped else "docker version" if alone else "rgate doctor"
    return Finding(
        Level.WARN,
        f"{who} does not answer{f' ({why})' if why else ''}: {known}.",
        f"{do[0].upper()}{do[1:]}; rgate keeps trying.",
        command,
    )


def _of_lacking(situation: Situation) -> Iterator[Finding]:
    """Yield a finding for backends without a container; those with the same lack in one."""
    by_lack: dict[tuple[Reason, str], list[BackendView]] = {}
    for view in situation.views.values():
        # That Docker does not answer was told before.
        if view.reason is not None and view.reason is not Reason.DOCKER_UNAVAILABLE:
            by_lack.setdefault((view.reason, _lack(view) or view.detail), []).append(view)
    for (reason, lack), views in by_lack.items():
        names = [view.name for view in views]
        have = "has" if len(names) == 1 else "have"
        route = next((r for r in situation.config.routes if r.backend == names[0]), None)
        command = ""
        if route is not None:
            path = quote(
                f"http://{route.host.replace('*', 'any')}{route.path_prefix}"
                if route.host
                else route.path_prefix
            )
            command = asking(situation.program, "explain", path, situation.url)
        yield Finding(
            Level.BAD,
            f"{listed(names, _MOST_OF_A_KIND)} {have} no container: {lack}",
            advice_on(reason, "").do,
            command,
            Show(reason=reason.value, backend=names[0] if len(names) == 1 else None),
        )


def _lack(view: BackendView) -> str:
    """Return what is the same of backends that lack the same; "" where nothing is near."""
    labels = {(m.key, m.found, m.wanted) for near in view.near_misses for m in near.missing}
    if view.reason is not Reason.NO_CONTAINER or len(labels) != 1:
        return ""
    names = ", ".join(near.name for near in view.near_misses)
    return f"{names}: {_difference(view.near_misses[0])}." if names else ""


def _of_cause(situation: Situation, cause: Cause) -> Finding:
    said: Advice = advice_on(cause.reason, cause.container, is_fixed=_is_fixed(situation, cause.container))
    who = f"{code(cause.container)}: " if cause.container else ""
    well = _others_that_are_in(situation, cause.container)
    return Finding(
        Level.WARN,
        f"{who}{said.told}{well}",
        said.do,
        said.command,
        Show(reason=cause.reason.value, container=cause.container or None),
    )


def _is_so_now(situation: Situation, cause: Cause) -> bool:
    """Whether *cause* is of no container, and what it comes of was told before it, as it still is so."""
    if cause.reason is Reason.DOCKER_UNAVAILABLE:
        return any(map(_is_away, _asked(situation)))
    return not cause.container and any(view.reason is cause.reason for view in situation.views.values())


def _is_fixed(situation: Situation, name: str) -> bool:
    return any(
        candidate.name == name and not candidate.container_id
        for view in situation.views.values()
        for candidate in view.candidates
    )


def _others_that_are_in(situation: Situation, container: str) -> str:
    for view in situation.views.values():
        names = [candidate.name for candidate in view.candidates]
        if container in names and len(names) > 1:
            return f" {code(view.name)} has {len(names) - 1} more."
    return ""


def _of_left_out(situation: Situation) -> Iterator[Finding]:
    seen: set[str] = set()
    for left_out, view in itertools.product(_OUT, situation.views.values()):
        for container in view.containers:
            if container.left_out is left_out and view.candidates and container.name not in seen:
                seen.add(container.name)
                yield _out(view, container)


_OUT: Final = (LeftOut.UNHEALTHY, LeftOut.NO_ADDRESS, LeftOut.NOT_INSPECTED, LeftOut.NOT_RUNNING)
"""What does not pass by itself. What ended long ago and is still there comes last."""


def _out(view: BackendView, container: ContainerView) -> Finding:
    goes_on = f"{code(view.name)} goes on with {len(view.candidates)}."
    own, _ = called_by_docker(container.name)
    command = ""
    if container.left_out is LeftOut.UNHEALTHY:
        command = f"docker inspect --format '{{{{json .State.Health}}}}' {quote(own)}"
    elif container.left_out is LeftOut.NOT_RUNNING and container.is_task:
        command = f"docker service ps --no-trunc {quote(own.rpartition('.')[0])}"
    elif container.left_out is LeftOut.NOT_RUNNING:
        command = f"docker logs --tail 50 {quote(own)}"
    do = where_it_is(container.name) if command else ""
    return Finding(Level.INFO, f"{container.detail}. {goes_on}", do, command)


def _of_near_misses(situation: Situation) -> Iterator[Finding]:
    for view in situation.views.values():
        if not view.candidates:
            continue  # told with what it lacks
        for near in view.near_misses:
            text = f"{code(near.name)} is no candidate of {code(view.name)}: {_difference(near)}."
            yield Finding(Level.INFO, text, "If it should serve, start it anew with that label.")


def _difference(near: NearMiss) -> str:
    return "; ".join(f"{_found(near, one)}, wanted {code(f'{one.key}={one.wanted}')}" for one in near.missing)


_SURE: Final = 80  # characters of a label's value, which stand in a near miss's sentence


def _found(near: NearMiss, missing: MissingLabel) -> str:
    if missing.found is None:
        return f"{code(missing.key)} is missing"
    label = f"{missing.key}={missing.found}"
    # What was found may be a whole label, under another key: its sentence tells which it is.
    is_of_that_key = f"{missing.key}={missing.found[:_SURE]}" in near.detail
    return code(label if is_of_that_key else missing.found)


def _tries(situation: Situation) -> Iterator[Finding]:
    routes = [route for route in situation.config.routes if not route.host][: _MOST_TRIES - 1]
    for number, route in enumerate(routes):
        text = "Another route:" if number else "Ask for something, and it shows here at once:"
        yield Finding(Level.INFO, text, "", f"curl -i {quote(situation.url + route.path_prefix)}")
    yield Finding(
        Level.INFO,
        "A path that no route has, for the default response:",
        "",
        f"curl -i {quote(situation.url + '/elsewhere')}",
    )


# Freshness.


def freshness(situation: Situation, *, config_loaded: float, config_error: str) -> tuple[Fact, ...]:
    """Return how old what is known is: Docker, its full list, its events, the configuration."""
    facts = [fact for one in _asked(situation) for fact in _of_source(situation, one)]
    generation = max((one.generation for one in situation.knowledge), default=0)
    if config_error:
        facts.append(Fact(Level.BAD, "Config", f"not taken: {config_error}", config_loaded))
    else:
        facts.append(Fact(Level.OK, "Config", f"loaded {{ago}} ago, gen {generation}", config_loaded))
    return tuple(facts)


def _of_source(situation: Situation, one: Knowledge) -> Iterator[Fact]:
    prefix = f"{one.source}: " if len(situation.knowledge) > 1 else ""
    away = _is_away(one)
    if not away:
        yield Fact(Level.OK, "Docker", f"{prefix}connected, {one.version}")
    else:
        gone = "away for {ago}" if one.docker is Connection.AWAY else "not there for {ago}"
        yield Fact(Level.BAD, "Docker", prefix + gone, one.since)
    if one.last_list_s is not None:
        level, text = (Level.WARN, "{ago} ago, stale") if away else (Level.OK, "{ago} ago")
        yield Fact(level, "Full list", prefix + text, situation.now - one.last_list_s)
    if one.events is Events.LIVE:
        last = ", last {ago} ago" if one.last_event is not None else ""
        yield Fact(Level.OK, "Events", f"{prefix}live{last}", one.last_event)
    elif one.events is Events.POLLED:
        yield Fact(Level.WARN, "Events", f"{prefix}not to be had: lists are asked for instead")
    else:
        yield Fact(Level.BAD, "Events", f"{prefix}broken, trying again")
