"""`doctor`: whether this machine is fit for rgate, and what to do where it is not (behaviour 9).

What is found out here is judged in core/doctor.py.
"""

import contextlib
import errno
import json
import os
import queue
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rgate.cli.config_file import load_config
from rgate.cli.fetching import fetch
from rgate.cli.listening import listen
from rgate.cli.looking import look_at
from rgate.cli.stop import Stop
from rgate.cli.text import Style, has_colour, say
from rgate.cli.waiting import told_if_slow
from rgate.core.config import Config, Stats
from rgate.core.config_errors import ConfigErrors
from rgate.core.config_warnings import warnings
from rgate.core.doctor import (
    Check,
    ConfigFacts,
    DiskFacts,
    DockerFacts,
    EmptyBackend,
    Facts,
    FileFacts,
    NameFacts,
    Outcome,
    PortFacts,
    checks,
    is_sound,
    listening_inodes,
)
from rgate.core.escape import in_one_line
from rgate.core.own import OwnPage
from rgate.discovery.docker_checkup import check_up
from rgate.stats.checkup import place_of, try_database

_SOUND, _UNSOUND = 0, 1
_ASK_WITHIN_S: Final = 2.0
_RESOLVE_WITHIN_S: Final = 5.0
_MARKS: Final = {Outcome.OK: ("●", "32"), Outcome.WARNING: ("▲", "33"), Outcome.FAIL: ("■", "31")}


def doctor(options: Namespace) -> int:
    """Print all checks. Returns the exit status: 0, or 1 where one failed."""
    with told_if_slow("looking at Docker, the database and names"):
        found = checks(facts(options))
    if options.json:
        told = [{"name": one.name, "level": one.level.value, "text": one.text, "do": one.do} for one in found]
        say(json.dumps({"checks": told}, indent=2))
    else:
        say("\n".join(_lines(found, Style(has_colour(sys.stdout)))))
    return _SOUND if is_sound(found) else _UNSOUND


def _lines(found: Sequence[Check], style: Style) -> Iterator[str]:
    width = max(len(check.name) for check in found)
    for check in found:
        glyph, colour = _MARKS[check.level]
        name = style.bold(f"{check.name:{width}}")
        yield f"{style.painted(glyph, colour)} {name}  {style.code(in_one_line(check.text))}"
        if check.do:
            yield f"  {'':{width}}  do: {style.code(in_one_line(check.do))}"
    failed = sum(check.level is Outcome.FAIL for check in found)
    warned = sum(check.level is Outcome.WARNING for check in found)
    yield style.bad(f"{failed} to mend, {warned} to look at") if failed else f"fit; {warned} to look at"


def facts(options: Namespace) -> Facts:
    """Find out all that is judged. Nothing is changed by it."""
    config, config_facts = _config(options.config)
    database_url = options.db or (config.stats.database if config is not None else Stats().database)
    place = place_of(database_url)
    with ThreadPoolExecutor() as pool:  # what one waits for, others need not
        asked = (config or Config((), ())).asked_sources
        dockers = [pool.submit(check_up, source, is_only=len(asked) == 1) for source in asked]
        database = pool.submit(try_database, database_url)
        names = pool.submit(lambda: list(_names(config, place.host)))
        ports = _ports(options.host, options.port)
        told, empty = _backends(config, [docker.result() for docker in dockers])
        return Facts(
            told,
            config_facts,
            ports,
            empty,
            database.result(),
            _disk(place.directory) if place.directory is not None else None,
            _files(config),
            names.result(),
        )


def _config(file: str) -> tuple[Config | None, ConfigFacts]:
    try:
        config = load_config(file, is_used=True)
    except ConfigErrors as errors:
        return None, ConfigFacts(file, errors=tuple(map(str, errors.errors)))
    held = ConfigFacts(
        file, len(config.routes), len(config.backends), config.needs_docker, warnings=warnings(config)
    )
    return config, held


