"""What one worker asks all workers of its rgate, and how each answers (behaviour 9.http.workers).

Each worker answers on a Unix socket in a directory that only their user may enter. A question is one
connection with one frame each way: a length of four bytes, and JSON. Nobody waits for long: who hangs, died
or is just being replaced is missing from the answers. The supervisor made the sockets and keeps them, so that
a worker in the place of one that died answers at the same path.

A process that wants to be asked too, such as the supervisor, needs a socket there and nothing else; one
without threads can serve its connections by `answer_on`.
"""

import contextlib
import errno
import json
import logging
import os
import selectors
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

log = logging.getLogger("rgate")

ANSWER_WITHIN_S: Final = 1.0
LONGEST_FRAME: Final = 16 << 20
"""In bytes. What is longer is not sent: who asks limits what it asks for."""

LONGEST_QUESTION: Final = 1 << 17
"""In bytes. It has to go out at once, so it has to find room in a socket's buffer."""

_LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group (unix(7))
_PIECE_BYTES: Final = 1 << 18
_BACKLOG: Final = 128
_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_S: Final = 0.1

Function = Callable[[Mapping[str, Any]], Any]
"""Takes the arguments of a question, gives a JSON value. Any thread may call it, several at once."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the workers said to one question: the own answer first, the others in no order."""

    values: list[Any]
    missing: int  # so many workers did not answer in time


