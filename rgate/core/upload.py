"""A request's content on its way to an upstream: checked, counted, framed, and kept for another try
(behaviour 6).
"""

from rgate.core.config import Timeouts
from rgate.core.content import chunk, content_of, last_chunk
from rgate.core.message import CHUNKED, Refused, RequestFraming
from rgate.core.onward import IDEMPOTENT, Request
from rgate.core.patience import REPLAYABLE_BYTES
from rgate.core.problem import body_too_large
from rgate.core.reasons import Failure, Reason


class Upload:
    """The content of one request, framed for an upstream.

    What came is kept until it was sent once (its reader does not read on meanwhile), and after that while it
    is little. *most_bytes*: `limits.body_bytes`. *kept_bytes*: how much of it came, framed.
    """

    __slots__ = ("_chunked", "_content", "_kept", "_most_bytes", "_sent", "_taken", "complete", "kept_bytes")

    def __init__(self, framing: RequestFraming, most_bytes: int | None) -> None:
        self._content = content_of(framing)
        self.complete = self._content.complete  # whether all of it came
        self._chunked = framing is CHUNKED
        self._most_bytes = most_bytes
        self._taken = 0
        self._kept: list[bytes] = []
        self.kept_bytes = 0
        self._sent = False

    @property
    def replayable(self) -> bool:
        """Whether all that came is kept, and can be sent from its start."""
        return not self._sent or self.kept_bytes <= REPLAYABLE_BYTES

    def take(self, received: bytes, start: int) -> tuple[bytes, int]:
        """Return what goes on of `received[start:]`, framed, and where what is not used begins (see
        `Content`).

        Raises Refused where it is malformed or too large.
        """
        piece, end = self._content.take(received, start)
        self.complete = self._content.complete
        self._taken += len(piece)
        if self._most_bytes is not None and self._taken > self._most_bytes:
            problem = body_too_large(self._most_bytes)
            raise Refused(problem.reason, problem.detail)
        if self._chunked:
            piece = chunk(piece) if piece else b""
            if self.complete:
                piece += last_chunk(self._content.trailers)
        self._keep(piece)
        return piece, end

    def _keep(self, framed: bytes) -> None:
        self.kept_bytes += len(framed)
        if self.replayable:
            self._kept.append(framed)
        else:
            self._kept.clear()

    def late(self, timeouts: Timeouts, *, unsent: bool) -> Failure | Refused:
        """Return what it comes to that nothing moved for too long before the head of a response came.

        Too long is `response` seconds once all was sent, else `idle`. *unsent*: some of what came was not.
        """
        if unsent:
            return Failure.UNREAD
        if self.complete:
            return Failure.TIMEOUT
        return Refused(Reason.REQUEST_TIMEOUT, f"Nothing of the body came for {timeouts.idle:g} s.")

    def again(self) -> None:
        """Keep all, as before the first try: what came is to be sent once more, and more may come before it
        is. Only while `replayable`.
        """
        self._sent = False

    def from_its_start(self) -> list[bytes]:
        """Return all that came up to now, to be sent; only while `replayable`."""
        kept = list(self._kept)
        self._sent = True
        if not self.replayable:
            self._kept.clear()
        return kept


NO_CONTENT = Upload(0, None)
"""That of requests without any: complete from the start, and never changed."""


def is_sent_once(request: Request) -> bool:
    """Whether it may turn out that *request* cannot be sent again once it was: its method is not idempotent,
    or its content may be more than is kept.
    """
    framing = request.framing
    return request.method not in IDEMPOTENT or framing is CHUNKED or framing > REPLAYABLE_BYTES


def may_be_repeated(request: Request, upload: Upload) -> bool:
    """Whether *request*, with the content *upload*, may be sent again after it was (RFC 9110 9.2.2)."""
    return request.method in IDEMPOTENT and upload.replayable
