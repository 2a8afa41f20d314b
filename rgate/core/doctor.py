"""Whether a machine is fit for rgate: what was found out about it, as one check each, and what to do
(`doctor`, behaviour 9). Who finds it out: cli/doctor.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.advice import advice_on
from rgate.core.reasons import Reason
from rgate.core.room import most_clients, told_of_room
from rgate.core.timeline import length
from rgate.core.wording import several, why_and_do

ENOUGH_FILES: Final = 1024
"""Fewer descriptors are too few for a gateway that is used; most systems give at least as many."""

_FILES_WANTED: Final = 65536

_LITTLE: Final = 100 << 20  # bytes
_NONE: Final = 1 << 20
_FEW_INODES: Final = 100

_CLOCK_APART_S: Final = 5.0
_CLOCK_FAR_APART_S: Final = 60.0
_MOST_TOLD: Final = 5


class Outcome(Enum):
    """How a check came out. The value is what scripts read."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. *do*: what to do; "" where nothing is."""

    name: str
    level: Outcome
    text: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """How Docker at *host* answered. Errors end in `: ` and what to do; "" for none.

    *context*: what names one of another machine, but for DOCKER_HOST, which is meant; "" for none.
    *ahead_s*: by how much Docker's clock is ahead of ours; None: not known. *source*: what it is called, ""
    where it is the only one.
    """

    host: str
    version: str = ""
    error: str = ""
    events_error: str = ""
    context: str = ""
    ahead_s: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """What *file* holds. *errors* and *warnings*: as `check` tells them."""

    file: str
    routes: int = 0
    backends: int = 0
    needs_docker: bool = True
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmptyBackend:
    """A backend that has no container to ask, for that *reason*. *why*: which containers are out, and why."""

    name: str
    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class PortFacts:
    """Whether *address* can be listened on. *error*: why not, `; ` and what to do. *taken_by*: who listens
    there, "" where it is not known.
    """

    address: str
    error: str = ""
    taken_by: str = ""
    is_rgate: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The database of the figures, called *name*. *error*: why it cannot be used, *do*: and what to do.

    *is_new*: it is not there yet, and will be made.
    """

    name: str
    error: str = ""
    do: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What is free where *path* lies. *inodes*: None where the file system does not count them."""

    path: str
    free_bytes: int
    inodes: int | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """How many descriptors a process may have (its hard limit, as rgate takes all that it may), and how many
    clients are to be served at once.
    """

    most: int
    connections: int


