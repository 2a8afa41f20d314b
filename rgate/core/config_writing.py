"""A configuration from the containers that run, one route a service, as a file that people read first
(`init`, behaviour 9).

Who a backend finds, and at which address, is asked of what serves: what is written leads somewhere, or is not
written and said to be left out. What cannot be known is a guess, and marked as one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import yaml

from rgate.core.config import Backend, Stats
from rgate.core.containers import Container, State
from rgate.core.escape import in_one_line
from rgate.core.labels import SERVICES, Label, Labelled, names_something
from rgate.core.left_out import LeftOutKeys, doubts
from rgate.core.seen import Seen, union
from rgate.core.selection import views_of

SCHEMA_FILE: Final = "rgate.schema.json"
"""What the file names for editors, beside it."""

PROJECT: Final = "com.docker.compose.project"
_ONE_OFF: Final = "com.docker.compose.oneoff"
SERVICE, _SWARM = SERVICES

# Labels that are made to name what a container is, best first.
_TELLING: Final = (
    "app.kubernetes.io/name", "app_name", "app", "application", "service", "service_name", "name",
    "component",
)  # fmt: skip
# What images and tools say of themselves: it is the same of things that have nothing to do with each other.
_OF_IMAGES: Final = (
    "org.opencontainers.",
    "org.label-schema.",
    "desktop.docker.io/",
    "com.docker.",
    "io.podman.",
)

# Most of what listens at these speaks HTTP.
_HTTP_PORTS: Final[tuple[int, ...]] = (80, 8080, 8000, 3000, 5000, 8081, 8888, 9000, 4000, 5173, 1323)
_NO_HTTP: Final[Mapping[int, str]] = {
    21: "FTP", 22: "SSH", 25: "SMTP", 53: "DNS", 110: "POP3", 143: "IMAP", 389: "LDAP", 587: "SMTP",
    1433: "SQL Server", 1521: "Oracle", 1883: "MQTT", 2181: "ZooKeeper", 3306: "MySQL", 4222: "NATS",
    5432: "PostgreSQL", 5672: "AMQP", 6379: "Redis", 9042: "Cassandra", 9092: "Kafka", 11211: "memcached",
    27017: "MongoDB", 443: "TLS", 8443: "TLS",
}  # fmt: skip
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
_OWN_SERVICE: Final = "rgate"
_LONGEST_LISTED: Final = 5
_LONGEST_KEY: Final = 500  # YAML takes longer ones for keys only where they are marked as such


class _Kind(NamedTuple):
    """What the containers of one service have in common. *project*: "" without one."""

    project: str
    service: str

    def __str__(self) -> str:
        return f"{self.service}, of the project {self.project}" if self.project else self.service


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and how many routes it has. *left_out*: of each service without one its name, and why."""

    text: str
    routes: int
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: _Kind
    names: tuple[str, ...]
    backend: Backend
    prefix: str = ""
    ports: tuple[int, ...] = ()  # among which its port is a guess


def config_from(
    sources: Sequence[Seen],
    *,
    own_id: str = "",
    left_out: Mapping[str, LeftOutKeys] | None = None,
) -> Written:
    """Return a configuration for those containers of *sources* that run.

    *own_id*: how the id of rgate's own container begins, "" for none. *left_out*: of labels whose values are
    not known, by the name of the source.
    """
    every = [one.container for one in union(sources, is_named=len(sources) > 1)]
    hidden = left_out or {}
    labelled = Labelled(every)
    unknown = frozenset(key for some in hidden.values() for keys in some.values() for key in keys)
    found = [_entry(kind, alike, labelled, unknown) for kind, alike in sorted(_kinds(every, own_id).items())]
    entries = [one for one in found if isinstance(one, _Entry)]
    without = [one for one in found if not isinstance(one, _Entry)]
    kept = list(_named(_leading(entries, sources, hidden, without)))
    without.sort()
    return Written(_text(kept, without), len(kept), tuple(without))


