"""What a process of rgate knows of itself: how it was started, what happened, what is under way."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rgate.core.candidates import Candidate
from rgate.core.commands import PROGRAM
from rgate.core.container_level import Since
from rgate.telling.timeline import Timeline

UnderWay = Callable[[], Mapping[tuple[str, Candidate], int]]
"""How many requests each candidate of a backend, by its name, is asked for now."""


@dataclass(frozen=True, slots=True)
class Started:
    """How rgate was started; "" where that is for another server to say."""

    version: str = ""
    listen: str = ""  # addresses with their port, as people read them
    engine: str = ""
    workers: int = 1
    config_path: str = ""
    url: str = ""  # where the first address is asked
    program: str = PROGRAM  # what is typed to start it


class Process:
    """One of rgate's processes."""

    def __init__(self, timeline: Timeline, started: Started = Started()) -> None:
        self.timeline = timeline
        self.started = started
        self._under_way: UnderWay = Counter
        self._since: Callable[[], Since] = dict

    def knows(self, since: Callable[[], Since]) -> None:
        """Take it that *since* tells when containers came in or went out."""
        self._since = since

    def since(self) -> Since:
        """Return when each container came in or went out, as this process knows it."""
        return self._since()

    def serves(self, under_way: UnderWay) -> None:
        """Take it that an engine serves from now on, of which *under_way* tells."""
        self._under_way = under_way

    def under_way(self) -> Mapping[tuple[str, Candidate], int]:
        """Return how many requests each candidate is asked for now, in this process."""
        return self._under_way()
