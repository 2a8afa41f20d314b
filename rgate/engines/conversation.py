"""What is said on one connection to an upstream: a request, and its response, over blocking calls.

There is one place to wait, for whatever comes first: the response, more of the request's content, room for
it, or the client's end. So a response may begin before the request has ended, without a second thread. What
the bytes mean is core's to say; where connections come from is the caller's (requests_upstream.py).
"""

import errno
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

from rgate.core.content import content_of
from rgate.core.message import UNTIL_CLOSE, BadResponse, Fields, Refused
from rgate.core.onward import NEVER, Response, Reuse
from rgate.core.patience import PIECE_BYTES
from rgate.core.reading import ResponseReader
from rgate.core.reasons import Failure
from rgate.engines.crowd import Crowd
from rgate.engines.records import late_to_accept, why_refused
from rgate.engines.sockets import BROKEN, ENDED, is_itself, poll, untaken_bytes
from rgate.engines.upstream import ClientGone, Sending, UpstreamCut, UpstreamFailed

log = logging.getLogger("rgate")


def connect(sending: Sending, crowd: Crowd) -> socket.socket:
    """Return a connection to the address of *sending*. Raises ClientGone, and UpstreamFailed for all else.

    *crowd* is told where there is no descriptor for it.
    """
    began_s, text, failure = time.monotonic(), "", Failure.REFUSED
    until_s = began_s + sending.connect_within_s
    try:
        host, port, client = sending.address.host, sending.address.port, sending.content.descriptor
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            error = sock.connect_ex(address)
            if error == errno.EINPROGRESS:
                wanted = {sock.fileno(): select.POLLOUT, client: ENDED}
                ready = poll(wanted, until_s - time.monotonic())
                if client in ready:
                    sock.close()
                    raise ClientGone
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
            if not error and is_itself(sock.getsockname(), _peer(sock)):
                error = errno.ECONNREFUSED
            text = (
                late_to_accept(sending.connect_within_s) if error == errno.ETIMEDOUT else os.strerror(error)
            )
            failure = crowd.refused(OSError(error, text))
            if not error:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            sock.close()
    except ClientGone:
        raise
    except OSError as failed:
        text, failure = why_refused(failed), crowd.refused(failed)
    except Exception as defect:  # nobody was reached either; what is no failure of the network is ours
        log.exception("connecting to %s failed", sending.address)
        text = why_refused(defect)
    raise UpstreamFailed(failure, sent=False, waited_s=time.monotonic() - began_s, text=text)


def _peer(sock: socket.socket) -> object:
    """Return the address at the other end; None where it has gone already."""
    try:
        return sock.getpeername()
    except OSError:
        return None


