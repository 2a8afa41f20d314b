"""What went wrong with Docker, as sentences that say what to do (behaviour 6).

The SDK's own texts hold names and insides of exceptions; the usual causes are told by what lies below them.
"""

import errno
import re
import socket
import ssl
from http import HTTPStatus
from json import JSONDecodeError
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3
from docker.errors import APIError, DockerException, TLSParameterError

from rgate.core.causes import causes
from rgate.discovery.deadlines import EndlessAnswer, UnendingAnswer

try:
    from paramiko.ssh_exception import (
        AuthenticationException,
        BadHostKeyException,
        ConfigParseError,
        NoValidConnectionsError,
        SSHException,
    )
except ImportError:  # without the extra `ssh` the SDK refuses ssh:// itself

    class SSHException(Exception):  # type: ignore[no-redef]
        """Is never raised, as those below."""

    class AuthenticationException(SSHException):  # type: ignore[no-redef]
        """Is never raised."""

    class BadHostKeyException(SSHException):  # type: ignore[no-redef]
        """Is never raised."""

    class ConfigParseError(SSHException):  # type: ignore[no-redef]
        """Is never raised."""

    class NoValidConnectionsError(OSError):  # type: ignore[no-redef]
        """Is never raised."""


FOREIGN: Final = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    SSHException,
    OSError,
    ValueError,
    EOFError,
)
"""What the SDK raises, and the libraries below it."""

NOT_UNDERSTOOD: Final = (KeyError, TypeError, AttributeError, RecursionError)
"""What comes of reading an answer that is not as the API has it."""

_OTHER_AUTHORITY: Final = "is of an authority that ca.pem has not: check DOCKER_CERT_PATH"
_OTHER_NAME: Final = "is for other names: check DOCKER_HOST, or give Docker one that has this name"
_WHY_NOT_VERIFIED: Final = {
    9: "is not valid yet: compare the clocks of both machines",
    10: "has expired: give Docker a new one",
    **dict.fromkeys((18, 19, 20, 21), _OTHER_AUTHORITY),
    **dict.fromkeys((62, 64), _OTHER_NAME),
}
"""By OpenSSL's number (x509_vfy.h, X509_V_ERR_…)."""

_OF_SWARM: Final = {
    "not a swarm manager": "is no manager of a Swarm: name one, or make it one by `docker swarm init`",
    "needs to be unlocked": "has its Swarm locked: `docker swarm unlock` opens it",
    "does not have a leader": "is of a Swarm without a leader: see that more than half of its managers run",
}
"""What Docker lacks to tell of a Swarm, by a part of how it says so."""

OF_THE_CONFIGURATION: Final = "the source "
"""So begins what names a daemon that stands in `sources`."""

_OF_TLS: Final = re.compile("check (?:DOCKER_TLS_VERIFY(?: and DOCKER_CERT_PATH)?|DOCKER_CERT_PATH)")

_LONGEST: Final = 200
_INSIDES: Final = re.compile(r"\w\(|[Ee]rrno|\bb['\"]|<[\w.]+ |[\[({]['\"]|\bNone\b")
_USER: Final = re.compile(r"(?<=://)[^/\s]\S*@")  # up to the last @: a password may hold one


def shown_host(host: str) -> str:
    """Return *host*, where Docker is asked, or a text that names it, for people: without a user's name and
    password.
    """
    return _plain(_USER.sub("", host))


def sentence_for(error: BaseException, host: str, timeout_s: float, said_by: str = "DOCKER_HOST") -> str:
    """Return why asking Docker at *host* ended with *error*, and what to do; no full stop ends it.

    *timeout_s*: how long a call may take. *said_by*: what names the host.
    """
    sentence = _sentence(error, host, timeout_s).replace("check DOCKER_HOST", f"check {said_by}")
    if said_by.startswith(OF_THE_CONFIGURATION):
        sentence = sentence.replace("`docker version`", "`docker version` on its machine")
        return _OF_TLS.sub(f"check `tls` of {said_by}", sentence)
    return sentence


def _sentence(error: BaseException, host: str, timeout_s: float) -> str:
    found = list(causes(error))
    for cause in reversed(found):
        if told := _told(cause, host, timeout_s):
            return told
    texts = [text for cause in found if (text := shown_host(str(cause))) and not _INSIDES.search(text)]
    why = texts[0] if texts else type(error).__name__
    return f"Docker cannot be asked at {host} ({why}): check DOCKER_HOST"


