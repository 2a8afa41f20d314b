"""How fresh what rgate knows of containers is (behaviour 9)."""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

DEFAULT_SOURCE: Final = "docker"
"""The name of the one source that is asked where none is configured."""


class Connection(Enum):
    """Whether a source answers. The value is what users read."""

    CONNECTED = "connected"
    AWAY = "away"  # it did, and does not now
    NEVER = "never"  # it has not, since rgate started


class Events(Enum):
    """How changes become known. The value is what users read."""

    LIVE = "live"
    POLLED = "polled"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of one source's own state at one moment."""

    source: str = DEFAULT_SOURCE
    docker: Connection = Connection.NEVER
    since: float = 0.0  # when that began, in Unix seconds
    last_list_s: float | None = None  # how long ago the last full list was, in seconds; None: there was none
    events: Events = Events.BROKEN
    generation: int = 0  # grows with each change of what backends may use, and of why not
    version: str = ""  # of who answers
    error: str = ""  # what went wrong, where it does not answer
    last_event: float | None = None  # when the last event came, in Unix seconds; None: none has


def stale_since(since: float, who: str = "Docker") -> str:
    """Return a sentence for what rests on a source that has not answered *since*, in Unix seconds."""
    return f"{who} has not answered since {_utc(since)}, so this is as of then."


def _utc(unix_s: float) -> str:
    """Return a time as `2025-11-26 14:03:12 UTC`."""
    days, second = divmod(int(unix_s), 86400)
    day = date.fromordinal(date(1970, 1, 1).toordinal() + days)
    return f"{day} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} UTC"
