"""The upstream on `requests`: its adapter and pool, with a connection that is exact about bytes.

`requests` normalises targets, joins fields, and reads responses leniently; a gateway may do none of
it. So the adapter's pool gets a connection class of ours, which writes the head as core/ made it and
reads the response through core/'s strict parser. Pooling, and what `responses` mocks, stay requests'.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPMessage
from typing import Any, Final, cast
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.poolmanager import PoolManager

from rgate.core.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from rgate.core.message import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponse,
    Refused,
    ResponseHead,
    UntilClose,
    parse_response_head,
)
from rgate.core.reasons import Failure
from rgate.engines.upstream import ClientGone, Sending, UpstreamCut, UpstreamFailed, UpstreamResponse

PIECE_BYTES: Final = 65536
_POOLED_PER_ADDRESS: Final = 128
# How often a wait for the response looks whether the request is all sent; only while it is being sent.
_SENDING_TICK_S: Final = 0.1
# A request's last byte is sent before the response's comes, but its thread may not have said so yet.
_PUMP_END_S: Final = 0.05
_CLIENT_ENDED: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class RequestsUpstream:
    """Implements `Upstream`."""

    def __init__(self) -> None:
        self._adapter = _ExactAdapter(
            pool_connections=10_000, pool_maxsize=_POOLED_PER_ADDRESS, max_retries=0, pool_block=False
        )

    def send(self, sending: Sending) -> UpstreamResponse:
        """Return the response once its head is there; see `Upstream.send`."""
        prepared = requests.PreparedRequest()
        prepared.method = sending.request.method.decode("ascii")
        prepared.url = f"http://{sending.address}" + quote(
            sending.request.target, safe="/?%:@!$&'()*+,;=-._~[]|^{}<>\"\\`"
        )
        prepared.headers = cast(Any, _ExactFields(sending))
        prepared.body = cast(Any, sending.body)
        try:
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(sending.timeouts.connect, sending.timeouts.response),
                proxies={},
            )
        except requests.exceptions.ConnectTimeout as error:
            raise UpstreamFailed(Failure.REFUSED, sent=False) from error
        except requests.exceptions.Timeout as error:
            raise UpstreamFailed(Failure.TIMEOUT, sent=True) from error
        except requests.exceptions.ConnectionError as error:
            raise UpstreamFailed(Failure.REFUSED, sent=False) from error
        original = getattr(response.raw, "_original_response", None)
        if isinstance(original, _WireResponse):
            return _PooledResponse(original, response)
        return _PlainResponse(response, sending.request.method)

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()


class _ExactFields(HTTPHeaderDict):
    """What the adapter takes for headers: the fields for whoever looks, and the exact request inside."""

    def __init__(self, sending: Sending) -> None:
        super().__init__()
        for name, value in sending.request.fields:
            self.add(name.decode("ascii"), value.decode("latin-1"))
        self.sending = sending

    def copy(self) -> "_ExactFields":
        return _ExactFields(self.sending)


class _PooledResponse:
    """Implements `UpstreamResponse` over a connection of the pool."""

    def __init__(self, wire: "_WireResponse", response: requests.Response) -> None:
        self.head = wire.head
        self._wire = wire
        self._raw = response.raw

    def pieces(self) -> Iterator[bytes]:
        return self._wire.pieces()

    def close(self) -> None:
        if self._wire.reusable:
            self._raw.release_conn()
        else:
            self._wire.abandon()
            self._raw.close()


class _PlainResponse:
    """Implements `UpstreamResponse` over what `requests` alone gives, as its mocks do."""

    def __init__(self, response: requests.Response, method: bytes) -> None:
        raw = response.raw
        status_line = f"HTTP/1.1 {response.status_code} {raw.reason or ''}\r\n"
        fields = "".join(f"{name}: {value}\r\n" for name, value in raw.headers.iteritems())
        self.head: ResponseHead = parse_response_head(f"{status_line}{fields}\r\n".encode("latin-1"), method)
        self._response = response

    def pieces(self) -> Iterator[bytes]:
        return cast(Iterator[bytes], self._response.raw.stream(PIECE_BYTES, decode_content=False))

    def close(self) -> None:
        self._response.close()


class _ExactConnection(HTTPConnection):
    """A pooled connection that writes and reads messages as core/ decides them."""

    _sending: Sending
    _requests_begun = 0
    _pump: "_Pump | None" = None

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            # urllib3 tells a refusal, a time-out and an unknown name by classes of several families.
            self.close()
            raise UpstreamFailed(Failure.REFUSED, sent=False) from error
        self.sock.setblocking(True)
        self._sending.accepted()

    def close(self) -> None:
        self._requests_begun = 0
        super().close()

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_options: Any) -> None:
        """Write the exact request that *headers* carries; the other arguments say the same less well."""
        del method, url, body
        self._sending = sending = headers.sending
        if sending.fresh:
            self.close()
        if self.sock is None:
            self._requests_begun = 0
            self.connect()
        self._requests_begun += 1
        self._pump = _Pump(self.sock, sending)
        self._pump.begin()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Return urllib3's response around ours, for the pool."""
        assert self._pump is not None, "getresponse() before request()"
        wire = _WireResponse(self.sock, self._sending, self._pump, reused=self._requests_begun > 1)
        wire.read_head()
        return HTTPResponse(
            body=cast(Any, wire),
            headers=HTTPHeaderDict(),
            status=wire.head.status,
            reason=wire.head.phrase.decode("latin-1"),
            preload_content=False,
            decode_content=False,
            original_response=cast(Any, wire),
            enforce_content_length=False,
        )