class Conversation:
    """A request on its way, and its response: each wait for one of them moves on what can be moved."""

    def __init__(self, sock: socket.socket, sending: Sending, *, reused: bool) -> None:
        self.reused = reused
        self.has_sent = False  # anything
        self.is_answered = False  # set once the response's head came
        self._socket = sock
        self._timeouts = sending.timeouts
        self._content = sending.content
        self._client = sending.content.descriptor
        self._unsent = memoryview(b"".join((sending.request.onward, *self._content.upload.from_its_start())))
        self._is_taken = True  # by the upstream, as far as one knows
        self._moved_s = time.monotonic()
        self._is_late = False  # what was waited for last, if it came at all
        self._send()

    @property
    def is_sent(self) -> bool:
        """Whether all of the request was sent."""
        return self._is_taken and self._content.upload.complete and not self._unsent

    def receive(self) -> bytes:
        """Return the next bytes, b"" at their end. Raises UpstreamFailed, OSError, ClientGone and Refused."""
        if self.wait(self._socket.fileno(), select.POLLIN):
            return self._socket.recv(PIECE_BYTES)
        if self.is_answered:
            raise TimeoutError
        late = self._content.upload.late(self._timeouts, unsent=bool(self._unsent))
        raise UpstreamFailed(late, sent=True) if isinstance(late, Failure) else late

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait for *event* on *descriptor*; False where nothing moved in time. Raises ClientGone, Refused."""
        if self.is_answered:
            self._moved_s = time.monotonic()
        untaken = self._untaken(descriptor, event)
        while True:
            if self._wants_content and (self._content.rest or self._client < 0):
                self._take_content()
            is_asked = self.is_sent and not self.is_answered
            patience_s = self._timeouts.response if is_asked else self._timeouts.idle
            left_s = self._moved_s + patience_s - time.monotonic()
            wanted = {
                self._client: ENDED | (select.POLLIN if self._wants_content else 0),
                self._socket.fileno(): select.POLLOUT if self._unsent else 0,
            }
            wanted[descriptor] |= event
            ready = poll(wanted, left_s)
            was_late, self._is_late = self._is_late, left_s <= 0
            if self._is_late and (was_late or not ready):  # what came in time is taken, however late that is
                before, untaken = untaken, self._untaken(descriptor, event)
                if untaken == before:
                    return False
                self._moved_s = time.monotonic()  # one of them reads, though slowly
            if ready.get(self._client, 0) & ENDED:
                raise ClientGone
            if ready.get(descriptor, 0) & (event | BROKEN):
                return True
            if self._client in ready:
                self._take_content()
            elif ready:
                self._send()

    def _untaken(self, descriptor: int, event: int) -> tuple[int, int]:
        """Return how much those two have not taken to whom more is to be sent."""
        to_client = untaken_bytes(descriptor) if event & select.POLLOUT else 0
        return to_client, untaken_bytes(self._socket.fileno()) if self._unsent else 0

    @property
    def _wants_content(self) -> bool:
        return self._is_taken and not self._unsent and not self._content.upload.complete

    def _take_content(self) -> None:
        self._unsent = memoryview(self._content.next())
        self._moved_s = time.monotonic()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # its answer may be there all the same
            self._is_taken, self._unsent = False, memoryview(b"")
            return
        self.has_sent = True
        self._moved_s = time.monotonic()


class Answered:
    """Implements `UpstreamResponse`. *let_go* is told at the end what becomes of the connection."""

    response: Response

    def __init__(self, sending: Sending, wire: Conversation, let_go: Callable[[Reuse], None]) -> None:
        self.reused = wire.reused
        self.is_complete = False
        self.trailers: Fields = ()
        self._wire = wire
        self._let_go = let_go
        self._reuse = NEVER
        try:
            self._read_head(sending)
        except BaseException:
            self.close()
            raise

    def _read_head(self, sending: Sending) -> None:
        reader, data = ResponseReader(), b""
        while not self._wire.is_answered:
            try:
                read = reader.read(data, sending.reading, sending.request, reused=self.reused)
            except BadResponse as bad:
                raise UpstreamFailed(bad.failure, sent=True, text=str(bad)) from bad
            if read is None:
                data = self._receive_head(reader)
            elif isinstance(read, Response):
                self.response = read
                self._wire.is_answered = True
            else:
                data = b""
                sending.interim(read.message)

    def _receive_head(self, reader: ResponseReader) -> bytes:
        try:
            data = self._wire.receive()
        except OSError:  # a reset says no more than an end
            data = b""
        if not data:
            raise UpstreamFailed(reader.end(reused=self.reused), sent=self._wire.has_sent)
        return data

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it comes; see `UpstreamResponse.pieces`."""
        response = self.response
        content = content_of(response.framing, lenient=True)
        self.is_complete = content.complete
        received, at = response.received, response.end
        if at == len(received):
            yield b""  # the head goes on when it came, and does not wait for the content
        try:
            while not content.complete:
                if at == len(received):
                    received, at = self._wire.receive(), 0
                    if not received:
                        break
                try:
                    piece, at = content.take(received, at)
                except Refused as error:
                    raise UpstreamCut from error
                self.is_complete = content.complete
                yield piece
        except OSError as error:
            raise UpstreamCut from error
        if not content.complete and response.framing is not UNTIL_CLOSE:
            raise UpstreamCut
        self.is_complete = True
        self.trailers = content.trailers
        if self._wire.is_sent and at == len(received):
            self._reuse = response.reuse

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait for the client, while the request goes on; see `UpstreamResponse.wait`."""
        return self._wire.wait(descriptor, event)

    def close(self) -> None:
        """Let go of the connection."""
        self._let_go(self._reuse)
