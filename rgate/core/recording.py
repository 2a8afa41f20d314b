"""What a snapshot file holds: what Docker said of containers at one moment, without secrets (behaviour 9).

In it stands all that core/selection.py and core/address.py decide by, and nothing else.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from rgate.core.address import HostView
from rgate.core.config_errors import ConfigError, ConfigErrors, shown
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.knowledge import DEFAULT_SOURCE
from rgate.core.left_out import PLACEHOLDER, LeftOutKeys
from rgate.core.located_yaml import Path, show_path

VERSION: Final = 1
"""The newest form of the file that is read, and the one that is written."""

_KEY: Final = "rgate_snapshot"
_MOST_TOLD: Final = 20  # errors in one file
_HIGHEST_PORT: Final = 65535

_SECRET_WORDS: Final = (
    "pass", "pwd", "secret", "token", "apikey", "api_key", "auth", "users", "dsn", "cookie", "credential",
    "private",
)  # fmt: skip
# Compose's labels that hold paths of the machine it was run on.
_PATHS: Final = frozenset(
    f"com.docker.compose.project.{name}" for name in ("working_dir", "config_files", "environment_file")
)
# A user before the host (RFC 3986 3.2.1). Passwords with a `/` are no URL's, and many take them all the same.
_USER_IN_URL: Final = re.compile(r"//(?:[^/?#@]+@|[^/?#@:]*:(?![0-9]{1,5}[/?#])[^@]*@)")


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """What one source said. Values of labels whose keys are *left_out* are a placeholder."""

    name: str
    version: str  # of who answered
    host: HostView
    containers: tuple[Container, ...]  # by name and id
    left_out: LeftOutKeys = field(default_factory=dict)  # none for containers that have all


@dataclass(frozen=True, slots=True)
class Recording:
    """What all sources said. *taken*: when, in Unix seconds."""

    taken: float
    sources: tuple[RecordedSource, ...]


def may_be_told(key: str, value: str, keep: Iterable[str] = ()) -> bool:
    """Whether a label's value goes into a recording. *keep*: globs of keys that do all the same."""
    if any(fnmatchcase(key, glob) for glob in keep):
        return True
    looks_secret = any(word in key.casefold() for word in _SECRET_WORDS)
    return not (looks_secret or key in _PATHS or _holds_user(value))


def _holds_user(value: str) -> bool:
    """Whether *value* holds a URL with a user. Behind the last `@` of a word none is looked for, in vain."""
    return any(_USER_IN_URL.search(word, 0, word.rfind("@") + 1) for word in value.split())


def recorded_source(
    containers: Iterable[Container],
    host: HostView,
    *,
    name: str = DEFAULT_SOURCE,
    version: str = "",
    keep: Sequence[str] = (),
) -> RecordedSource:
    """Return what of *containers* may be recorded."""
    found = sorted(containers, key=lambda container: (container.name, container.id))
    left_out = {
        container.id: keys
        for container in found
        if (keys := frozenset(k for k, v in container.labels.items() if not may_be_told(k, v, keep)))
    }
    told = tuple(
        replace(
            container,
            labels={**container.labels, **dict.fromkeys(left_out.get(container.id, ()), PLACEHOLDER)},
            network_mode=_without_path(container.network_mode),
        )
        for container in found
    )
    return RecordedSource(name, version, host, told, left_out)


def _without_path(network_mode: str) -> str:
    """Return the mode, "" where it names a file (Podman's `ns:PATH`): no address rests on that."""
    return "" if "/" in network_mode and not network_mode.startswith("container:") else network_mode


def written(recording: Recording) -> str:
    """Return the text of the file: JSON in ASCII, so that no terminal or locale minds what labels hold."""
    taken = datetime.fromtimestamp(recording.taken, UTC).isoformat(timespec="milliseconds")
    document = {
        _KEY: VERSION,
        "taken": taken.replace("+00:00", "Z"),
        "sources": [_source_json(source) for source in recording.sources],
    }
    return json.dumps(document, indent=2) + "\n"