def _told(error: BaseException, host: str, timeout_s: float) -> str | None:
    """Return the sentence for *error* where it is one of the usual causes; else None."""
    match error:
        case APIError(status_code=400) if "HTTPS server" in str(error):  # as Go says it
            return f"Docker at {host} wants TLS: check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"
        case APIError(explanation=str(explanation)) if swarm := _told_of_swarm(explanation):
            return f"Docker at {host} {swarm}"
        case APIError(status_code=int(status)):
            return (
                f"Docker at {host} answers {_phrase(status)}: check what stands in front of it, and its log"
            )
        case SSHException() | EOFError():
            return _told_of_ssh(error, host)
        case DockerException() if "paramiko" in str(error):
            return f"{host} needs an SSH client: `pip install rgate[ssh]`"
        case TLSParameterError():
            return f"the certificates for Docker at {host} are not there: check DOCKER_CERT_PATH"
        case ssl.SSLError():
            return _told_of_tls(error, host)
        case socket.gaierror():
            return f"the name in {host} is not known: check DOCKER_HOST, and the DNS of this machine"
        case FileNotFoundError():
            return f"there is no socket {host}: start Docker, or check DOCKER_HOST"
        case PermissionError():
            return f"rgate may not use {host}: run it as a user who may, mostly one of the group `docker`"
        case ConnectionRefusedError() | NoValidConnectionsError():
            return f"nobody listens at {host}: start Docker, or check DOCKER_HOST"
        case UnendingAnswer():
            return (
                f"{host} had not said all of its answer within {timeout_s:g} s: "
                "check what stands in front of Docker, and the network"
            )
        case TimeoutError() | requests.Timeout() | urllib3.exceptions.TimeoutError():
            return f"nothing came within {timeout_s:g} s from {host}: see if `docker version` gets an answer"
        case ConnectionError() | urllib3.exceptions.IncompleteRead():
            return f"the connection to Docker at {host} was closed: see whether it runs, and its log"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"there is no way to {host}: check DOCKER_HOST, and the network"
        case EndlessAnswer():
            return f"an answer of {host} had no end: check what stands in front of Docker, and its log"
        case JSONDecodeError():
            return f"who answers at {host} is not Docker: check DOCKER_HOST"
        case KeyError() | TypeError() | AttributeError() | RecursionError():
            return f"what Docker at {host} answers is not understood: check its version"
        case _:
            return None


def _told_of_tls(error: ssl.SSLError, host: str) -> str:
    """Return the sentence for an *error* of TLS: Docker's certificate is no good, or rgate's is not to it."""
    reason = _plain(getattr(error, "reason", None) or "no reason given").replace("_", " ").lower()
    match getattr(error, "verify_code", None), reason:
        case int(code), _ if code in _WHY_NOT_VERIFIED:
            return f"the certificate of Docker at {host} {_WHY_NOT_VERIFIED[code]}"
        case _, "tlsv13 alert certificate required":
            return f"Docker at {host} wants a certificate from rgate, cert.pem: check DOCKER_CERT_PATH"
        case _, _ if "alert certificate expired" in reason:
            return f"rgate's certificate for Docker at {host}, cert.pem, has expired: check DOCKER_CERT_PATH"
        case _, _ if "alert unknown ca" in reason:
            return (
                f"rgate's certificate for Docker at {host}, cert.pem, is of no authority that Docker knows: "
                "check DOCKER_CERT_PATH"
            )
        case _, _ if "alert bad certificate" in reason or "alert handshake failure" in reason:
            return (
                f"Docker at {host} refuses rgate's certificate, cert.pem: see that there is one, that it has "
                "not expired and is of the authority that Docker knows, and check DOCKER_CERT_PATH"
            )
        case _, "wrong version number" | "record layer failure":
            return f"who answers at {host} speaks no TLS: check DOCKER_TLS_VERIFY, and the port"
        case _:
            return f"no TLS with Docker at {host} ({reason}): check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"


def _told_of_swarm(explanation: str) -> str:
    """Return what Docker lacks to tell of a Swarm, and what to do; "" where its *explanation* is of none.

    Its texts: daemon/cluster/errors.go.
    """
    return next((told for part, told in _OF_SWARM.items() if part in explanation), "")


def _told_of_ssh(error: BaseException, host: str) -> str:
    """Return the sentence for an *error* on the way to Docker by SSH."""
    parts = urlsplit(host)
    name = parts.hostname or host
    ssh = f"ssh -p {parts.port} {name}" if parts.port else f"ssh {name}"
    match error:
        case BadHostKeyException():
            return f"the host key of {name} is another than ~/.ssh/known_hosts has: find out why"
        case AuthenticationException():
            return f"{host} takes none of the keys: see if `{ssh}`, as rgate's user, asks for no password"
        case ConfigParseError():
            return "~/.ssh/config cannot be read: `ssh -G` tells where it is wrong"
        case _ if "No authentication methods" in str(error):
            return f"there is no key for {host}: see if `{ssh}`, as rgate's user, asks for no password"
        case _ if "known_hosts" in str(error):
            return f"the host key of {name} is not known: `{ssh}`, as rgate's user, asks to add it"
        case _:
            return f"no SSH with {host}: see if `{ssh} docker version` gets an answer"


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _plain(text: str) -> str:
    """Return *text* on one line, and cut where it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.split())[:_LONGEST]
