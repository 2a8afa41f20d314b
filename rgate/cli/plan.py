"""`plan`: what changes if a configuration takes the place of another (behaviour 9)."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from rgate.cli.asking_gateway import NoAnswer, ask_gateway
from rgate.cli.config_file import load_config
from rgate.cli.looking import Looked, LookedAt, look
from rgate.cli.options import DEFAULT_GATEWAY
from rgate.cli.text import say
from rgate.cli.waiting import told_if_slow
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Config
from rgate.core.config_document import without_secrets
from rgate.core.config_file import parse_document
from rgate.core.escape import in_one_line
from rgate.core.knowledge import Knowledge
from rgate.core.own import OwnPage
from rgate.core.owners import ChangeKind, OwnerChange, OwnPath, Taker
from rgate.core.plan import BackendChange, Plan, Situation
from rgate.core.plan import plan as plan_of
from rgate.core.planned import PlannedContainer, assumed, with_planned
from rgate.core.seen import Seen, called_by_docker

_CONFIG = "config.yml"
_AWAY = "{} does not answer ({})"


def plan(options: Namespace) -> int:
    """Print what changes. Returns the exit status: 0 where nothing is lost, 1 where something is.

    Raises CannotTell.
    """
    old, new = _configurations(options)
    before = _looked(options, old, new)
    after = before
    for name, labels in options.labels:
        number, planned = _placed(after, PlannedContainer(name, labels))
        containers = after.at[number].seen.containers or ()
        print(f"rgate: {in_one_line(assumed(containers, planned))}", file=sys.stderr)
        after = _with(after, number, planned, new)
    found = plan_of(_situation(old, before), _situation(new, after))
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        say("\n".join(in_one_line(line) for line in lines(found)))
    return 1 if found.lost else 0


def _configurations(options: Namespace) -> tuple[Config, Config]:
    """Return the old and the new one. Raises ConfigErrors and NoAnswer."""
    if options.against is not None:
        old = load_config(options.against)
    elif options.gateway is None and options.labels:
        old = load_config(options.config or _CONFIG)  # only a container changes
    else:
        return _against_gateway(options)
    is_old = options.config is None and options.labels
    return old, old if is_old else load_config(options.config or _CONFIG)


def _against_gateway(options: Namespace) -> tuple[Config, Config]:
    new = None if options.config is None and options.labels else load_config(options.config or _CONFIG)
    url = options.gateway or DEFAULT_GATEWAY
    try:
        with told_if_slow(f"asking {url}"):
            document = ask_gateway(url, OwnPage.CONFIG.value)
    except NoAnswer as error:
        raise NoAnswer(f"{error}, or a file with --against") from error
    old = parse_document(document, url + OwnPage.CONFIG.value)
    # It hides its secrets: what is hidden on one side alone would seem to change.
    return old, without_secrets(new) if new is not None else old


def _looked(options: Namespace, old: Config, new: Config) -> Looked:
    """Return the containers, where they count. Raises CannotTell where somebody does not answer."""
    if options.snapshot is None and not old.needs_docker and not new.needs_docker:
        asked = tuple(dict.fromkeys((*old.asked_sources, *new.asked_sources)))
        return Looked(tuple(LookedAt(Seen((), source=one.name), Knowledge(one.name)) for one in asked), asked)
    looked = look(options, old, new)
    if away := looked.away(old, _AWAY) or looked.away(new, _AWAY):
        raise CannotTell(
            in_one_line(
                f"{away}: start it, check DOCKER_HOST and the right to use its socket, or look into a "
                "recording with --snapshot"
            )
        )
    return looked


def _placed(looked: Looked, planned: PlannedContainer) -> tuple[int, PlannedContainer]:
    """Return the number of the source that *planned* is to be of, and it by the name that it has there: the
    one that it names, as `far/orders-1`; or that has one of its name; or the first.
    """
    own, named = called_by_docker(planned.name)
    for number, one in enumerate(looked.at):
        if named and one.seen.source == named:
            return number, replace(planned, name=own)
    for number, one in enumerate(looked.at):
        if any(container.name == planned.name for container in one.seen.containers or ()):
            return number, planned
    return 0, planned


def _with(looked: Looked, number: int, planned: PlannedContainer, config: Config) -> Looked:
    at = looked.at[number]
    containers = with_planned(at.seen.containers or (), planned, config.backends)
    known = {one.id for one in containers if one.name == planned.name}
    left_out = {identity: keys for identity, keys in at.left_out.items() if identity not in known}
    changed = LookedAt(replace(at.seen, containers=containers), at.knowledge, left_out)
    return replace(looked, at=(*looked.at[:number], changed, *looked.at[number + 1 :]))


def _situation(config: Config, looked: Looked) -> Situation:
    """Return *config* as a gateway that starts now would have it. Raises LeftOutLabel."""
    return Situation(config, looked.gateway(config).views)


def lines(plan: Plan) -> Iterator[str]:
    """Yield the plan for people: how much changes, then a line for each change, what is lost first."""
    lost, gained = _partition(plan.routes, lambda change: change.from_backend is not None)
    lost_backends, backends = _partition(plan.backends, lambda change: change.is_lost)
    yield _summary(_counts(lost, lost_backends), _counts(gained, [one for one in backends if one.gains]))
    yield from (f"lost     {_route_line(change)}" for change in lost)
    yield from (f"lost     {_backend_line(change)}" for change in lost_backends)
    yield from (f"gained   {_route_line(change)}" for change in gained)
    yield from (f"{_what_becomes(change):<9}{_backend_line(change)}" for change in backends)
    yield from (f"restart  {key} changes with the next start, not by a reload" for key in plan.restart)
    for never in plan.never:
        yield f"never    {never.host}{never.path_prefix} can never match, as {never.why}"


_Change = TypeVar("_Change", OwnerChange, BackendChange)


def _partition(
    changes: Iterable[_Change], is_first: Callable[[_Change], bool]
) -> tuple[list[_Change], list[_Change]]:
    first: list[_Change] = []
    rest: list[_Change] = []
    for change in changes:
        (first if is_first(change) else rest).append(change)
    return first, rest


def _summary(lost: str, gained: str) -> str:
    return (f"lost: {lost}" if lost else "nothing is lost") + (f"; gained: {gained}" if gained else "")


def _counts(routes: Sequence[OwnerChange], backends: Sequence[BackendChange]) -> str:
    """Return how many there are of each, of which there are any."""
    prefixes = f"{len(routes)} prefix{'' if len(routes) == 1 else 'es'}" if routes else ""
    of_backends = f"{len(backends)} backend{'' if len(backends) == 1 else 's'}" if backends else ""
    return " and ".join(filter(None, (prefixes, of_backends)))


def _route_line(change: OwnerChange) -> str:
    where = f"{change.host}{change.path_prefix} goes from {_named(change.old)} to {_named(change.new)}"
    became = "" if change.kind is ChangeKind.OWNER else f" (route {change.kind.value})"
    return f"{where}{became}, such as {change.example}"


def _named(taker: Taker) -> str:
    if taker is None:
        return "the default response"
    return "rgate's own page" if isinstance(taker, OwnPath) else taker.backend


def _what_becomes(change: BackendChange) -> str:
    if not change.candidates:
        return "none"
    return "changed" if change.loses or change.moves else "gained"


def _backend_line(change: BackendChange) -> str:
    told = [f"gains {', '.join(change.gains)}"] if change.gains else []
    if change.loses:
        told.append(f"loses {', '.join(change.loses)}")
    told += [f"asks {one.name} at {one.new}, and no more at {one.old}" for one in change.moves]
    if change.candidates:
        told.append(f"has {', '.join(change.candidates)}")
    else:
        told.append("has no container" + (f". {change.detail}" if change.detail else ""))
    return f"backend {change.name}: {'; '.join(told)}"
