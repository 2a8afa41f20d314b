"""The upstream on `requests`.

What `requests` does here: its adapter keeps the pools of connections, and is what `responses` mocks. What is
said on a connection is core's, to the byte (conversation.py): `requests` by itself normalises targets, joins
fields, and reads responses leniently; a gateway may do none of it.
"""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from queue import LifoQueue
from typing import Any, Final, cast
from urllib.parse import quote
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.poolmanager import PoolManager

from rgate.core.connections import Connections
from rgate.core.fields import lines
from rgate.core.message import Fields, parse_fields
from rgate.core.onward import AFTER_A_REST, LINE_END, NEVER, Reuse, response_lines
from rgate.core.patience import IDLE_S, MOST_POOLED, PIECE_BYTES, REST_S
from rgate.core.reasons import Failure
from rgate.engines.conversation import Answered, Conversation, connect
from rgate.engines.crowd import Crowd
from rgate.engines.records import CLOSED_UNASKED
from rgate.engines.sockets import poll
from rgate.engines.upstream import Sending, UpstreamFailed, UpstreamResponse

log = logging.getLogger("rgate")

_MOST_POOLS: Final = 10_000


class RequestsUpstream:
    """Implements `Upstream`. *crowd* is told of too little room; *most*: so many connections there may be."""

    def __init__(self, crowd: Crowd | None = None, most: Callable[[], int] = lambda: 1 << 30) -> None:
        self._adapter = _Adapter(pool_connections=_MOST_POOLS, pool_maxsize=MOST_POOLED)
        self._connections = _Made(crowd or Crowd(), most)
        self._looks_again_s = 0.0  # when pools are looked at that nobody uses any more

    def connections(self) -> Connections:
        """Return how many connections there are to containers, and how many were made."""
        return self._connections.counts()

    def send(self, sending: Sending) -> UpstreamResponse:
        """Return the response once its head is there; see `Upstream.send`."""
        self._forget_unused(time.monotonic())
        try:
            response = self._adapter.send(_prepared(sending, self._connections), stream=True, proxies={})
        except requests.exceptions.ReadTimeout as error:
            raise UpstreamFailed(Failure.TIMEOUT, sent=True) from error
        except requests.exceptions.RequestException as error:
            if not isinstance(error, requests.exceptions.ConnectionError):
                log.exception("connecting to %s failed", sending.address)
            raise UpstreamFailed(Failure.REFUSED, sent=False, text=type(error).__name__) from error
        return _answered(sending, response)

    def _forget_unused(self, now_s: float) -> None:
        """Let go of pools whose connections are too old to be used: the most of containers that went."""
        if now_s < self._looks_again_s:
            return
        self._looks_again_s = now_s + IDLE_S
        pools = self._adapter.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - it cannot be iterated over
            pool = pools.get(key)
            if isinstance(pool, _Pool) and pool.used_s + IDLE_S < now_s:
                with contextlib.suppress(KeyError):  # another thread does the same
                    del pools[key]


def _prepared(sending: Sending, connections: "_Made") -> requests.PreparedRequest:
    """Return what the adapter and mocks look at, and inside of it what our connection sends."""
    line, _, rest = sending.request.onward.partition(LINE_END)
    method, target, _ = line.split(b" ")
    prepared = requests.PreparedRequest()
    prepared.method = method.decode("ascii")
    prepared.url = f"http://{sending.address}" + quote(target, safe="/?%:@!$&'()*+,;=-._~[]|^{}<>\"\\`")
    prepared.headers = cast(Any, _Headers(sending, connections, parse_fields(rest, most_fields=len(rest))))
    return prepared


class _Headers(HTTPHeaderDict):
    """The request's fields for whoever looks; *sending*, and who counts *connections*, for our connection."""

    def __init__(self, sending: Sending, connections: "_Made", fields: Fields) -> None:
        super().__init__()
        for name, value in fields:
            self.add(name.decode("ascii"), value.decode("latin-1"))
        self.sending = sending
        self.connections = connections

    def copy(self) -> "_Headers":
        return self  # urllib3 copies before it adds fields for a proxy, and there is none


class _Connection(HTTPConnection):
    """A pooled connection, for conversations. The pool gives out none on which anything came."""

    conversation: Conversation | None = None  # the present one
    counted: "_Made"
    rests_until_s = 0.0  # before that it is not used again
    idle_since_s = 0.0
    is_busy = False

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_options: Any) -> None:
        """Begin the conversation that *headers* carries; the other arguments say the same less well."""
        del method, url, body
        sending, self.counted = headers.sending, headers.connections
        self.counted.takes(self)
        if sending.fresh:
            self.close()
        reused = self.sock is not None
        if not reused:
            began_s = time.monotonic()
            sending.connecting()
            self.sock = self.counted.made(self, sending)
            sending.accepted(time.monotonic() - began_s)
            if sending.stays_open_s and poll({self.sock.fileno(): select.POLLIN}, sending.stays_open_s):
                spoke = _has_spoken(self.sock)
                self.close()
                if spoke:
                    raise UpstreamFailed(Failure.BAD_RESPONSE, sent=False)
                raise UpstreamFailed(Failure.CLOSED_EARLY, sent=False, text=CLOSED_UNASKED)
        self.conversation = Conversation(self.sock, sending, reused=reused)

    @property
    def is_connected(self) -> bool:
        try:
            return super().is_connected
        except ValueError:  # another thread closes it just now, as its container did
            return False

    def close(self) -> None:
        """Close it, if it is open."""
        if self.sock is not None:
            self.counted.closed(self)
        super().close()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Return what the pool takes for a response: ours is read from the conversation."""
        return HTTPResponse(preload_content=False)


def _has_spoken(sock: socket.socket) -> bool:
    """Whether anything came on *sock*, of which it is known that it came or that the connection ended."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:  # a reset
        return False


