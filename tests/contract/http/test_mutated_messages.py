"""Whatever bytes a client sends, a backend gets the messages that they mean, or fewer.

Valid requests are mutated. What arrived must parse with h11, the judge, and be the first of the
messages that the judge finds in what the client sent: nothing else, and nothing more.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import h11
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Cut, Late, Wire

PATH = b"PATH"  # stands for the lane's prefix
Meaning = tuple[bytes, bytes, bytes]  # method, target, content


def judged(sent: bytes) -> tuple[list[Meaning], bool]:
    """Return the complete messages in *sent*, and whether a malformed one ends them."""
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(sent)
    messages: list[Meaning] = []
    method, target, content = b"", b"", bytearray()
    while True:
        try:
            event = judge.next_event()
        except h11.RemoteProtocolError:
            return messages, True
        match event:
            case h11.Request():
                method, target, content = event.method, event.target, bytearray()
            case h11.Data():
                content += event.data
            case h11.EndOfMessage():
                messages.append((method, target, bytes(content)))
                judge.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                judge.send(h11.EndOfMessage())
                if judge.our_state is h11.MUST_CLOSE:
                    return messages, False
                judge.start_next_cycle()
            case _:
                return messages, False


@dataclass
class Recorder:
    """A backend that answers whatever it gets, and keeps the bytes of each connection."""

    received: list[bytearray] = field(default_factory=list)

    def serve(self, wire: socket.socket) -> None:
        kept = bytearray()
        self.received.append(kept)
        answered = 0
        wire.settimeout(10)
        with wire, suppress(OSError):
            while data := wire.recv(1 << 16):
                kept += data
                complete = len(judged(bytes(kept))[0])
                wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * (complete - answered))
                answered = complete


@contextmanager
def recording(lane: Lane) -> Iterator[Recorder]:
    """Serve *lane* from threads; at the end no thread of them is left."""
    recorder = Recorder()
    threads: list[threading.Thread] = []
    listener = lane.listeners[0].sock
    listener.settimeout(None)
    ended = threading.Event()

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            if ended.is_set():
                sock.close()
                return
            threads.append(threading.Thread(target=recorder.serve, args=(sock,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield recorder
    finally:
        ended.set()
        socket.create_connection(("127.0.0.1", lane.listeners[0].port)).close()
        acceptor.join()


LINES = st.sampled_from(
    [
        b"X-A: 1",
        b"Connection: close",
        b"Connection: keep-alive, X-A",
        b"X-Empty:",
        b"Accept: */*",
        b"Cookie: a=b; c",
    ]
)
CONTENT = st.sampled_from([b"", b"a", b"hello", b"0\r\n\r\n", b"GET PATH/inner HTTP/1.1\r\nHost: a\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return a valid request, framed in one of the three ways."""
    lines = [b"Host: a", *draw(st.lists(LINES, max_size=3))]
    content = draw(CONTENT)
    body = b""
    match draw(st.sampled_from(["none", "length", "chunks"])):
        case "length":
            lines.append(b"Content-Length: %d" % len(content))
            body = content
        case "chunks":
            lines.append(b"Transfer-Encoding: chunked")
            body = (b"%x\r\n%b\r\n" % (len(content), content) if content else b"") + b"0\r\n\r\n"
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT"]))
    target = PATH + draw(st.sampled_from([b"", b"/x", b"?q=1"]))
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, target, b"\r\n".join(lines), body)


PIECES = st.sampled_from(
    [
        b"\n", b"\r", b"\r\n", b" ", b"\t", b"\x00", b"\x0b",
        b":", b";", b",", b"0", b"1", b"+", b"-", b"x", b"\xff",
        b"Content-Length: 1\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n", b"\r\n\r\n",
        b"GET PATH/injected HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.0", b"Host: b\r\n",
    ]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return one to three requests with up to three pieces put in, taken out or written over."""
    sent = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        # Lines' ends are where framing is decided, so half of all places are there.
        ends = [at for at in range(len(sent)) if sent[at : at + 1] in (b"\r", b"\n", b":")]
        at = draw(st.sampled_from(ends) | st.integers(0, len(sent))) if ends else 0
        width = draw(st.sampled_from([0, 0, 1, 2]))
        sent = sent[:at] + draw(PIECES | st.just(b"")) + sent[at + width :]
    return sent


def _read_answers(client: Wire, expected: int) -> None:
    """Read as many answers as there may be, or to the end."""
    for _ in range(expected):
        try:
            client.read_response(to=b"GET")
        except Cut:
            return


@clause("RFC 9112 2.2", "RFC 9112 6.3", "RFC 9112 11.2")
@settings(
    max_examples=150,
    deadline=None,
    # No shrinking: the examples are small, and one that ends in a wait would be tried for minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sent=mutated(), cut=st.integers(0, 400))
@example(
    sent=b"POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    cut=0,
)
@example(sent=b"GET PATH HTTP/1.1\r\nHost: a\r\nX: 1\n\nGET PATH/injected HTTP/1.1\r\nHost: a\r\n\r\n", cut=0)
def test_a_backend_gets_the_messages_that_the_clients_bytes_mean_or_fewer(
    gateway: Gateway, backend: Lane, sent: bytes, cut: int
) -> None:
    sent = sent.replace(PATH, backend.path)
    meant, malformed = judged(sent)
    with recording(backend) as recorder:
        with gateway.client() as client:
            client.try_send(sent[:cut])
            client.try_send(sent[cut:])
            _read_answers(client, len(meant))
            if malformed:
                with suppress(Cut, Late):
                    client.read_to_end(within_s=0.2)
        with gateway.client() as client:  # behind it, nothing is under way any more
            client.send(get(backend.path + b"/sentinel"))
            assert client.read_response().status == 200

    reached = [
        one for kept in recorder.received for one in judged(bytes(kept))[0] if b"/sentinel" not in one[1]
    ]
    for kept in recorder.received:
        assert not judged(bytes(kept))[1], f"malformed bytes reached the backend: {bytes(kept)!r}"
    allowed = [(method, _origin_form(target), content) for method, target, content in meant]
    assert _are_among(reached, allowed), f"{reached} reached the backend; {meant} were sent"


def _origin_form(target: bytes) -> bytes:
    return b"/" + target.split(b"/", 3)[3] if target.startswith(b"http://") else target


def _are_among(reached: list[Meaning], allowed: list[Meaning]) -> bool:
    """Whether every message of *reached* is one of *allowed*, each used once."""
    left = list(allowed)
    for one in reached:
        if one not in left:
            return False
        left.remove(one)
    return True
