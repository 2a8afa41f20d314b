"""Load that wrk cannot send: requests in segments, HEAD, and messages through a tunnel."""

import contextlib
import select
import socket
import time

from bench.load import Answered, Load, LoadFailed

# Before the content: by then a gateway has read the heads of all connections, each by itself. Without it
# most heads would be read together with their content, as its core is busier than that of the load.
PAUSE_S = 0.0006


class _Asker:
    """A connection that asks again as soon as it is answered."""

    def __init__(self, load: Load, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * load.content_bytes + 65536)
        self.began_s = 0.0
        self.received = b""

    def open(self, load: Load, port: int) -> None:
        """Open the tunnel."""
        for piece in load.opening(port):
            self.socket.sendall(piece)
        opened = self.socket.recv(65536)
        if not (opened.startswith(b"HTTP/1.1 101 ") and opened.endswith(b"\r\n\r\n")):
            raise LoadFailed(f"no tunnel: {opened[:200]!r}")


def run(load: Load, port: int, seconds: float) -> Answered:
    """Ask for *seconds* in this process. Raises LoadFailed where any answer was wrong."""
    first, *rest = load.repeated(port)
    latencies_s: list[float] = []
    with contextlib.ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        askers = {}
        for _ in range(load.connections):
            asker = _Asker(load, port)
            stack.enter_context(asker.socket)
            if load.message:
                asker.open(load, port)
            askers[asker.socket.fileno()] = asker
            poll.register(asker.socket, select.EPOLLIN)
        answered = list(askers.values())
        began_s = now_s = time.perf_counter()
        while now_s < began_s + seconds:
            for asker in answered:
                asker.began_s = now_s
                asker.socket.sendall(first)
            for piece in rest:
                time.sleep(PAUSE_S)
                for asker in answered:
                    asker.socket.sendall(piece)
            ready = poll.poll(1)
            now_s = time.perf_counter()
            answered = [askers[number] for number, _ in ready if _receives(askers[number], load)]
            latencies_s += [now_s - asker.began_s for asker in answered]
    if not latencies_s:
        raise LoadFailed("not one answer")
    latencies_s.sort()
    p99_ms = latencies_s[int(len(latencies_s) * 0.99)] * 1000
    return Answered(len(latencies_s), now_s - began_s, p99_ms)


def _receives(asker: _Asker, load: Load) -> bool:
    """Read what is there; return whether the answer is whole. Raises LoadFailed where it is wrong."""
    data = asker.socket.recv(65536)
    asker.received += data
    if data and not load.is_answered(asker.received):
        return False
    received, asker.received = asker.received, b""
    if not data or not load.is_right(received):
        raise LoadFailed(f"{received[:200]!r}")
    return True
