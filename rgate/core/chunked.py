"""The chunked transfer coding (RFC 9112 7.1), strict: a size that two recipients could read
differently is refused. Bytes in, content out; knows no sockets.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto

from rgate.core.message import Fields, Refused, parse_trailers
from rgate.core.reasons import Reason

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e])*\""
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"  # 15 digits: 2**60 bytes, and no overflow anywhere behind us
    rb"(?:[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*"
    rb"[ \t]*"
)
# An extension has no use here; a long one is an attack on whoever keeps it. Peers: 256 to 4096.
_LONGEST_SIZE_LINE = 1024


class _Awaits(Enum):
    SIZE = auto()
    CONTENT = auto()
    CONTENT_END = auto()
    TRAILERS = auto()
    NOTHING = auto()


class ChunkedDecoder:
    """Takes the bytes of one chunked body in any pieces, and gives its content.

    `content(data)` yields pieces of content. Once `ended`, `trailers` are its trailer fields and
    `rest` the bytes that came after the body. Raises Refused where the coding is malformed.
    """

    def __init__(self, *, most_trailer_bytes: int = 65536, most_trailers: int = 100) -> None:
        self.ended = False
        self.trailers: Fields = ()
        self._buffer = bytearray()
        self._awaits = _Awaits.SIZE
        self._remaining = 0
        self._most_trailer_bytes = most_trailer_bytes
        self._most_trailers = most_trailers

    @property
    def rest(self) -> bytes:
        """The bytes behind the end of the body; meaningful once `ended`."""
        return bytes(self._buffer)

    def content(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces of content that *data* completes. To be run to its end."""
        self._buffer += data
        while True:
            match self._awaits:
                case _Awaits.CONTENT:
                    if not self._buffer:
                        return
                    piece = bytes(self._buffer[: self._remaining])
                    del self._buffer[: self._remaining]
                    self._remaining -= len(piece)
                    if not self._remaining:
                        self._awaits = _Awaits.CONTENT_END
                    yield piece
                case _Awaits.SIZE:
                    if not self._took_size():
                        return
                case _Awaits.CONTENT_END:
                    if not self._took_content_end():
                        return
                case _Awaits.TRAILERS:
                    if not self._took_trailers():
                        return
                case _Awaits.NOTHING:
                    return

    def _took_size(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_SIZE_LINE:
                raise Refused(Reason.BAD_REQUEST, "The line of a chunk's size is too long.")
            return False
        line = bytes(self._buffer[:end])
        matched = _SIZE_LINE.fullmatch(line[:-1]) if line.endswith(b"\r") else None
        if matched is None or len(line) > _LONGEST_SIZE_LINE:
            raise Refused(
                Reason.BAD_REQUEST, "A chunk's size is not a hexadecimal number that ends with CR LF."
            )
        del self._buffer[: end + 1]
        self._remaining = int(matched[1], 16)
        self._awaits = _Awaits.CONTENT if self._remaining else _Awaits.TRAILERS
        return True

    def _took_content_end(self) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise Refused(Reason.BAD_REQUEST, "A chunk is longer than its size says.")
        if len(self._buffer) < 2:
            return False
        del self._buffer[:2]
        self._awaits = _Awaits.SIZE
        return True

    def _took_trailers(self) -> bool:
        if self._buffer.startswith(b"\r\n"):
            end = 0
        else:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > self._most_trailer_bytes:
                    raise Refused(Reason.FIELDS_TOO_LARGE, "The trailers are too large.")
                if re.search(rb"(?<!\r)\n", self._buffer):
                    raise Refused(Reason.BAD_REQUEST, "A trailer ends with a bare line feed.")
                return False
            end += 2
        block = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 2]
        self.trailers = parse_trailers(block, most_fields=self._most_trailers)
        self._awaits = _Awaits.NOTHING
        self.ended = True
        return True


def chunk(piece: bytes) -> bytes:
    """Return *piece*, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body without trailers."""


def whole_content(body: bytes) -> bytes | None:
    """Return the content of *body* where that is one whole chunked body without trailers; else None."""
    if not body.endswith(LAST_CHUNK):
        return None
    decoder = ChunkedDecoder()
    try:
        content = b"".join(decoder.content(body))
    except Refused:
        return None
    return content if decoder.ended and not decoder.rest and not decoder.trailers else None
