"""How many descriptors this process may have open (getrlimit(2), RLIMIT_NOFILE)."""

import contextlib
import logging
import resource
from typing import Final

from rgate.core.config import Config
from rgate.core.room import told_of_room

log = logging.getLogger("rgate")

# Where there is no limit: as many as nobody needs.
_NO_LIMIT: Final = 1 << 30


def most_descriptors() -> int:
    """Return how many it may have now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if 0 <= soft < _NO_LIMIT else _NO_LIMIT


def raise_limit() -> int:
    """Let it have as many as may be, up to the hard limit; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS allows fewer than its hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return most_descriptors()


def tell_room(config: Config, workers: int, descriptors: int) -> None:
    """Tell of the room that there is, where it is less than *config* asks for."""
    said = told_of_room(config.limits.connections, workers, descriptors, len(config.asked_sources))
    if said:
        log.warning("%s", said)
