"""The last events of a timeline with when they came, for who looks again and again (behaviour 10.live)."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from rgate.core.timeline import TimelineEvent
from rgate.telling.timeline import Timeline

_MOST: Final = 200


class Recent:
    """Takes the events of *timeline* as they come. Any thread may call. *now_ns*: as `time.monotonic_ns`."""

    def __init__(self, timeline: Timeline, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._now_ns = now_ns
        # Held from the moment that is noted up to the append: who looks then misses none of before.
        self._lock = threading.Lock()
        self._events: deque[tuple[int, TimelineEvent]] = deque(maxlen=_MOST)
        timeline.subscribe(self._add)

    def _add(self, event: TimelineEvent) -> None:
        with self._lock:
            self._events.append((self._now_ns(), event))

    def between(self, since_ns: int, until_ns: int) -> list[TimelineEvent]:
        """Return what came after *since_ns* and up to *until_ns*, which is past, oldest first."""
        with self._lock:
            return [event for at_ns, event in self._events if since_ns < at_ns <= until_ns]
