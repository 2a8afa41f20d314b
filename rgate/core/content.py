"""Content as it is framed: by a length, by chunks, or by the connection's end (RFC 9112 6.3, 7.1).

Bytes in, content out; strict, as a size that two recipients could read differently is refused. No call works
longer than some milliseconds, whatever it is given: what is left is taken by the next.
"""

import re
from typing import Final, Protocol

from rgate.core.fields import lines, trailer_fields
from rgate.core.grammar import CHUNK_SIZE
from rgate.core.message import CHUNKED, UNTIL_CLOSE, Fields, Refused, ResponseFraming, parse_fields
from rgate.core.reasons import Reason

# Some 1.5 ms of work, as somebody else's request waits for several turns. A read of 256 KiB may hold
# 43,000 chunks of one byte.
MOST_CHUNKS_A_CALL: Final = 2048
# An extension has no use here; a long one is an attack on whoever keeps it. Peers: 256 to 4096.
_LONGEST_SIZE_LINE: Final = 1024
_MOST_TRAILER_BYTES: Final = 65536
_MOST_TRAILERS: Final = 100

_SIZE_LINE = re.compile(CHUNK_SIZE + rb"\r\n")
# Small servers pad their sizes (RFC 9112 7.1.1 has white space only before a `;`).
_PADDED_SIZE_LINE = re.compile(CHUNK_SIZE + rb"[ \t]*+\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_END_OF_FIELDS = re.compile(rb"\r\n\r\n")
_LENIENT_END_OF_FIELDS = re.compile(rb"\n\r?\n")


class Content(Protocol):
    """The content of one message, read as its bytes come."""

    complete: bool
    trailers: Fields

    def take(self, received: bytes, start: int) -> tuple[bytes, int]:
        """Return what `received[start:]` gives of the content, and where what is not used begins.

        Unless the content is then `complete`, all is used, or another call goes on from there.
        Raises Refused where the framing is malformed.
        """


class Counted:
    """Content of a known length in bytes."""

    __slots__ = ("complete", "remaining", "trailers")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.complete = not length
        self.trailers: Fields = ()

    def take(self, received: bytes, start: int) -> tuple[bytes, int]:
        end = min(start + self.remaining, len(received))
        self.remaining -= end - start
        self.complete = not self.remaining
        return received[start:end], end


class UntilTheEnd:
    """Content that ends with the connection: never complete before."""

    __slots__ = ("complete", "trailers")

    def __init__(self) -> None:
        self.complete = False
        self.trailers: Fields = ()

    def take(self, received: bytes, start: int) -> tuple[bytes, int]:
        return received[start:], len(received)


class Chunks:
    """Content in chunks. *lenient*: of a response (see `grammar.py`), else of a request."""

    __slots__ = (
        "_at",
        "_behind_content",
        "_in_trailers",
        "_kept",
        "_lenient",
        "_remaining",
        "complete",
        "trailers",
    )

    def __init__(self, *, lenient: bool = False) -> None:
        self.complete = False
        self.trailers: Fields = ()
        self._lenient = lenient
        self._kept = b""  # a line, or trailers, of which the end has not come
        self._at = 0  # as far it was looked at
        self._remaining = 0  # of the present chunk
        self._behind_content = False  # of a chunk, where CR LF follows
        self._in_trailers = False

    def take(self, received: bytes, start: int) -> tuple[bytes, int]:
        kept = len(self._kept)
        if kept:
            received, start = self._kept + received[start:], start - kept
            content, end = self._take(received, 0)
            return content, start + end
        return self._take(received, start)

    def _take(self, received: bytes, at: int) -> tuple[bytes, int]:
        """Take as `take` does; what is kept for the next call stands at the beginning of *received*."""
        pieces: list[bytes] = []
        size_line = (_PADDED_SIZE_LINE if self._lenient else _SIZE_LINE).match
        self._kept = b""
        most = MOST_CHUNKS_A_CALL
        while not self._in_trailers and most:
            if self._remaining:
                piece = received[at : at + self._remaining]
                self._remaining -= len(piece)
                at += len(piece)
                pieces.append(piece)
                if self._remaining:
                    return b"".join(pieces), at
                self._behind_content = True
            if self._behind_content:
                if received[at : at + 2] != b"\r\n":
                    self._keep_part(received, at, b"\r\n", "A chunk is longer than its size says.")
                    return b"".join(pieces), len(received)
                at += 2
                self._behind_content = False
            matched = size_line(received, at)
            if matched is None:
                self._keep_line(received, at)
                return b"".join(pieces), len(received)
            if matched.end() - at > _LONGEST_SIZE_LINE:
                raise Refused(Reason.BAD_REQUEST, "The line of a chunk's size is too long.")
            at = matched.end()
            self._remaining = int(matched[1], 16)
            self._in_trailers = not self._remaining
            most -= 1
        if self._in_trailers:
            at = self._take_trailers(received, at)
        return b"".join(pieces), at

    def _keep_part(self, received: bytes, at: int, wanted: bytes, otherwise: str) -> None:
        """Keep the beginning of *wanted*; raise Refused where it is something else."""
        if not wanted.startswith(received[at:]):
            raise Refused(Reason.BAD_REQUEST, otherwise)
        self._kept = received[at:]

    def _keep_line(self, received: bytes, at: int) -> None:
        """Keep the beginning of a chunk's size; raise Refused where it can be none."""
        line = received[at : at + _LONGEST_SIZE_LINE + 1]
        if b"\n" in line:
            raise Refused(
                Reason.BAD_REQUEST, "A chunk's size is not a hexadecimal number that ends with CR LF."
            )
        if len(line) > _LONGEST_SIZE_LINE:
            raise Refused(Reason.BAD_REQUEST, "The line of a chunk's size is too long.")
        self._kept = line

    def _take_trailers(self, received: bytes, at: int) -> int:
        """Take the trailers that begin at *at*, or keep them while they are not whole; return their end."""
        looked_at, self._at = at + self._at, 0
        if received.startswith((b"\r\n", b"\n") if self._lenient else b"\r\n", at):
            end, found = received.index(b"\n", at) + 1, True
        else:
            ends = _LENIENT_END_OF_FIELDS if self._lenient else _END_OF_FIELDS
            matched = ends.search(received, max(looked_at - 3, at))
            end, found = matched.end() if matched else len(received), matched is not None
        if end - at > _MOST_TRAILER_BYTES:
            raise Refused(Reason.FIELDS_TOO_LARGE, "The trailers are too large.")
        if not found:
            if not self._lenient and _BARE_LF.search(received, max(looked_at - 1, at)):
                raise Refused(Reason.BAD_REQUEST, "A trailer ends with a bare line feed.")
            self._kept, self._at = received[at:], end - at
            return end
        self.trailers = parse_fields(received[at:end], most_fields=_MOST_TRAILERS, lenient=self._lenient)
        self.complete = True
        return end


def content_of(framing: ResponseFraming, *, lenient: bool = False) -> Content:
    """Return what reads content framed as *framing* says. *lenient*: of a response."""
    if framing is CHUNKED:
        return Chunks(lenient=lenient)
    return UntilTheEnd() if framing is UNTIL_CLOSE else Counted(framing)


def chunk(piece: bytes) -> bytes:
    """Return *piece*, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def last_chunk(trailers: Fields) -> bytes:
    """Return the end of a chunked body, with those of *trailers* that go on (RFC 9112 7.1.2)."""
    return b"0\r\n%b\r\n" % lines(trailer_fields(trailers))


LAST_CHUNK: Final = last_chunk(())
