"""What went wrong with Docker, as sentences that say what to do (behaviour 6).

The SDK's own texts hold names and insides of exceptions; the usual causes are told by what lies below them.
"""

import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from json import JSONDecodeError
from typing import Final

import requests
import urllib3
from docker.errors import APIError, DockerException, TLSParameterError

from rgate.core.causes import causes

FOREIGN: Final = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)
"""What the SDK raises, and the libraries below it."""

NOT_UNDERSTOOD: Final = (KeyError, TypeError, AttributeError, RecursionError)
"""What comes of reading an answer that is not as the API has it."""

_LONGEST: Final = 200
_INSIDES: Final = re.compile(r"\w\(|[Ee]rrno")
_USER: Final = re.compile(r"//[^/@]*@")


def docker_host(environment: Mapping[str, str] = os.environ) -> str:
    """Return where Docker is asked, for people: without a user's name and password."""
    host = environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    return _plain(_USER.sub("//", host))


def sentence_for(error: BaseException, host: str, timeout_s: float) -> str:
    """Return why asking Docker at *host* ended with *error*, and what to do; no full stop ends it.

    *timeout_s*: how long a call may take.
    """
    found = list(causes(error))
    for cause in reversed(found):
        if told := _told(cause, host, timeout_s):
            return told
    texts = [text for cause in found if (text := _plain(str(cause))) and not _INSIDES.search(text)]
    why = texts[0] if texts else type(error).__name__
    return f"Docker cannot be asked at {host} ({why}): check DOCKER_HOST"


def _told(error: BaseException, host: str, timeout_s: float) -> str | None:
    """Return the sentence for *error* where it is one of the usual causes; else None."""
    match error:
        case APIError(status_code=int(status)):
            return (
                f"Docker at {host} answers {_phrase(status)}: check what stands in front of it, and its log"
            )
        case TLSParameterError():
            return f"the certificates for Docker at {host} are not there: check DOCKER_CERT_PATH"
        case ssl.SSLError():
            reason = _plain(getattr(error, "reason", None) or "no reason given").replace("_", " ").lower()
            return f"no TLS with Docker at {host} ({reason}): check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"
        case socket.gaierror():
            return f"the name in {host} is not known: check DOCKER_HOST, and the DNS of this machine"
        case FileNotFoundError():
            return f"there is no socket {host}: start Docker, or check DOCKER_HOST"
        case PermissionError():
            return f"rgate may not use {host}: run it as a user who may, mostly one of the group `docker`"
        case ConnectionRefusedError():
            return f"nobody listens at {host}: start Docker, or check DOCKER_HOST"
        case TimeoutError() | requests.Timeout() | urllib3.exceptions.TimeoutError():
            return f"nothing came within {timeout_s:g} s from {host}: see if `docker version` gets an answer"
        case ConnectionError() | urllib3.exceptions.IncompleteRead():
            return f"the connection to Docker at {host} was closed: see whether it runs, and its log"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"there is no way to {host}: check DOCKER_HOST, and the network"
        case JSONDecodeError():
            return f"who answers at {host} is not Docker: check DOCKER_HOST"
        case KeyError() | TypeError() | AttributeError() | RecursionError():
            return f"what Docker at {host} answers is not understood: check its version"
        case _:
            return None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _plain(text: str) -> str:
    """Return *text* on one line, and cut where it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.split())[:_LONGEST]