@dataclass(frozen=True, slots=True)
class NameFacts:
    """A host's *name* that is asked for by *where*. *error*: why it has no address; "" where it has."""

    name: str
    where: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found out. None: it could not be looked at, as something before it is wrong."""

    dockers: Sequence[DockerFacts]
    config: ConfigFacts
    ports: Sequence[PortFacts]
    empty: Sequence[EmptyBackend] | None = None
    database: DatabaseFacts | None = None
    disk: DiskFacts | None = None
    files: FileFacts | None = None
    names: Sequence[NameFacts] = ()


def checks(facts: Facts) -> list[Check]:
    """Return all checks, in the order in which one would mend what is wrong."""
    needs_docker = bool(facts.config.errors) or facts.config.needs_docker
    found = [
        *(check for docker in facts.dockers for check in _docker(docker, is_needed=needs_docker)),
        _config(facts.config),
        *_backends(facts.empty),
        *map(_port, facts.ports),
    ]
    if facts.database is not None:
        found.append(_database(facts.database))
    if facts.disk is not None:
        found.append(_disk(facts.disk))
    if facts.files is not None:
        found.append(_files(facts.files))
    found += [_clock(docker, docker.ahead_s) for docker in facts.dockers if docker.ahead_s is not None]
    return [*found, *_names(facts.names)]


def is_sound(found: Iterable[Check]) -> bool:
    """Whether no check failed."""
    return all(check.level is not Outcome.FAIL for check in found)


def _of(what: str, docker: DockerFacts) -> str:
    """Return what a check of *docker* is called."""
    return f"{what} {docker.source}" if docker.source else what


def _docker(docker: DockerFacts, *, is_needed: bool) -> Iterator[Check]:
    if docker.error:
        why, do = why_and_do(docker.error)
        level = Outcome.FAIL if is_needed else Outcome.WARNING
        needless = "" if is_needed else " (no backend needs it)"
        yield Check(_of("docker", docker), level, f"{why}{needless}", do)
    else:
        yield Check(_of("docker", docker), Outcome.OK, f"Docker {docker.version} answers at {docker.host}")
    if docker.context:
        yield Check(
            "docker context",
            Outcome.WARNING,
            f"the containers are those of another machine, named by {docker.context}",
            "`docker context use default` for those of this machine; if it is meant, say so by DOCKER_HOST",
        )
    if docker.events_error:
        why, do = why_and_do(docker.events_error)
        yield Check(
            _of("docker events", docker),
            Outcome.WARNING,
            f"Docker tells no events, so what changes is seen late: {why}",
            do or "let rgate ask for /events",
        )
    elif not docker.error:
        yield Check(_of("docker events", docker), Outcome.OK, "Docker tells its events")


def _config(config: ConfigFacts) -> Check:
    if config.errors:
        text = _some(config.errors)
        return Check("config", Outcome.FAIL, text, "mend the file, or name another with --config")
    if config.warnings:
        text = _some([f"{config.file}: {one}" for one in config.warnings])
        return Check("config", Outcome.WARNING, text, f"look at it: `rgate check --config {config.file}`")
    held = f"{several(config.routes, 'route')}, {several(config.backends, 'backend')}"
    return Check("config", Outcome.OK, f"{config.file}: {held}")


def _backends(empty: Sequence[EmptyBackend] | None) -> Iterator[Check]:
    if empty is None:
        return
    for backend in empty[:_MOST_TOLD]:
        yield Check(
            "backends",
            Outcome.WARNING,
            f"the backend {backend.name} has no container to ask: {backend.why}",
            advice_on(backend.reason, "").do,
        )
    if len(empty) > _MOST_TOLD:
        text = f"{len(empty) - _MOST_TOLD} more backends have no container to ask"
        yield Check("backends", Outcome.WARNING, text, "`rgate explain PATH` says why")
    if not empty:
        yield Check("backends", Outcome.OK, "each backend has whom to ask")


def _port(port: PortFacts) -> Check:
    if not port.error:
        return Check("port", Outcome.OK, f"{port.address} can be listened on")
    if port.is_rgate:
        who = f": {port.taken_by}" if port.taken_by else ""
        return Check("port", Outcome.OK, f"rgate itself listens on {port.address}{who}")
    why, _, do = port.error.partition("; ")
    who = f" by {port.taken_by}" if port.taken_by else ""
    return Check("port", Outcome.FAIL, f"{port.address} cannot be listened on: {why}{who}", do)


def _database(database: DatabaseFacts) -> Check:
    if database.error:
        text = f"{database.name} cannot be used: {database.error}"
        return Check("database", Outcome.FAIL, text, database.do)
    text = "will be made" if database.is_new else "can be written"
    return Check("database", Outcome.OK, f"{database.name} {text}")


def _disk(disk: DiskFacts) -> Check:
    free = f"{disk.free_bytes / (1 << 20):,.0f} MiB are free at {disk.path}"
    do = "make room, or put the database elsewhere with --db or `stats.database`"
    if disk.inodes is not None and disk.inodes < _FEW_INODES:
        level = Outcome.FAIL if not disk.inodes else Outcome.WARNING
        return Check("disk", level, f"{several(disk.inodes, 'more file')} can be made at {disk.path}", do)
    if disk.free_bytes < _LITTLE:
        level = Outcome.FAIL if disk.free_bytes < _NONE else Outcome.WARNING
        return Check("disk", level, f"only {free}", do)
    return Check("disk", Outcome.OK, free)


def _files(files: FileFacts) -> Check:
    clients = most_clients(files.connections, 1, files.most)
    text = f"a process may have {files.most:,} files open, enough for {clients:,} clients at once"
    if files.most < ENOUGH_FILES or told_of_room(files.connections, 1, files.most):
        do = (
            f"`ulimit -Hn {_FILES_WANTED}` as root before rgate starts, LimitNOFILE={_FILES_WANTED} of "
            f"systemd, --ulimit nofile={_FILES_WANTED} of Docker; or lower limits.connections"
        )
        return Check("open files", Outcome.WARNING, text, do)
    return Check("open files", Outcome.OK, text)


def _clock(docker: DockerFacts, ahead_s: float) -> Check:
    if abs(ahead_s) < _CLOCK_APART_S:
        return Check(_of("clock", docker), Outcome.OK, "this clock and Docker's agree")
    level = Outcome.FAIL if abs(ahead_s) >= _CLOCK_FAR_APART_S else Outcome.WARNING
    way = "ahead of" if ahead_s > 0 else "behind"
    return Check(
        _of("clock", docker),
        level,
        f"Docker's clock is {length(abs(ahead_s))} {way} this machine's",
        "set both by NTP, such as `timedatectl set-ntp true`",
    )


def _names(names: Sequence[NameFacts]) -> Iterator[Check]:
    for name in names:
        if name.error:
            yield Check(
                "names",
                Outcome.FAIL,
                f"{name.name}, which {name.where} names, has no address: {name.error}",
                "mend the name, or the DNS of this machine (/etc/resolv.conf, /etc/hosts)",
            )
    if names and not any(name.error for name in names):
        yield Check("names", Outcome.OK, f"{several(len(names), 'host')} by name: each has an address")


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _MOST_TOLD} more" if len(texts) > _MOST_TOLD else ""
    return "; ".join(texts[:_MOST_TOLD]) + more


_LISTENS: Final = "0A"  # TCP_LISTEN in /proc/net/tcp


def listening_inodes(table: str, port: int) -> set[str]:
    """Return the inodes of the sockets that listen on *port*, by *table*, the text of /proc/net/tcp or tcp6
    (proc_net_tcp(5)).
    """
    rows = (line.split() for line in table.splitlines()[1:])
    return {
        row[9]
        for row in rows
        if len(row) > 9 and row[3] == _LISTENS and row[1].rpartition(":")[2] == f"{port:04X}"
    }