def _kinds(containers: Iterable[Container], own_id: str) -> dict[_Kind, list[Container]]:
    """Return those that run, by what they are; without rgate itself, and what was run but once."""
    kinds: dict[_Kind, list[Container]] = defaultdict(list)
    for container in containers:
        is_own = bool(own_id) and container.id.startswith(own_id)
        is_one_off = container.labels.get(_ONE_OFF, "").lower() == "true"
        if container.state is State.RUNNING and not container.stopping and not is_own and not is_one_off:
            kinds[_kind(container)].append(container)
    return kinds


def _kind(container: Container) -> _Kind:
    labels = container.labels
    if service := labels.get(SERVICE):
        return _Kind(labels.get(PROJECT, ""), service)
    if service := labels.get(_SWARM):
        return _Kind("", service)
    named = next((labels[key] for key in _TELLING if names_something(labels.get(key, ""))), "")
    return _Kind("", named or container.name)


def _entry(
    kind: _Kind, alike: Sequence[Container], labelled: Labelled, unknown: Collection[str]
) -> _Entry | tuple[str, str]:
    """Return what is to be written of a service; or its name, and why nothing is."""
    if kind.service == _OWN_SERVICE:
        return str(kind), "it is probably rgate itself (a guess, by its name)"
    wanted = _telling_labels(alike, labelled, unknown)
    if wanted is None:
        return str(kind), f"no label tells it from others: start it with `--label app={kind.service}`"
    ports = sorted(
        {port for one in alike for port in (*one.exposed, *(p.container_port for p in one.published))}
    )
    if ports and all(port in _NO_HTTP for port in ports):
        spoken = ", ".join(f"{port} is mostly {_NO_HTTP[port]}" for port in ports)
        return str(kind), f"it speaks no HTTP (a guess, by its port: {spoken})"
    names = tuple(sorted(one.name for one in alike))
    return _Entry(kind, names, Backend(kind.service, match_labels=wanted), ports=tuple(ports))


def _telling_labels(
    alike: Sequence[Container], labelled: Labelled, unknown: Collection[str]
) -> tuple[Label, ...] | None:
    """Return labels that all of *alike* have, and of those that run no other; None: there are none."""
    shared = set.intersection(*(set(one.labels.items()) for one in alike))
    usable = {
        (key, value)
        for key, value in shared
        if 0 < len(key) <= _LONGEST_KEY and key not in unknown and _is_text(key + value)
    }
    own = sorted(label for label in usable if not label[0].startswith(_OF_IMAGES))
    own.sort(key=lambda label: _TELLING.index(label[0]) if label[0] in _TELLING else len(_TELLING))
    by_compose = [label for key in (PROJECT, SERVICE) for label in usable if label[0] == key]
    by_swarm = [label for label in usable if label[0] == _SWARM]
    once = [label for label in usable if label[0] == _ONE_OFF]
    whole = {one.id for one in alike}
    for wanted in (
        by_compose,
        [*by_compose, *once],
        by_swarm,
        *([label] for label in own),
        own,
        sorted(usable),
    ):
        found = [labelled.containers[number] for number in labelled.having_all(wanted)] if wanted else []
        if found and {one.id for one in found if one.state is State.RUNNING and not one.stopping} == whole:
            return tuple(wanted)
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leading(
    entries: Sequence[_Entry],
    sources: Sequence[Seen],
    hidden: Mapping[str, LeftOutKeys],
    without: list[tuple[str, str]],
) -> Iterator[_Entry]:
    """Yield those of *entries* that lead to a container, with a port where one has to be chosen.

    Of the others *without* is told why.
    """
    plain = [
        replace(one, backend=replace(one.backend, name=str(number))) for number, one in enumerate(entries)
    ]
    found = views_of((one.backend for one in plain), sources)
    ported = [_ported(one) for one in plain]
    found_by_port = views_of((one.backend for one in ported), sources)

    def is_better(name: str) -> bool:
        return len(found_by_port[name].candidates) > len(found[name].candidates)

    names = [one.backend.name for one in plain]
    chosen = [ported[n] if is_better(name) else plain[n] for n, name in enumerate(names)]
    views = {name: found_by_port[name] if is_better(name) else found[name] for name in names}
    doubtful = doubts((one.backend for one in chosen), sources, hidden)
    for one in chosen:
        name = one.backend.name
        if name in doubtful:
            without.append((str(one.kind), str(doubtful[name])))
        elif not views[name].candidates:
            without.append((str(one.kind), views[name].detail.removesuffix(".")))
        else:
            yield one


