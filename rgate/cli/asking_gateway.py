"""Asks a running rgate for what it tells of itself (behaviour 9)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from rgate.cli.fetching import fetch
from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line

D = TypeVar("D", bound=BaseModel)

_WITHIN_S: Final = 15.0
_MOST_BYTES: Final = 64 * 1024 * 1024


class NoAnswer(CannotTell):
    """No rgate told what was asked. `str` is one line, and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


def ask_gateway(url: str, path: str, params: Mapping[str, Any] | None = None) -> Any:
    """Return the JSON document at *path* (with its `/`) of the rgate at *url*, `http://host:port`.

    *params* go into the query; those that are None are left out. Raises NoAnswer.
    """
    given = {name: value for name, value in (params or {}).items() if value is not None}
    target = f"{path}?{urlencode(given, doseq=True)}" if given else path
    accept = {"Accept": "application/json"}
    try:
        connection = connection_to(url)
        status, content = fetch(
            connection, target, within_s=_WITHIN_S, most_bytes=_MOST_BYTES + 1, headers=accept
        )
    except TimeoutError as error:
        raise NoAnswer(f"{url} did not answer in time: is it rgate, and well?") from error
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or (str(error) if isinstance(error, ValueError) else "")
        if not why:
            message = f"what answers at {url} is no rgate ({type(error).__name__})"
            raise NoAnswer(f"{message}: name another with --gateway") from error
        message = f"nobody answers at {url} ({why}): start rgate there, or name another with --gateway"
        raise NoAnswer(message) from error
    if len(content) > _MOST_BYTES:
        raise NoAnswer(f"the answer of {url} does not end: it is no rgate")
    return _document(url, path, status, content)


def asked_as(kind: type[D], url: str, path: str, params: Mapping[str, Any] | None = None) -> D:
    """Return what `ask_gateway` does, as the document that it is of this version. Raises NoAnswer."""
    document = ask_gateway(url, path, params)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise NoAnswer(f"what answers at {url} is no rgate of this version: ask with its own") from error


def connection_to(url: str) -> HTTPConnection:
    """Return a connection to *url*, `http://host:port`, which is not made yet. Raises ValueError."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port)


def _document(url: str, path: str, status: int, content: bytes) -> Any:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if status == HTTPStatus.OK and isinstance(document, dict | list):
        return document
    if isinstance(document, dict) and str(document.get("type")).startswith("urn:rgate:"):
        raise NoAnswer(f"{url} says {status}: {document.get('detail')}")
    raise NoAnswer(
        f"what answers at {url} is no rgate, or an older one (status {status} for {path}): "
        "name another with --gateway"
    )