class _ExactPool(HTTPConnectionPool):
    ConnectionCls = _ExactConnection


class _ExactAdapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _ExactPool}


class _Pump:
    """Sends the request. What is not there yet is sent by a thread of its own, so that a response
    that begins before the request has ended is read meanwhile (RFC 9112 9.3.2 lets upstreams do so).
    """

    def __init__(self, sock: socket.socket, sending: Sending) -> None:
        self._socket = sock
        self._sending = sending
        self._chunked = sending.request.framing is CHUNKED
        self.sent_at_s: float | None = None  # when the last byte went out
        self._ended = threading.Event()
        self.client_failure: Exception | None = None  # what the request's content raised

    def ended(self, within_s: float) -> bool:
        """Wait until nothing more is sent, for *within_s* at most; whether it is so."""
        return self._ended.wait(within_s)

    def _end(self) -> None:
        self.sent_at_s = time.monotonic()
        self._ended.set()

    def begin(self) -> None:
        """Send the head and what is at hand. Never raises for the upstream: its answer tells."""
        head = _request_bytes(self._sending)
        body = self._sending.body
        if body is None:
            self._send(head)
            self._end()
            return
        if not self._send(head):
            self._end()
            return
        threading.Thread(target=self._send_body, args=(body,), name="rgate-body", daemon=True).start()

    def _send_body(self, body: Iterator[bytes]) -> None:
        try:
            for piece in body:
                if not self._send(chunk(piece) if self._chunked else piece):
                    break
            else:
                if self._chunked:
                    self._send(LAST_CHUNK)
        except (ClientGone, Refused) as failure:
            self.client_failure = failure
            _shut_down(self._socket)
        finally:
            self._end()

    def _send(self, data: bytes) -> bool:
        """Send *data*; False where the upstream takes no more of it."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                if not _wait(self._socket, select.POLLOUT, self._sending.timeouts.idle):
                    _shut_down(self._socket)
                    return False
            except OSError:
                return False
        return True


def _request_bytes(sending: Sending) -> bytes:
    request = sending.request
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method, request.target)]
    lines += [b"%b: %b\r\n" % field for field in request.fields]
    return b"".join((*lines, b"\r\n"))


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _wait(sock: socket.socket, event: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(timeout_s * 1000))


class _WireResponse:
    """A response, read from *sock* as it comes; what the pool takes for http.client's."""

    head: ResponseHead
    msg = HTTPMessage()  # requests looks for cookies in it, which rgate does not keep

    def __init__(self, sock: socket.socket, sending: Sending, pump: _Pump, *, reused: bool) -> None:
        self._socket = sock
        self._sending = sending
        self._pump = pump
        self._reused = reused
        self._buffer = b""
        self._complete = False
        self._interim = False  # a head came that announced another
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        if sending.client_descriptor is not None:
            self._poll.register(sending.client_descriptor, _CLIENT_ENDED)

    def read_head(self) -> None:
        """Read up to the final head. Raises UpstreamFailed, ClientGone or Refused."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                self._receive_head()
                continue
            block, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
            try:
                self.head = parse_response_head(
                    block, self._sending.request.method, most_fields=self._sending.limits.header_fields
                )
            except BadResponse as error:
                raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True) from error
            if self.head.status == 101:  # nobody asked for a switch: this engine forwards no Upgrade
                raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True)
            if not self.head.is_interim:
                return
            self._interim = True

    def _receive_head(self) -> None:
        try:
            received = self._receive(self._sending.timeouts.response, from_end_of_request=True)
        except TimeoutError as error:
            raise UpstreamFailed(Failure.TIMEOUT, sent=True) from error
        except OSError:
            received = b""  # a reset says no more than an end
        if not received:
            self._raise_failed_request()
            if self._buffer or self._interim:
                raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True)
            raise UpstreamFailed(Failure.STALE if self._reused else Failure.CLOSED_EARLY, sent=True)
        self._buffer += received
        hopeless = not b"HTTP/1.".startswith(self._buffer[:7])
        if hopeless or len(self._buffer) > self._sending.limits.header_bytes + PIECE_BYTES:
            raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True)
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > self._sending.limits.header_bytes:
            raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True)
        if end < 0 and b"\n\n" in self._buffer:
            raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True)

    def _receive(self, timeout_s: float, *, from_end_of_request: bool = False) -> bytes:
        """Return the next bytes, b"" at the connection's end.

        Raises OSError (TimeoutError where nothing comes in time), ClientGone, Refused.
        """
        began_s = time.monotonic()
        while True:
            wait_s = timeout_s - (time.monotonic() - began_s)
            if from_end_of_request:
                sent_at_s = self._pump.sent_at_s
                wait_s = _SENDING_TICK_S if sent_at_s is None else timeout_s - (time.monotonic() - sent_at_s)
                if sent_at_s is None and self._ready(wait_s) is None:
                    continue
            if wait_s <= 0 or (ready := self._ready(wait_s)) is None:
                raise TimeoutError
            if not ready:
                self._raise_failed_request()
                raise ClientGone
            return self._socket.recv(PIECE_BYTES)

    def _ready(self, wait_s: float) -> bool | None:
        """Return True for the upstream, False for a client that is gone, None for neither in time."""
        events = self._poll.poll(wait_s * 1000)
        if not events:
            return None
        descriptor = self._socket.fileno()
        return not any(ready != descriptor for ready, _ in events)

    def _raise_failed_request(self) -> None:
        if self._pump.client_failure is not None:
            raise self._pump.client_failure

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it comes; see `UpstreamResponse.pieces`."""
        framing = self.head.framing
        if framing != 0 and not self._buffer:
            yield b""  # the head goes on when it came, and does not wait for the content
        try:
            if framing is CHUNKED:
                yield from self._chunked_pieces()
            elif isinstance(framing, int):
                yield from self._counted_pieces(framing)
            else:
                yield from self._pieces_until_close(framing)
        except TimeoutError as error:
            raise UpstreamCut("nothing came for too long") from error
        except OSError as error:
            self._raise_failed_request()
            raise UpstreamCut("the connection broke") from error

    def _next(self) -> bytes:
        if self._buffer:
            received, self._buffer = self._buffer, b""
            return received
        return self._receive(self._sending.timeouts.idle)

    def _counted_pieces(self, remaining: int) -> Iterator[bytes]:
        while remaining:
            received = self._next()
            if not received:
                raise UpstreamCut(f"{remaining} bytes are missing")
            piece, self._buffer = received[:remaining], received[remaining:]
            remaining -= len(piece)
            self._complete = not remaining
            yield piece
        self._complete = True

    def _chunked_pieces(self) -> Iterator[bytes]:
        decoder = ChunkedDecoder()
        while not decoder.ended:
            received = self._next()
            if not received:
                raise UpstreamCut("the last chunk is missing")
            try:
                # One piece for what came at once, so that small chunks do not cost a write each.
                piece = b"".join(decoder.content(received))
            except Refused as error:
                raise UpstreamCut(error.detail) from error
            if piece:
                yield piece
        self._buffer = decoder.rest
        self._complete = True

    def _pieces_until_close(self, framing: UntilClose) -> Iterator[bytes]:
        assert framing is UNTIL_CLOSE
        while piece := self._next():
            yield piece

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request: all was read, all was sent, nothing is left."""
        return self._complete and not self._buffer and self.head.keep_alive and self._pump.ended(_PUMP_END_S)

    def abandon(self) -> None:
        """End the connection, also for a thread that still sends on it."""
        _shut_down(self._socket)

    # What urllib3's response asks of http.client's.
    def read(self, amount: int | None = None) -> bytes:
        """Return nothing: the content is read by `pieces`."""
        del amount
        return b""

    def isclosed(self) -> bool:
        """Whether the response was read to its end."""
        return self._complete

    def close(self) -> None:
        """Do nothing: the connection is the pool's."""
