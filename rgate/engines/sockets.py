"""What the kernel tells of connections beyond their bytes."""

import contextlib
import fcntl
import select
import struct
import termios
from typing import Final

BROKEN: Final = select.POLLHUP | select.POLLERR
ENDED: Final = getattr(select, "POLLRDHUP", 0) | BROKEN
"""The event of a connection whose other end sends no more, whether or not all that it sent was read."""


def poll(wanted: dict[int, int], within_s: float) -> dict[int, int]:
    """Return the events on descriptors, of those *wanted* and of their ends, as soon as there is any."""
    looked_at = select.poll()
    for descriptor, events in wanted.items():
        if events and descriptor >= 0:
            looked_at.register(descriptor, events)
    return dict(looked_at.poll(max(within_s, 0) * 1000))


def untaken_bytes(descriptor: int) -> int:
    """Return how much of what the kernel has to send on *descriptor* the other end has not taken.

    The room for more grows in large steps, a third of a buffer of megabytes: between two of them only this
    shows that somebody reads (tcp(7), SIOCOUTQ, which is TIOCOUTQ by another name).
    """
    with contextlib.suppress(OSError, ValueError):  # it has ended, or the system does not tell
        return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])
    return 0


def is_itself(here: object, there: object) -> bool:
    """Whether a connection has its own address, *here*, at its other end too; None: it is not known.

    Nobody listens there, then: of the ports that it gives, the system gave it the very one that it asked for
    (those that Docker publishes are among them). It would read its own request as the response.
    """
    return here is not None and here == there