class _Made:
    """The connections that were made. Any thread may call."""

    def __init__(self, crowd: Crowd, most: Callable[[], int]) -> None:
        self._most = most
        self._crowd = crowd
        self._lock = threading.RLock()
        self._connections: WeakSet[_Connection] = WeakSet()  # those that are open
        self._coming = 0
        self._made: dict[str, int] = {}

    def takes(self, connection: _Connection) -> None:
        """Note that *connection* is in use now; its pool gave it out."""
        with self._lock:
            connection.is_busy = True

    def made(self, connection: _Connection, sending: Sending) -> socket.socket:
        """Connect *connection* for *sending*, and count it. Raises ClientGone and UpstreamFailed."""
        with self._lock:
            self._coming += 1
            self._close_ended()
            if len(self._connections) + self._coming > self._most():
                self._close_longest_idle()
        try:
            sock = connect(sending, self._crowd)
        finally:
            with self._lock:
                self._coming -= 1
        with self._lock:
            self._connections.add(connection)
            self._made[sending.backend] = self._made.get(sending.backend, 0) + 1
        return sock

    def closed(self, connection: _Connection) -> None:
        """Note that *connection* is not open any more."""
        with self._lock:
            self._connections.discard(connection)

    def _idle(self) -> list[_Connection]:
        return [one for one in self._connections if not one.is_busy]

    def _close_ended(self) -> None:
        """Close those that containers ended, as no pool looks at one that it does not use."""
        idle = {one.sock.fileno(): one for one in self._idle() if one.sock is not None}
        for descriptor in poll(dict.fromkeys(idle, select.POLLIN), 0):
            idle[descriptor].close()

    def _close_longest_idle(self) -> None:
        for connection in sorted(self._idle(), key=lambda one: one.idle_since_s)[:1]:
            connection.close()

    def counts(self) -> Connections:
        """Return how many are open, and how many were made."""
        with self._lock:
            is_busy = [one.is_busy for one in self._connections]
            made = dict(self._made)
        active = sum(is_busy)
        return Connections(upstreams_active=active, upstreams_idle=len(is_busy) - active, made=made)


class _Connections(LifoQueue[Any]):
    """The connections of a pool, and None for each that it may still make. Its size bounds how many rest."""

    def _put(self, item: _Connection | None) -> None:
        is_open = item is not None and item.sock is not None
        self.queue.insert(len(self.queue) if is_open else 0, item if is_open else None)

    def _get(self) -> _Connection | None:
        """Return the one used last, but for those that rest; not an open one only where there is none."""
        now_s = time.monotonic()
        for index in reversed(range(len(self.queue))):
            connection: _Connection | None = self.queue[index]
            if connection is None or connection.rests_until_s <= now_s:
                del self.queue[index]
                if connection is not None and connection.idle_since_s + IDLE_S < now_s:
                    connection.close()  # what lies between may have forgotten it; it makes another
                return connection
        return None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
    QueueCls = _Connections
    used_s = 0.0

    def _get_conn(self, timeout: float | None = None) -> Any:
        self.used_s = time.monotonic()
        return super()._get_conn(timeout)

    def _put_conn(self, conn: Any) -> None:
        self.used_s = time.monotonic()
        super()._put_conn(conn)


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool}


def _answered(sending: Sending, response: requests.Response) -> Answered:
    """Return what reads the response: from a connection of the pool, or from what a mock gave."""
    raw = response.raw
    connection = raw.connection
    if not isinstance(connection, _Connection):
        return Answered(sending, _Mocked(response), lambda _: response.close())

    conversation = connection.conversation
    assert conversation is not None  # noqa: S101 - for the types alone: it has just begun

    def let_go(reuse: Reuse) -> None:
        if reuse is NEVER:
            connection.close()
        connection.conversation = None  # with what it kept of the request
        connection.idle_since_s = time.monotonic()
        connection.is_busy = False
        connection.rests_until_s = time.monotonic() + REST_S if reuse is AFTER_A_REST else 0.0
        raw.release_conn()

    return Answered(sending, conversation, let_go)


class _Mocked(Conversation):
    """What a mock gave: the head as bytes, and the content."""

    is_sent = True

    def __init__(self, response: requests.Response) -> None:
        self.reused, self.has_sent, self.is_answered = False, True, False
        self._raw = raw = response.raw
        fields = tuple(
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in raw.headers.iteritems()
            if name.lower() != "transfer-encoding"  # the content is not framed
        )
        line = response_lines(response.status_code, (raw.reason or "").encode("latin-1"))
        self._head = line + lines(fields) + LINE_END

    def receive(self) -> bytes:
        head, self._head = self._head, b""
        return head or bytes(self._raw.read(PIECE_BYTES, decode_content=False))

    def wait(self, descriptor: int, event: int) -> bool:
        return bool(poll({descriptor: event}, IDLE_S))
