"""The files that pages in HTML are shown with, from memory (behaviour 10)."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from rgate.core.message import Fields
from rgate.core.own import STATIC_FILES, OwnPage
from rgate.core.problem import OWN_FIELDS, OwnResponse

_TYPES: Final = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: bytes
    tag: bytes  # a strong entity tag, with its quotes (RFC 9110 8.8.3)


class StaticFiles:
    """The files of this package, as they were when this was made. There are no others, whatever is asked."""

    def __init__(self) -> None:
        self._files = {name: _read(name) for name in STATIC_FILES}

    def answer(self, path: str, known: Iterable[bytes], request_id: bytes) -> OwnResponse:
        """Return the file at *path*, which `own_page` says is one; or that the client has it.

        *known*: the lines of If-None-Match (RFC 9110 13.1.2).
        """
        file = self._files[path.removeprefix(OwnPage.STATIC.value)]
        fields = (*_FIELDS, (b"ETag", file.tag), (b"X-Request-ID", request_id))
        if _is_known(file.tag, known):
            return OwnResponse(HTTPStatus.NOT_MODIFIED, fields, b"")
        return OwnResponse(HTTPStatus.OK, ((b"Content-Type", file.media_type), *fields), file.content)


# May be kept, and is asked about anew each time: another version of rgate has other files at these paths.
_FIELDS: Final[Fields] = tuple(
    (name, b"no-cache" if name == b"Cache-Control" else value) for name, value in OWN_FIELDS
)


def _read(name: str) -> _File:
    content = files("rgate.web").joinpath("static", name).read_bytes()
    tag = b'"%b"' % sha256(content).hexdigest()[:32].encode()
    return _File(content, _TYPES[name.rpartition(".")[2]], tag)


def _is_known(tag: bytes, known: Iterable[bytes]) -> bool:
    tags = [one.strip(b" \t") for line in known for one in line.split(b",")]
    return tags == [b"*"] or tag in (one.removeprefix(b"W/") for one in tags)
