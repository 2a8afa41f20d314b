"""`serve --replace`: an rgate between the one whose place it takes, and the one that takes its own (behaviour
8).

Both meet at a Unix socket in a directory that only their user may enter, under a name that comes of the
addresses that they listen on. What they say: core/succession.py.
"""

import contextlib
import hashlib
import json
import logging
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rgate.cli.listening import shown
from rgate.cli.starter import Starter, described
from rgate.cli.stop import Stop
from rgate.core.passed_on import why_not
from rgate.core.succession import (
    DESCRIPTORS,
    LONGEST,
    Listeners,
    Message,
    What,
    message_of,
    packet,
    packets_for,
    why_not_these,
)
from rgate.telling.siblings import is_ours, peer

log = logging.getLogger("rgate")

_ANSWER_WITHIN_S: Final = 5.0
"""An rgate answers at once, but for one that is just reading a new configuration."""

_TOLD_WITHIN_S: Final = 1.0
"""Who asks says the next message at once; a supervisor looks after nobody meanwhile."""

_BACKLOG: Final = 8
_PAUSE_S: Final = 0.1


class Predecessor:
    """The rgate that listens on *addresses*. Raises Stop where it cannot be replaced, and goes on then."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        try:
            self._place = _place(addresses)
        except OSError as error:
            raise Stop(f"cannot look for an rgate to replace: {error.strerror or error}") from error
        self.pid = 0
        self.listeners: list[socket.socket] = []
        with self._asked() as connection:
            self.pid = peer(connection).pid
            number = _say(connection, What.LISTENERS, What.HERE).number
            try:
                self._take(connection, number)
            except BaseException:
                self.close()
                raise

    def leave(self) -> None:
        """Let it end: all that it listens on is accepted here. Raises Stop where that is not certain."""
        try:
            with self._asked() as connection:
                if peer(connection).pid != self.pid:
                    raise Stop(f"{self._who} was replaced by another meanwhile, which goes on; try again")
                _say(connection, What.LEAVE, What.LEAVING)
                connection.send(packet(Message(What.GO)))
        except _NobodyError:
            log.info("%s had ended already", self._who)

    def close(self) -> None:
        """Close what it gave: it listens there by itself."""
        for listener in self.listeners:
            listener.close()

    @property
    def _who(self) -> str:
        return f"the rgate that listens on {', '.join(self._addresses)}" + (
            f" (process {self.pid})" if self.pid else ""
        )

    @contextlib.contextmanager
    def _asked(self) -> Iterator[socket.socket]:
        """Open a connection to it, and turn what goes wrong there into Stop. Raises _NobodyError."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_ANSWER_WITHIN_S)
            try:
                connection.connect(str(self._place))
            except (FileNotFoundError, ConnectionRefusedError):
                raise _NobodyError from None
            except OSError as error:
                raise Stop(
                    f"cannot ask for an rgate to replace at {self._place}: {error.strerror or error}; let "
                    "TMPDIR name a directory with a short path that this user may enter"
                ) from error
            if not is_ours(connection):
                raise Stop(self._goes_on(f"is of user {peer(connection).user}; start this one as that user"))
            try:
                yield connection
            except ValueError as error:
                raise Stop(self._goes_on(str(error))) from error
            except OSError as error:
                why = "does not answer" if isinstance(error, TimeoutError) else f"broke off: {error.strerror}"
                raise Stop(self._goes_on(why)) from error

    def _goes_on(self, why: str) -> str:
        return f"{self._who} {why}; it was not replaced"

    def _take(self, connection: socket.socket, number: int) -> None:
        """Take *number* listeners. Raises ValueError and OSError."""
        got: list[str | None] = []
        for indexes in packets_for(number):
            data, descriptors, flags, _ = socket.recv_fds(connection, 1, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            for descriptor in descriptors:
                got.append(self._kept(descriptor))
            if not data or len(descriptors) != len(indexes) or flags & socket.MSG_CTRUNC:
                raise ValueError("gave fewer listeners than it has; is the limit on open files too low?")
        if (why := why_not_these(self._addresses, got)) is not None:
            raise ValueError(why)

    def _kept(self, descriptor: int) -> str | None:
        """Keep *descriptor*, and return where it listens; None: it is no listener on TCP, and closed."""
        try:
            listener = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            return None
        self.listeners.append(listener)
        return shown(listener) if why_not(described(descriptor, "", listener)) is None else None


class _NobodyError(Exception):
    """No rgate of this user listens there, or not yet, or not any more."""


def predecessor(addresses: Sequence[str]) -> Predecessor | None:
    """Return the rgate that listens on *addresses*, as `shown` tells them; None: nobody. Raises Stop."""
    if not hasattr(socket, "SO_PEERCRED"):
        raise Stop("--replace needs SO_PEERCRED, which this system does not have; leave the option out")
    try:
        return Predecessor(addresses)
    except _NobodyError:
        return None


class Place:
    """Where the next rgate asks this one for its *listeners*. Raises OSError where there can be none."""

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        # Several of them may be one socket, which several workers accept from.
        self._listeners = list({os.fstat(one.fileno()).st_ino: one for one in listeners}.values())
        self._path = _place(sorted({shown(listener) for listener in listeners}))
        self._is_closed = False
        self._giving = threading.Lock()
        self.gave = False  # its listeners to whoever asked
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Under another name first: the one that listened here before, or died, may still have its own there.
        own = self._path.with_suffix(f".{os.getpid()}")
        own.unlink(missing_ok=True)
        self.socket.bind(str(own))
        self.socket.listen(_BACKLOG)
        self._inode = own.stat().st_ino
        own.rename(self._path)

    def answer(self) -> int | None:
        """Wait for who asks next, and answer. Returns the pid of who takes this one's place, if it does.

        Raises OSError once it is closed.
        """
        connection, _ = self.socket.accept()
        with connection:
            connection.settimeout(_TOLD_WITHIN_S)
            # Who asks and goes, or says what is none of ours, changes nothing.
            with contextlib.suppress(OSError, ValueError):
                if is_ours(connection):
                    return self._talk(connection)
        return None

    def _talk(self, connection: socket.socket) -> int | None:
        said = _heard(connection).what
        if said is What.LISTENERS and self._gives():
            connection.send(packet(Message(What.HERE, len(self._listeners))))
            for indexes in packets_for(len(self._listeners)):
                socket.send_fds(connection, [b"\0"], [self._listeners[index].fileno() for index in indexes])
        elif said is What.LEAVE and _say(connection, What.LEAVING, What.GO):
            return peer(connection).pid
        return None

    def _gives(self) -> bool:
        with self._giving:
            self.gave = self.gave or not self._is_closed
            return not self._is_closed

    def close(self, *, is_succeeded: bool) -> None:
        """Answer nobody any more. *is_succeeded*: another is about to put its own in this place."""
        with self._giving:
            self._is_closed = True
        with contextlib.suppress(OSError):
            # Who succeeds may put its own there between this look and the unlink.
            if not is_succeeded and self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # who waits in `accept` is woken
        self.socket.close()


def _place(addresses: Sequence[str]) -> Path:
    """Return where the rgate is asked that listens on *addresses*. Raises OSError."""
    directory = Path(tempfile.gettempdir()) / f"rgate.{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(0, f"{directory} is no directory that only this user may enter; take it away")
    # The same address in another network namespace is another place.
    network = os.stat("/proc/self/ns/net").st_ino
    of = json.dumps([network, *sorted(addresses)]).encode()
    return directory / hashlib.sha256(of).hexdigest()[:16]


def _say(connection: socket.socket, what: What, then: What) -> Message:
    """Say *what*, and return what is said to it, which is *then*. Raises ValueError and OSError."""
    connection.send(packet(Message(what)))
    message = _heard(connection)
    if message.what is not then:
        raise ValueError("said what was not asked")
    return message


def _heard(connection: socket.socket) -> Message:
    return message_of(connection.recv(LONGEST))


class Succession:
    """An rgate that listens on *listeners*, between the *predecessor* and whoever comes behind it."""

    def __init__(
        self, listeners: Sequence[socket.socket], predecessor: Predecessor | None, starter: Starter
    ) -> None:
        self._listeners = listeners
        self._predecessor = predecessor
        self._starter = starter
        self._place: Place | None = None
        self._serves = False  # for whoever started this
        self._others = Listeners.HELD if predecessor is not None or starter.listeners else Listeners.CLOSED

    @property
    def takes_over(self) -> bool:
        """Whether another serves as long as this one does not."""
        return self._predecessor is not None

    def begin(self) -> None:
        """Take it that all is accepted here. Raises Stop where the predecessor stays."""
        of_main = [f"MAINPID={os.getpid()}"] if self._predecessor is not None else []
        if self._predecessor is not None:
            self._predecessor.leave()
            self._predecessor = None  # it serves no longer: a worker that starts from now on is all there is
        if hasattr(socket, "SO_PEERCRED"):
            try:
                self._place = Place(self._listeners)
            except OSError as error:
                # A container may well have no directory for it; who looks for one here is told.
                log.debug("`serve --replace` will not find this rgate: %s", error.strerror or error)
        self._serves = True
        self._starter.tell("READY=1", *of_main)

    @property
    def sockets(self) -> list[socket.socket]:
        """Where the next rgate asks: `answer` does, once one of these can be read."""
        return [self._place.socket] if self._place is not None else []

    def answer(self) -> bool:
        """Answer who asks next; whether that one takes this one's place. It is to end then, as at SIGTERM."""
        place = self._place
        if place is None:
            return False
        try:
            pid = place.answer()
        except OSError:  # closed, or no descriptors are left
            time.sleep(_PAUSE_S)
            return False
        if pid is not None:
            self._serves = False
            self._others = Listeners.SUCCEEDED
            log.info("replaced by the rgate of process %d; what is under way here has its time", pid)
            self._starter.tell(f"MAINPID={pid}")
        return pid is not None

    def answer_beside(self, replaced: Callable[[], object]) -> None:
        """Answer in a thread, and call *replaced* there once another took this one's place."""

        def answer_all() -> None:
            while self._place is not None:
                if self.answer():
                    replaced()
                    return

        threading.Thread(target=answer_all, name="rgate-succession", daemon=True).start()

    def end(self) -> Listeners:
        """Take it that nothing more is accepted here; return what becomes of the listeners."""
        if self._place is not None:
            place, self._place = self._place, None
            place.close(is_succeeded=self._others is Listeners.SUCCEEDED)
            if place.gave and self._others is Listeners.CLOSED:
                self._others = Listeners.HELD
        if self._serves:
            self._serves = False
            self._starter.tell("STOPPING=1")
        return self._others