def _ported(entry: _Entry) -> _Entry:
    """Return *entry* with the port that most probably speaks HTTP, where it has any."""
    ports = entry.ports
    likely = [port for port in _HTTP_PORTS if port in ports] or [p for p in ports if p not in _NO_HTTP]
    return replace(entry, backend=replace(entry.backend, port=likely[0])) if likely else entry


def _named(entries: Iterable[_Entry]) -> Iterator[_Entry]:
    """Yield *entries* with names and prefixes of their own: the service's, with its project where need be."""
    every = list(entries)
    services = [one.kind.service for one in every]
    names = {""}
    prefixes = {"/", Stats().path, "/_rgate"}
    for one in every:
        service, project = one.kind.service, one.kind.project
        name = f"{project}-{service}" if services.count(service) > 1 and project else service
        prefix = "/" + "".join(letter if letter in _PLAIN else "-" for letter in name)
        if set(prefix) <= {"/", "."}:
            prefix = "/service"
        yield replace(
            one, backend=replace(one.backend, name=_unused(name, names)), prefix=_unused(prefix, prefixes)
        )


def _unused(name: str, used: set[str]) -> str:
    """Return *name*, with a number where it is used, and take it as used."""
    free, number = name, 2
    while free in used:
        free, number = f"{name}-{number}", number + 1
    used.add(free)
    return free


# The file.


def _text(entries: Sequence[_Entry], without: Sequence[tuple[str, str]]) -> str:
    parts = [_HEAD, _routes(entries), _DEFAULT, _backends(entries)]
    if without:
        told = (f"# - {in_one_line(name)}: {in_one_line(why)}" for name, why in without)
        parts.append("\n".join(("# Left out:", *told)) + "\n")
    return "\n".join(parts)


_HEAD: Final = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
#
# The configuration of rgate, made by `rgate init` from the containers that run. It works as it is. Lines that
# say "a guess" are what could not be known: look at those first.
#
#   rgate check                 whether it is right
#   rgate explain PATH          what becomes of a request, and why
#   rgate schema                all keys, with their ranges and defaults
"""

_DEFAULT: Final = """\
# What a path gets that no route matches.
default_response:
  status_code: 404
  body: "No route matches this path.\\n"
"""


def _routes(entries: Sequence[_Entry]) -> str:
    if not entries:
        return "routes: []\n"
    lines = ["routes:"]
    for one in entries:
        count = f"{len(one.names)} container" + ("s" if len(one.names) > 1 else "")
        lines += [
            f"  # {in_one_line(str(one.kind))}: {count}",
            f"  - path_prefix: {_scalar(one.prefix)}  # a guess: the name of the service",
            "    match: segment",
            "    strip_prefix: true  # a guess: the service itself knows nothing of the prefix",
            f"    backend: {_scalar(one.backend.name)}",
        ]
    return "\n".join(lines) + "\n"


def _backends(entries: Sequence[_Entry]) -> str:
    if not entries:
        return "backends: []\n"
    lines = ["backends:"]
    for one in entries:
        shown = ", ".join(map(in_one_line, one.names[:_LONGEST_LISTED]))
        more = f" and {len(one.names) - _LONGEST_LISTED} more" if len(one.names) > _LONGEST_LISTED else ""
        lines += [f"  # {shown}{more}", f"  - name: {_scalar(one.backend.name)}", "    match_labels:"]
        lines += [f"      {_scalar(key)}: {_scalar(value)}" for key, value in one.backend.match_labels]
        if one.backend.port is not None:
            others = ", ".join(map(str, one.ports))
            lines.append(f"    port: {one.backend.port}  # a guess: it has the ports {others}")
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    """Return *text* in one line, as YAML reads it back."""
    value: Any = yaml.safe_dump(text, default_style=None, allow_unicode=True, width=1_000_000)
    line = str(value).removesuffix("\n").removesuffix("\n...")
    if "\n" in line or line.startswith(("|", ">")):
        line = str(yaml.safe_dump(text, default_style='"', width=1_000_000)).removesuffix("\n")
    return line