def _source_json(source: RecordedSource) -> dict[str, Any]:
    networks = source.host.own_networks
    return {
        "name": source.name,
        "docker": {
            "version": source.version,
            "published_host": source.host.published_host,
            "own_networks": None if networks is None else sorted(networks),
        },
        "containers": [
            _container_json(container, source.left_out.get(container.id, frozenset()))
            for container in source.containers
        ],
    }


def _container_json(container: Container, left_out: frozenset[str]) -> dict[str, Any]:
    return {
        "id": container.id,
        "name": container.name,
        "labels": {key: value for key, value in sorted(container.labels.items()) if key not in left_out},
        "left_out_labels": sorted(left_out),
        "state": container.state.value,
        "health": container.health.value,
        "stopping": container.stopping,
        "network_mode": container.network_mode,
        **({"machine": container.machine} if container.machine else {}),
        "networks": [
            {"name": one.network, "id": one.network_id, "ip": one.ip} for one in container.attachments
        ],
        "published": [
            {"container_port": one.container_port, "host_ip": one.host_ip, "host_port": one.host_port}
            for one in container.published
        ],
        "exposed": list(container.exposed),
        **({} if container.was_inspected else {"not_inspected": container.not_inspected}),
    }


def read(data: bytes, file_name: str) -> Recording:
    """Return the recording in a file of *data*. Raises ConfigErrors with all that is wrong.

    Keys that are not known are of later versions, which add some without another number.
    """
    found = _Found(_json(data, file_name), (), [])
    version = found.value.get(_KEY) if isinstance(found.value, dict) else None
    if version is None:
        raise _one(file_name, "this is no snapshot: `rgate snapshot --output FILE` makes one")
    if type(version) is int and version > VERSION:
        message = (
            f"this is a snapshot of version {shown(version)}, and this rgate reads {VERSION}: use a newer"
        )
        raise _one(file_name, message, _KEY)
    if type(version) is not int or version != VERSION:
        raise _one(file_name, f"found {shown(version)}; allowed: {VERSION}", _KEY)
    recording = Recording(_time(found.at("taken")), tuple(map(_source, found.at("sources").each())))
    names: set[str] = set()
    for number, source in enumerate(recording.sources):
        if source.name in names:
            found.wrong.append((("sources", number, "name"), f"{shown(source.name)} stands twice"))
        names.add(source.name)
    if wrong := list(dict.fromkeys(found.wrong)):
        errors = [ConfigError(file_name, 0, show_path(path), message) for path, message in wrong[:_MOST_TOLD]]
        if len(wrong) > len(errors):
            errors.append(ConfigError(file_name, 0, "", f"{len(wrong)} values are wrong; the first:"))
        raise ConfigErrors(tuple(errors))
    return recording


def _one(file_name: str, message: str, path: str = "", line: int = 0) -> ConfigErrors:
    return ConfigErrors((ConfigError(file_name, line, path, message),))


