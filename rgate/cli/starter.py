"""Whoever started rgate, such as systemd: it may pass on listeners, and is told how it goes (behaviour 8)."""

import contextlib
import logging
import os
import socket

from rgate.cli.stop import Stop
from rgate.core.passed_on import FIRST, VARIABLES, PassedOn, names_of, why_not

log = logging.getLogger("rgate")

_WAIT_S = 1.0
"""It has nothing else to do than to read what it is told."""


class Starter:
    """Takes what the environment holds for rgate, and out of it: it is meant for no other. Raises Stop."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        environment = {name: value for name in VARIABLES if (value := os.environ.pop(name, None)) is not None}
        try:
            names = names_of(environment, os.getpid())
        except ValueError as error:
            raise Stop(f"cannot take listeners over: {error}") from error
        self.listeners = [_listener(number, name) for number, name in enumerate(names, FIRST)]
        """Those that were passed on, in their order."""

    def tell(self, *assignments: str) -> None:
        """Tell of *assignments*, such as `READY=1` (sd_notify(3)). Never raises; nobody may listen."""
        if self._address[:1] not in ("/", "@"):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_WAIT_S)
                # `@`: a name that is in no directory (unix(7), abstract).
                to = "\0" + self._address[1:] if self._address[0] == "@" else self._address
                sender.sendto("\n".join(assignments).encode(), to)
        except (OSError, ValueError) as error:
            log.warning("NOTIFY_SOCKET %r takes nothing: %s", self._address, error)


def _listener(number: int, name: str) -> socket.socket:
    """Return the listener that was passed on as the descriptor *number*. Raises Stop."""
    listener: socket.socket | None = None
    with contextlib.suppress(OSError):
        listener = socket.socket(fileno=number)
    if (why := why_not(described(number, name, listener))) is not None:
        raise Stop(f"cannot listen: {why}")
    assert listener is not None  # noqa: S101 - for the types alone
    listener.set_inheritable(False)
    return listener


def described(number: int, name: str, listener: socket.socket | None) -> PassedOn:
    """Return what there is to know of a descriptor; *listener* None: it is no socket."""
    if listener is None:
        return PassedOn(number, name)
    return PassedOn(
        number,
        name,
        getattr(listener.family, "name", str(listener.family)),
        getattr(listener.type, "name", str(listener.type)),
        listens=bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
    )