class Siblings(Protocol):
    """All workers of one rgate, this one among them. Any thread may call."""

    @property
    def place(self) -> str:
        """Which of them this is; another that comes in its place has the same."""

    @property
    def directory(self) -> Path | None:
        """Where all of them may write, as long as rgate lives; None: there is one only."""

    def answer(self, question: str, function: Function) -> None:
        """Let *function* answer *question*, whichever worker asks."""

    def ask(self, question: str, arguments: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> Answers:
        """Return what all workers answer to *question*; the own function is called directly.

        *arguments* and answers are JSON values: what comes from elsewhere has lists where tuples were. Takes
        *within_s* at most, but for the own function. Raises what that raises, KeyError where none answers
        *question*, and ValueError where *arguments* are too long.
        """


class Alone:
    """The only process of its rgate."""

    place: str = "0"
    directory: Path | None = None

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def answer(self, question: str, function: Function) -> None:
        """Let *function* answer *question*."""
        self._functions[question] = function

    def ask(self, question: str, arguments: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> Answers:
        """Return the own answer."""
        del within_s  # nobody is waited for
        return Answers([self._functions[question](arguments)], 0)


class Worker:
    """One of several: it answers on *listener*, a Unix socket, and asks at the paths of the *others*."""

    def __init__(self, listener: socket.socket, others: Sequence[str]) -> None:
        self._listener = listener
        self._others = tuple(others)
        own = Path(listener.getsockname())
        self.place: str = own.name
        self.directory: Path | None = own.parent
        self._functions: dict[str, Function] = {}

    def answer(self, question: str, function: Function) -> None:
        """Let *function* answer *question*."""
        self._functions[question] = function

    def ask(self, question: str, arguments: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> Answers:
        """Return what all answer: the others at once, and beside the own answer."""
        until_s = time.monotonic() + within_s
        frame = _frame({"question": question, "arguments": arguments}, LONGEST_QUESTION)
        own = self._functions[question]
        with contextlib.ExitStack() as opened:
            waiting = [one for path in self._others if (one := _asked(path, frame, opened)) is not None]
            values = [own(arguments), *_answers(waiting, until_s)]
        return Answers(values, 1 + len(self._others) - len(values))

    def serve(self) -> None:
        """Answer the others from now on, until the listener is shut down or the process ends."""
        self._listener.setblocking(True)
        threading.Thread(target=self._serve, name="rgate-siblings", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_DESCRIPTORS:
                    return
                time.sleep(_PAUSE_S)
                continue
            # A thread for each: one that asks and then hangs must not keep the others waiting.
            answering = threading.Thread(
                target=answer_on, args=(connection, self._functions), name="rgate-sibling", daemon=True
            )
            try:
                answering.start()
            except RuntimeError:  # the system gives no more threads: who asked counts us as missing
                connection.close()


def answer_on(connection: socket.socket, functions: Mapping[str, Function]) -> None:
    """Answer the question that comes on *connection* by one of *functions*, and close it. Never raises.

    Who is not of our user, asks what nobody answers, or is too slow, gets no answer.
    """
    until_s = time.monotonic() + ANSWER_WITHIN_S
    with connection:
        try:
            if not is_ours(connection):
                return
            asked = _question(connection, until_s)
            function = functions.get(asked["question"])
            if function is not None:
                frame = _frame({"value": function(asked["arguments"])})
                connection.settimeout(max(until_s - time.monotonic(), _PAUSE_S))
                connection.sendall(frame)
        except OSError:
            pass  # it waits no more
        except Exception:
            log.exception("a question of another worker was not answered")


@contextlib.contextmanager
def meeting_places(number: int) -> Iterator[list[socket.socket]]:
    """Listen on *number* Unix sockets in a new directory that only this user may enter. Raises OSError.

    The directory is removed at the end; one that is left over by a process that was killed is harmless.
    """
    with contextlib.ExitStack() as opened:
        directory = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="rgate-", ignore_cleanup_errors=True)
        )
        places: list[socket.socket] = []
        for place in range(number):
            listener = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(os.path.join(directory, str(place)))
            listener.listen(_BACKLOG)
            places.append(listener)
        yield places


def _asked(path: str, frame: bytes, opened: contextlib.ExitStack) -> socket.socket | None:
    """Return a connection to who answers at *path*, on which *frame* was sent; None where nobody takes it."""
    connection = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    # One that hangs takes no connection once its queue is full: that is known at once.
    connection.setblocking(False)
    try:
        connection.connect(path)
        if is_ours(connection) and connection.send(frame) == len(frame):
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _answers(waiting: Sequence[socket.socket], until_s: float) -> Iterator[Any]:
    """Yield what comes on the connections *waiting*, in the order in which it is whole, up to *until_s*."""
    received = {connection: bytearray() for connection in waiting}
    with selectors.DefaultSelector() as selector:
        for connection in waiting:
            selector.register(connection, selectors.EVENT_READ, connection)
        # Behind that time too, what is there already is taken: it is the own answer that took so long.
        while selector.get_map() and (ready := selector.select(max(until_s - time.monotonic(), 0.0))):
            for key, _ in ready:
                try:
                    if (frame := _whole_frame(key.data, received[key.data])) is None:
                        continue
                    yield json.loads(frame)["value"]
                except (OSError, ValueError, TypeError, LookupError):
                    pass  # no answer, or none of ours
                selector.unregister(key.data)


def _whole_frame(connection: socket.socket, received: bytearray) -> bytearray | None:
    """Add what came on *connection* to *received*, and return the document once it is whole; None before.

    Raises OSError where nothing more comes, and ValueError where it is too long.
    """
    piece = connection.recv(_PIECE_BYTES)
    if not piece:
        raise ConnectionResetError("it ended before its frame did")
    received += piece
    if len(received) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(received)
    if length > LONGEST_FRAME:
        raise ValueError(f"a frame of {length} bytes")
    end = _LENGTH.size + length
    return received[_LENGTH.size : end] if len(received) >= end else None


def _frame(document: Mapping[str, Any], longest: int = LONGEST_FRAME) -> bytes:
    """Return *document* as it is sent. Raises ValueError where it is too long."""
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    if len(text) > longest:
        raise ValueError(f"{len(text)} bytes are more than workers tell each other, {longest}")
    return _LENGTH.pack(len(text)) + text


def _question(connection: socket.socket, until_s: float) -> Any:
    """Return the document that comes on *connection*. Raises OSError and ValueError."""
    received = bytearray()
    frame = None
    while frame is None:
        connection.settimeout(max(until_s - time.monotonic(), 0.001))
        frame = _whole_frame(connection, received)
    return json.loads(frame)


def is_ours(connection: socket.socket) -> bool:
    """Whether the other end is of our user; where the system does not tell, the directory's mode holds."""
    return not hasattr(socket, "SO_PEERCRED") or peer(connection).user == os.geteuid()


class Peer(NamedTuple):
    """The process at the other end of a Unix socket: the one that connected, or that listens."""

    pid: int  # 0: it has none in this namespace
    user: int
    group: int


def peer(connection: socket.socket) -> Peer:
    """Return who is at the other end of *connection*."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(credentials))
