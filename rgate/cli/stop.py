"""What ends rgate before or instead of its work."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop(Exception):
    """rgate cannot run. *message* is one line, and says what to do."""

    message: str
