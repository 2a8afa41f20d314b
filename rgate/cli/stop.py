"""What ends rgate before or instead of its work."""

from dataclasses import dataclass


@dataclass(eq=False)  # not frozen: Python notes on it what it passes
class Stop(Exception):
    """rgate cannot run. *message* is one line, and says what to do."""

    message: str
