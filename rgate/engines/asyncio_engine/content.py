"""A request's content on its way through: decoded, checked, kept for another attempt, framed anew."""

from typing import Final

from rgate.core.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from rgate.core.fields import trailer_fields
from rgate.core.message import CHUNKED, Refused, RequestHead
from rgate.core.reasons import Reason

# What of a request's content is kept to send it again after a failure; larger ones are sent once.
REPLAYABLE_BYTES: Final = 65536


class RequestContent:
    """The content of one request, framed for an upstream.

    What was taken is kept until it was sent once, and after that while it is little.
    """

    __slots__ = (
        "_decoder", "_is_sent", "_kept", "_kept_bytes", "_most_bytes", "_remaining", "_taken", "complete",
    )  # fmt: skip

    def __init__(self, head: RequestHead, most_bytes: int | None) -> None:
        self._decoder = ChunkedDecoder() if head.framing is CHUNKED else None
        self._remaining = head.framing if isinstance(head.framing, int) else 0
        self._most_bytes = most_bytes
        self._taken = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._is_sent = False
        self.complete = head.framing == 0

    @property
    def replayable(self) -> bool:
        """Whether all that was taken is kept."""
        return not self._is_sent or self._kept_bytes <= REPLAYABLE_BYTES

    def all_taken(self) -> list[bytes]:
        """Return what was taken up to now, to be sent; only while `replayable`."""
        kept = list(self._kept)
        self._is_sent = True
        self._drop_if_large()
        return kept

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of *data* goes to the upstream, framed, and what belongs to the next request.

        Raises Refused where it is malformed or too large.
        """
        if self._decoder is None:
            framed, rest = (data, b"") if len(data) <= self._remaining else self._split(data)
            self._remaining -= len(framed)
            self._count(len(framed))
            self.complete = not self._remaining
        else:
            framed, rest = self._take_chunks(self._decoder, data)
        self._keep(framed)
        return framed, rest

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        return data[: self._remaining], data[self._remaining :]

    def _take_chunks(self, decoder: ChunkedDecoder, data: bytes) -> tuple[bytes, bytes]:
        pieces = b"".join(decoder.content(data))
        self._count(len(pieces))
        framed = chunk(pieces) if pieces else b""
        if not decoder.ended:
            return framed, b""
        self.complete = True
        return framed + last_chunk(decoder), decoder.rest

    def _count(self, size: int) -> None:
        self._taken += size
        if self._most_bytes is not None and self._taken > self._most_bytes:
            raise Refused(
                Reason.BODY_TOO_LARGE,
                f"The body is larger than `limits.body_bytes`, {self._most_bytes} bytes.",
            )

    def _keep(self, framed: bytes) -> None:
        if framed and self.replayable:
            self._kept.append(framed)
        self._kept_bytes += len(framed)
        self._drop_if_large()

    def _drop_if_large(self) -> None:
        if not self.replayable:
            self._kept.clear()


def last_chunk(decoder: ChunkedDecoder) -> bytes:
    """Return the end of a chunked body, with the trailers that *decoder* found (RFC 9112 7.1.2)."""
    lines = b"".join(b"%b: %b\r\n" % field for field in trailer_fields(decoder.trailers))
    return b"0\r\n%b\r\n" % lines if lines else LAST_CHUNK