def _json(data: bytes, file_name: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _one(file_name, "this is not JSON: it is not UTF-8", line=line) from error
    except json.JSONDecodeError as error:
        raise _one(file_name, f"this is not JSON: {error.msg}", line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise _one(file_name, "this is not JSON, or nested too deeply") from error


def _time(found: "_Found") -> float:
    """Return an RFC 3339 time in Unix seconds."""
    allowed = "a time such as 2026-11-26T20:21:41Z"
    try:
        moment = datetime.fromisoformat(found.value)
        return moment.timestamp() if moment.tzinfo is not None else found.tell(allowed, 0.0)
    except (TypeError, ValueError, OverflowError):
        return found.tell(allowed, 0.0)


def _source(found: "_Found") -> RecordedSource:
    docker = found.at("docker")
    networks = docker.at("own_networks")
    host = HostView(
        docker.at("published_host").text(""),
        None if networks.value in (_MISSING, None) else frozenset(one.text() for one in networks.each()),
    )
    listed = [_container(one) for one in found.at("containers").each()]
    return RecordedSource(
        found.at("name").text(),
        docker.at("version").text(""),
        host,
        tuple(container for container, _ in listed),
        {container.id: keys for container, keys in listed if keys},
    )


def _container(found: "_Found") -> tuple[Container, frozenset[str]]:
    labels = {key: value.text() for key, value in found.at("labels").items()}
    left_out = frozenset(one.text() for one in found.at("left_out_labels").each(())) - labels.keys()
    container = Container(
        id=found.at("id").text(),
        name=found.at("name").text(),
        labels=labels | dict.fromkeys(left_out, PLACEHOLDER),
        state=found.at("state").one_of(State.RUNNING),
        health=found.at("health").one_of(Health.NONE, required=False),
        stopping=found.at("stopping").flag(),
        published=tuple(map(_published, found.at("published").each(()))),
        exposed=tuple(one.port() for one in found.at("exposed").each(())),
        attachments=tuple(map(_attachment, found.at("networks").each(()))),
        network_mode=found.at("network_mode").text("bridge"),
        machine=found.at("machine").text(""),
        not_inspected=found.at("not_inspected").text(""),
        was_inspected=not found.at("not_inspected").text(""),
    )
    return container, left_out


def _published(found: "_Found") -> PublishedPort:
    container_port, host_port = found.at("container_port").port(), found.at("host_port").port()
    return PublishedPort(container_port, found.at("host_ip").text(), host_port)


def _attachment(found: "_Found") -> Attachment:
    return Attachment(found.at("name").text(), found.at("id").text(), found.at("ip").text())


_MISSING: Final = object()
_T = TypeVar("_T")
_E = TypeVar("_E", bound=Enum)


@dataclass(frozen=True, slots=True)
class _Found:
    """A value in the file, and where it stands. What is wrong with it is added to *wrong*."""

    value: Any
    path: Path
    wrong: list[tuple[Path, str]]

    def tell(self, allowed: str, instead: _T) -> _T:
        """Add an error, and return what goes on in the place of what was found."""
        missing = self.value is _MISSING
        message = "is required and missing" if missing else f"found {shown(self.value)}; allowed: {allowed}"
        self.wrong.append((self.path, message))
        return instead

    def at(self, key: str) -> "_Found":
        """Return what stands under *key*."""
        if isinstance(self.value, dict):
            return _Found(self.value.get(key, _MISSING), (*self.path, key), self.wrong)
        if self.value is not _MISSING:
            self.tell("an object", None)
        return _Found(_MISSING, (*self.path, key), [])  # what is missing in it is not told besides

    def items(self) -> Iterator[tuple[str, "_Found"]]:
        """Yield keys and values of an object."""
        found = self.value if isinstance(self.value, dict) else self.tell("an object", {})
        for key, value in found.items():
            yield key, _Found(value, (*self.path, key), self.wrong)

    def each(self, default: Sequence[Any] | None = None) -> Iterator["_Found"]:
        """Yield the values of a list. *default*: in its place, where it may be missing."""
        found = default if self.value is _MISSING and default is not None else self.value
        for index, value in enumerate(found if isinstance(found, list | tuple) else self.tell("a list", ())):
            yield _Found(value, (*self.path, index), self.wrong)

    def text(self, default: str | None = None) -> str:
        """Return a string."""
        found = default if self.value is _MISSING else self.value
        return found if isinstance(found, str) else self.tell("a string", "")

    def flag(self) -> bool:
        """Return true or false; false where it is missing."""
        found = False if self.value is _MISSING else self.value
        return found if isinstance(found, bool) else self.tell("true or false", False)

    def port(self) -> int:
        """Return a port; 0 stands for one that is not there yet."""
        is_port = type(self.value) is int and 0 <= self.value <= _HIGHEST_PORT
        return int(self.value) if is_port else self.tell(f"a whole number from 0 to {_HIGHEST_PORT}", 0)

    def one_of(self, default: _E, *, required: bool = True) -> _E:
        """Return the member with this value. *default*: in its place, where it may be missing."""
        if self.value is _MISSING and not required:
            return default
        members = {member.value: member for member in type(default)}
        if isinstance(self.value, str) and self.value in members:
            return members[self.value]
        return self.tell(", ".join(members), default)
