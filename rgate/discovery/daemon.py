"""Which Docker is asked: the one that the `docker` command would ask, by the environment and its contexts.

The SDK looks for contexts in another place where there is no `config.json`, and takes the socket of this
machine where it finds none, without a word: so they are read here. Order and files: docker/cli,
`resolveContextName` and `contexts/meta/<SHA-256 of the name>/meta.json`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from rgate.core.config import Source
from rgate.discovery.source import SourceError

_LOCAL_SOCKET: Final = "unix:///var/run/docker.sock"
_DEFAULT: Final = "default"
_ANOTHER: Final = "set DOCKER_HOST"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files for TLS. *cert* and *key*: what rgate shows itself, "" for nothing. *is_verified*: whether the
    daemon has to show a certificate of the *ca*'s.
    """

    ca: str
    cert: str
    key: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class Daemon:
    """A Docker to ask. *host*: its URL. *said_by*: what names it, for people. *problem*: why none can be.
    *address_host*: where its published ports are; "" for the host of its URL.
    """

    host: str
    said_by: str = "DOCKER_HOST"
    certificates: Certificates | None = None
    problem: str = ""
    address_host: str = ""

    @property
    def published_host(self) -> str:
        """The host on which it publishes ports: "" for this machine."""
        if self.address_host:
            host = self.address_host.strip("[]")
            return "" if host in _LOOPBACK else host
        try:
            parts = urlsplit(self.host)
        except ValueError:  # it is no URL: nothing will answer there, and who asks is told so
            return ""
        is_far = parts.scheme in ("tcp", "http", "https", "ssh") and parts.hostname not in _LOOPBACK
        return parts.hostname or "" if is_far else ""


def which_daemon(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Daemon:
    """Return the Docker that *environment* names: DOCKER_HOST, DOCKER_CONTEXT, the context in use; else the
    one of this machine.
    """
    directory = _directory(environment, home)
    if host := environment.get("DOCKER_HOST", ""):
        return Daemon(host, certificates=_of_environment(environment, directory))
    try:
        name = environment.get("DOCKER_CONTEXT") or _in_use(directory)
        if name != _DEFAULT:
            return _of_context(name, directory)
    except SourceError as error:
        return Daemon("", problem=str(error))
    return Daemon(_LOCAL_SOCKET, certificates=_of_environment(environment, directory))


def daemon_of(
    source: Source, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> Daemon:
    """Return the Docker, or the manager of a Swarm, that *source* names; else the one of *environment*."""
    named = source.docker or source.swarm
    if not named:
        return which_daemon(environment, home)
    kind, _, context = named.partition(":")
    tls, said_by = source.tls, f"the source {source.name}"
    certificates = Certificates(tls.ca, tls.cert, tls.key, is_verified=True) if tls is not None else None
    daemon = Daemon(named, said_by, certificates)
    if kind == "context" and context == _DEFAULT:
        daemon = Daemon(_LOCAL_SOCKET, said_by)
    elif kind == "context":
        try:
            daemon = _of_context(context, _directory(environment, home), f"check {said_by}")
        except SourceError as error:
            daemon = Daemon("", said_by, problem=str(error))
    return replace(daemon, address_host=source.address_host)


def _directory(environment: Mapping[str, str], home: Path | None) -> Path:
    """Return where the `docker` command keeps its configuration."""
    # `~` stays where a user has no home, as in containers and services: nothing is there.
    return Path(environment.get("DOCKER_CONFIG") or (home or Path(os.path.expanduser("~"))) / ".docker")


def _in_use(directory: Path) -> str:
    """Return the name of the context that `docker context use` chose."""
    path = directory / "config.json"
    try:
        text = path.read_text()
    except FileNotFoundError:
        return _DEFAULT
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read, which may name a context: {_ANOTHER}") from error
    found = _json(text, path, _ANOTHER)
    return str(found.get("currentContext") or _DEFAULT)


def _of_context(name: str, directory: Path, remedy: str = _ANOTHER) -> Daemon:
    """Return the Docker of a context. Raises SourceError, which ends in the *remedy*."""
    identity = sha256(name.encode()).hexdigest()
    path = directory / "contexts/meta" / identity / "meta.json"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        sentence = f"there is no context {name} in {directory}: see `docker context ls`, or {remedy}"
        raise SourceError(sentence) from error
    endpoint = (_json(text, path, remedy).get("Endpoints") or {}).get("docker") or {}
    files = directory / "contexts/tls" / identity / "docker"
    certificates = None
    if files.is_dir():
        ca, cert, key = (str(files / f"{file}.pem") for file in ("ca", "cert", "key"))
        certificates = Certificates(ca, cert, key, is_verified=not endpoint.get("SkipTLSVerify"))
    return Daemon(endpoint.get("Host") or _LOCAL_SOCKET, f"the context {name}", certificates)


def _json(text: str, path: Path, remedy: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SourceError(f"{path} is not JSON: mend it, or {remedy}") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} holds no object: mend it, or {remedy}")
    return found


def _of_environment(environment: Mapping[str, str], directory: Path) -> Certificates | None:
    """Return the certificates that DOCKER_TLS_VERIFY and DOCKER_CERT_PATH name."""
    is_verified = bool(environment.get("DOCKER_TLS_VERIFY"))
    named = environment.get("DOCKER_CERT_PATH")
    if not named and not is_verified:
        return None
    ca, cert, key = (Path(named or directory) / f"{file}.pem" for file in ("ca", "cert", "key"))
    has_own = cert.exists() or key.exists()  # none is shown where there is none, as by the `docker` command
    return Certificates(str(ca), str(cert) if has_own else "", str(key) if has_own else "", is_verified)
