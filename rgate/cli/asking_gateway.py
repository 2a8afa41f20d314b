"""Asks a running rgate for what it tells of itself (behaviour 9)."""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

import requests

from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line

_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 10.0  # for a byte to come
_WHOLE_S: Final = 30.0
_MOST_BYTES: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024


class NoAnswer(CannotTell):
    """No rgate told what was asked. `str` is one line, and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


def ask_gateway(url: str, path: str, params: Mapping[str, Any] | None = None) -> Any:
    """Return the JSON document at *path* (with its `/`) of the rgate at *url*, `http://host:port`.

    *params* go into the query; those that are None are left out. Raises NoAnswer.
    """
    try:
        with requests.Session() as session:
            # Else a proxy of the environment's would be asked, and rgate would see it as a stranger.
            session.trust_env = False
            session.headers["Accept"] = "application/json"
            with session.get(
                url + path,
                params=params,
                stream=True,
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,
            ) as response:
                return _document(url, path, response, _content(url, response))
    except requests.Timeout as error:
        raise NoAnswer(f"{url} did not answer in time: is it rgate, and well?") from error
    except requests.RequestException as error:
        if cause := _cause(error):
            message = f"nobody answers at {url} ({cause}): start rgate there, or name another with --gateway"
        else:
            message = (
                f"what answers at {url} is no rgate ({type(error).__name__}): name another with --gateway"
            )
        raise NoAnswer(message) from error


def _content(url: str, response: requests.Response) -> bytes:
    until_s = time.monotonic() + _WHOLE_S
    content = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        content += piece
        if len(content) > _MOST_BYTES or time.monotonic() > until_s:
            raise NoAnswer(f"the answer of {url} does not end: it is no rgate")
    return bytes(content)


def _document(url: str, path: str, response: requests.Response, content: bytes) -> Any:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if response.status_code == requests.codes.ok and isinstance(document, dict | list):
        return document
    if isinstance(document, dict) and str(document.get("type")).startswith("urn:rgate:"):
        raise NoAnswer(f"{url} says {response.status_code}: {document.get('detail')}")
    raise NoAnswer(
        f"what answers at {url} is no rgate, or an older one (status {response.status_code} for {path}): "
        "name another with --gateway"
    )


def _cause(error: BaseException) -> str:
    """Return what the system said, which requests and urllib3 wrap several times; "" for nothing."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = [one for one in (getattr(seen, "reason", None), *seen.args) if isinstance(one, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__
    return ""