def _backends(
    config: Config | None, dockers: list[DockerFacts]
) -> tuple[list[DockerFacts], list[EmptyBackend] | None]:
    """Return *dockers*, with why one lists no containers, and the backends without one; None: not known."""
    if config is None:
        return dockers, None
    if not config.needs_docker:
        return dockers, []
    asked = zip(config.asked_sources, dockers, strict=True)
    looked = look_at(source for source, docker in asked if not docker.error)
    errors = iter([one.seen.error for one in looked.at])
    dockers = [docker if docker.error else replace(docker, error=next(errors)) for docker in dockers]
    if any(docker.error for docker in dockers):
        return dockers, None
    views = looked.gateway(config, doubtful=True).views
    reasons = ((name, view.reason, view.detail) for name, view in views.items())
    return dockers, [EmptyBackend(name, why, detail) for name, why, detail in reasons if why is not None]


# The port.


def _ports(hosts: Sequence[str], port: int) -> list[PortFacts]:
    return [_port(host, port) for host in hosts]


def _port(host: str, port: int) -> PortFacts:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        for listener in listen([host], port):
            listener.close()
    except Stop as stop:
        why = stop.message.removeprefix(f"cannot listen on {address}: ")
        is_taken = why.startswith(os.strerror(errno.EADDRINUSE))
        if not is_taken:
            return PortFacts(address, why)
        return PortFacts(address, why, holder(port), is_rgate=_is_rgate(host, port))
    return PortFacts(address)


def _is_rgate(host: str, port: int) -> bool:
    """Whether an rgate answers at *host* and *port*."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 # it is asked, not bound
    try:
        status, content = fetch(
            HTTPConnection(asked, port),
            OwnPage.HEALTHZ.value,
            within_s=_ASK_WITHIN_S,
            most_bytes=1000,
            headers={},
        )
        return status == 200 and json.loads(content) == {"status": "ok"}
    except (OSError, HTTPException, ValueError):
        return False


def holder(port: int, proc: Path = Path("/proc")) -> str:
    """Return which process listens on *port*, such as `nginx (pid 7)`; "" where this user may not know."""
    tables = (_text(proc / "net" / name) for name in ("tcp", "tcp6"))
    wanted = {f"socket:[{inode}]" for table in tables for inode in listening_inodes(table, port)}
    for process in proc.glob("[0-9]*") if wanted else ():
        if not wanted.isdisjoint(_open_files(process)):
            return f"{_text(process / 'comm').strip() or 'a process'} (pid {process.name})"
    return ""


# Processes end while they are looked at, and others may not be looked at.


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _open_files(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for file in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield os.readlink(file)


# The machine.


def _disk(directory: Path) -> DiskFacts | None:
    try:
        free = os.statvfs(directory)
    except OSError:
        return None  # the database tells why
    # Some file systems, such as btrfs, count no inodes.
    return DiskFacts(
        str(directory.absolute()), free.f_bavail * free.f_frsize, free.f_favail if free.f_files else None
    )


def _files(config: Config | None) -> FileFacts | None:
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
    except ImportError:  # not on Windows
        return None
    _, hard = getrlimit(RLIMIT_NOFILE)  # rgate raises its soft limit to that
    most = 1 << 30 if hard == RLIM_INFINITY else hard
    return FileFacts(most, (config.limits if config is not None else Config((), ()).limits).connections)


def _names(config: Config | None, database_host: str) -> Iterator[NameFacts]:
    hosts = {database_host: "`stats.database`"} if database_host else {}
    for backend in config.backends if config is not None else ():
        for url in backend.urls:
            hosts.setdefault(urlsplit(url).hostname or "", f"the backend {backend.name}")
    asked = [name for name in hosts if name and not _is_address(name)]
    errors = _resolve(asked)
    for name in asked:
        yield NameFacts(name, hosts[name], errors[name])


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _resolve(names: Iterable[str]) -> dict[str, str]:
    """Return, for each of *names*, why it has no address; "" where it has."""
    told = dict.fromkeys(names, f"no DNS server answers within {_RESOLVE_WITHIN_S:g} s")
    answers = queue.SimpleQueue[tuple[str, str]]()
    for name in told:
        # Daemons: nothing ends what the resolver waits for, and the command's end does not wait for it.
        threading.Thread(target=lambda name=name: answers.put((name, _lookup(name))), daemon=True).start()
    until_s = time.monotonic() + _RESOLVE_WITHIN_S
    with contextlib.suppress(queue.Empty):
        for _ in told:
            name, error = answers.get(timeout=max(0.0, until_s - time.monotonic()))
            told[name] = error
    return told


def _lookup(name: str) -> str:
    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "it can be no name"
    return ""
