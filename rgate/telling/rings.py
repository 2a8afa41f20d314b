"""The last requests, and apart the last that failed: what is kept of them, in bounded memory (behaviour 9).

Nothing is worked out before somebody asks. What keeps a story on the path of nearly all requests is the
`append` of a deque, as a call of Python code would cost more than all else that it takes.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rgate.core.gateway import Snapshot
from rgate.core.knowledge import Knowledge
from rgate.core.record import Record, Whole, record_of_whole, short_record
from rgate.core.story import Story, story_of
from rgate.core.story_query import MOST_STORIES, StoryQuery
from rgate.telling.past_views import PastViews

_LONGEST_DETAIL: Final = 2000


@dataclass(frozen=True, slots=True)
class _Kept:
    """A record, and how old the last full list of containers was then; None: that was not looked at."""

    record: Record
    docker_age_s: float | None
    kept_ns: int = 0  # since when, by the clock of the rings, of one that failed


class Rings:
    """Takes what ended, and tells of it. Any thread may call.

    *knowledge* tells how fresh what is known of containers is. *now* is the wall clock in seconds since the
    epoch, *now_ns* that of `time.monotonic_ns`.
    """

    def __init__(
        self,
        knowledge: Callable[[], Sequence[Knowledge]],
        *,
        now: Callable[[], float] = time.time,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._last: deque[_Kept | Whole] = deque(maxlen=MOST_STORIES)
        self._failed: deque[_Kept] = deque(maxlen=MOST_STORIES)
        # Held from the moment that is noted up to the append: who looks then misses none of before.
        self._keeping = threading.Lock()
        self._knowledge = knowledge
        self._views = PastViews()
        self._asked: Mapping[str, Sequence[str]] = {}  # the sources of each backend, by their names
        self._now, self._now_ns = now, now_ns
        self.keep: Callable[[Whole], object] = self._last.append

    def add(self, record: Record) -> None:
        """Take *record*. Never raises."""
        age_s = self._age_s(record.backend) if record.has_failed else None
        record_short = _short(record)
        if not record.has_failed:
            self._last.append(_Kept(record_short, age_s))
            return
        with self._keeping:
            kept = _Kept(record_short, age_s, self._now_ns())
            self._last.append(kept)
            self._failed.append(kept)

    def note(self, snapshot: Snapshot) -> None:
        """Take *snapshot*, which is in force now: who is a candidate, for the stories to come."""
        self._views.note(snapshot)
        self._asked = {
            backend.name: snapshot.config.sources_of(backend) for backend in snapshot.config.backends
        }

    @property
    def counts(self) -> tuple[int, int]:
        """How many requests are kept, and how many that failed."""
        return len(self._last), len(self._failed)

    def records(self, query: StoryQuery) -> list[Record]:
        """Return what *query* asks for, the newest first."""
        return [kept.record for kept in self._found(query)]

    def failures(self, since_ns: int, until_ns: int, most: int) -> tuple[int, list[Record]]:
        """Return how many failures came after *since_ns* and up to *until_ns*, and the first *most* of them.

        Times are of the rings' clock, and past. Of more than are kept, so many are known.
        """
        with self._keeping:
            found = list(itertools.takewhile(lambda kept: kept.kept_ns > since_ns, reversed(self._failed)))
        came = [kept.record for kept in reversed(found) if kept.kept_ns <= until_ns]
        return len(came), came[:most]

    def stories(self, query: StoryQuery) -> list[Story]:
        """Return the stories that *query* asks for, the newest first."""
        return [self._story(kept) for kept in self._found(query)]

    def _found(self, query: StoryQuery) -> Iterator[_Kept]:
        left = query.limit
        for kept in self._all(failed=query.failed, older_ones=query.id is not None):
            if left and query.wants(kept.record):
                left -= 1
                yield kept

    def _all(self, *, failed: bool, older_ones: bool) -> Iterable[_Kept]:
        """Return what is kept, newest first. *older_ones*: those too that only failed ones are as old as."""
        failures = [*reversed(self._failed.copy())]  # copied at once, as others add meanwhile
        if failed:
            return failures
        wall_s = self._now() - self._now_ns() / 1e9
        last = [_read(kept, wall_s) for kept in reversed(self._last.copy())]
        if not older_ones:
            return last
        known = {id(kept) for kept in last}
        return [*last, *(kept for kept in failures if id(kept) not in known)]

    def story(self, record: Record) -> Story:
        """Return the story of the request that *record* is of, which ends now and need not be kept."""
        return self._story(_Kept(_short(record), self._age_s(record.backend)))

    def _story(self, kept: _Kept) -> Story:
        record, age_s = kept.record, kept.docker_age_s
        if age_s is None and not record.has_failed:
            age_s = self._age_s(record.backend, before_s=(self._now_ns() - record.ended_ns) / 1e9)
        then = self._views.then(record.backend, record.generation) if record.backend else ()
        return story_of(record, then, age_s)

    def _age_s(self, backend: str, *, before_s: float = 0.0) -> float | None:
        """Return how old the oldest of the last full lists that *backend* rests on was *before_s* ago; None
        where one came later, or there was none.
        """
        asked = self._asked.get(backend, ())
        ages = [
            one.last_list_s
            for one in self._knowledge()
            if one.source in asked and one.last_list_s is not None
        ]
        return max(ages) - before_s if ages and min(ages) >= before_s else None


def _read(kept: "_Kept | Whole", wall_s: float) -> _Kept:
    """Return *kept* as a record. *wall_s*: what the wall clock is ahead of the other by."""
    if isinstance(kept, _Kept):
        return kept
    return _Kept(_short(record_of_whole(kept, wall_s + kept[0] / 1e9)), None)


def _short(record: Record) -> Record:
    if len(record.detail) > _LONGEST_DETAIL:
        record = record._replace(detail=record.detail[:_LONGEST_DETAIL] + "…")
    if record.span is not None:  # it is for who exports it
        record = record._replace(span=None)
    return short_record(record)
