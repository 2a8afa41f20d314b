"""Counts in a live file now, in a database for good: the statistics that rgate runs with."""

import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import sqlalchemy as sa

from rgate.core.lately import Lately
from rgate.core.record import Counter, Record, RecordLog
from rgate.core.stats_query import Grouping
from rgate.stats.database import StatsError, engine_of, resolved
from rgate.stats.figures import Counted, Label, grouped_figures
from rgate.stats.histogram import Histogram
from rgate.stats.lifetime import Journal, Lifetime, Part, Told, lifetime_of, part_of
from rgate.stats.live_file import Arena, Counts, LiveFile, leftovers, set_aside, unfolded_of_others
from rgate.stats.over_time import OverTime
from rgate.stats.queries import SILENT_S, Answer, Queries
from rgate.stats.reading import EVER, History, Moment, Wanted, Window, first_minute
from rgate.stats.recorder import Recorder
from rgate.stats.running import Running
from rgate.stats.series import (
    ContainerFigures,
    Frame,
    OfMinute,
    RouteSeries,
    Series,
    by_container_of,
    frame_of,
    lately_of,
)
from rgate.stats.store import BrokenStoreError, Store, StoreUnavailableError, prepared, store_of

_log: Final = logging.getLogger("rgate")
# How the one database goes that all workers have: told by one of them.
_database_log: Final = logging.getLogger("rgate.database")


class Stats(RecordLog, Protocol):
    """Takes records, and gives their figures. Any thread may call; none of these raise.

    What `add` took is in whatever is asked for after it returned. A window of N minutes holds the
    present minute and the N before it: never less than asked for, and up to a minute more.
    """

    def counted(self, window_minutes: int | None = None) -> Counted:
        """Return what was counted in the window; None: in the whole lifetime, restarts included."""

    def series(self, window_s: int) -> Series:
        """Return the figures of the window over time, and of the window before.

        *window_s* is one of `series.STEPS_S`. The running bucket is exact, whatever worker counted.
        """

    def series_by_route(self, window_s: int) -> tuple[Series, dict[str, RouteSeries]]:
        """Return the same, and the figures of each route by its name; "" is the default response."""

    def by_container(self, window_s: int) -> dict[tuple[str, str], ContainerFigures]:
        """Return the figures of each (backend, container) in the buckets of `series`, by these names."""

    def lately(self, seconds: int = 900) -> Lately:
        """Return what a verdict needs to know of the last *seconds*: whole minutes, the last running."""

    def lifetime(self) -> Lifetime | None:
        """Return what the database said last of all that was counted ever; None: nothing yet.

        Nobody waits for it: it is asked again meanwhile.
        """

    def parts(self, folded: Mapping[str, int]) -> list[Part]:
        """Return what this process counted beyond what is *folded* by what the database said to who asks.

        It is asked for before the lifetime that it is added to.
        """

    def parts_of_others(self, but: Container[str]) -> list[Part]:
        """Return what others counted and have not folded, whose live files are here, *but* not these."""

    def close(self) -> None:
        """Store what was counted. What is added later is not kept."""


CLOSE_WITHIN_S: Final = 1.0
"""rgate has little time to end, and nothing is lost: the next start stores what was not."""


START_WITHIN_S: Final = 3.0
"""rgate waits for its database so long before it starts; one that is away is waited for meanwhile."""

FOLD_EVERY_S: Final = 1.0
"""What is counted is safe in the live file at once; whoever shortens that takes so much with it."""


def open_stats(
    database_url: str,
    *,
    state_dir: Path | None = None,
    now: Callable[[], float] = time.time,
    fold_every_s: float | None = FOLD_EVERY_S,
    must_work: bool = True,
) -> "LastingStats":
    """Return the statistics in the database at *database_url*, with what a killed rgate left over.

    The live file is beside a SQLite database, else in *state_dir* (default: `$XDG_STATE_HOME/rgate`).
    *now* gives seconds since the epoch. *fold_every_s* None: only `fold` folds, no thread does.
    Open in the process that counts: a process forked later must open its own.
    Raises StatsError, with one line that says what to do; unless the database *must_work*: it is told of and
    waited for then.
    """
    store = store_of(database_url) if must_work else Store(engine_of(database_url))
    try:
        prefix = live_prefix(sa.make_url(database_url), state_dir)
    except OSError as error:
        store.close()
        raise StatsError(
            f"The state directory cannot be made: {error}: set XDG_STATE_HOME to one."
        ) from error
    stats = LastingStats(store, prefix, now)
    stats.begin(partial(prepared, store, database_url), fold_every_s, must_work=must_work)
    return stats


def rest_s(every_s: float, took_s: float) -> float:
    """Return how long to wait behind a fold that took so long: what is lost with a live file is what was
    counted since, so one begins *every_s*; a database that is slow has a rest all the same.
    """
    return max(every_s - took_s, every_s / 4)


def live_prefix(url: sa.URL, state_dir: Path | None) -> Path:
    """Return what the names of live files begin with: one prefix a database. Raises OSError."""
    if url.get_backend_name() == "sqlite":
        return resolved(url.database or "")
    directory = (state_dir or _state_dir()).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    database = url.set(password=None).render_as_string()
    return directory / hashlib.sha256(database.encode()).hexdigest()[:16]


def _state_dir() -> Path:
    """Return where this user's programs keep what is to last (XDG Base Directory). Raises OSError."""
    if named := os.environ.get("XDG_STATE_HOME"):
        return Path(named) / "rgate"
    try:
        return Path.home() / ".local" / "state" / "rgate"
    except RuntimeError as error:
        raise FileNotFoundError("this user has no home") from error


class LastingStats:
    """The `Stats` on a live file and a store. Made by `open_stats`."""

    def __init__(self, store: Store, prefix: Path, now: Callable[[], float]) -> None:
        self._store = store
        self._prefix = prefix
        self._now = now
        self._told: set[str] = set()  # the troubles that were told of and last
        # Protects folding, which the thread and close() do. No request ever waits for it.
        self._folding = threading.Lock()
        self._live_file = self._new_live_file()
        self._recorder = Recorder(*(self._live_file.arenas if self._live_file else _in_memory()))
        self._leftovers: list[LiveFile] = []
        self._queries = Queries(store.read, self._read_failed, SILENT_S)
        self._stop = threading.Event()
        self._journal = Journal()
        self._told_settled, self._told_fresh = Told[Label](), Told[tuple[int, Label]]()
        self._over_time = OverTime()
        self._running = Running(self._now_minute())
        self._minute_done = -1
        self._thread: threading.Thread | None = None

    def begin(
        self, prepare: Callable[[], str], fold_every_s: float | None, *, must_work: bool = True
    ) -> None:
        """Let *prepare* make the database ready, and fold what others left; then, from time to time, what is
        counted: *fold_every_s* None: only `fold` does.

        *prepare* returns "", or why the database cannot be asked just now. It is waited for a moment, and
        goes on meanwhile. Raises its StatsError, if it comes in that time and it *must_work*, and is then
        closed.
        """
        refused: list[StatsError] = []
        first = threading.Thread(
            target=self._begin, args=(prepare, refused), name="rgate-stats-begin", daemon=True
        )
        first.start()
        first.join(START_WITHIN_S)
        if refused and not must_work:
            self._tell_of_database(str(refused[0]))
        elif refused:
            if self._live_file is not None:
                self._live_file.remove()
            self._store.close()
            raise refused[0]
        if first.is_alive():
            self._tell_of_database(f"it has not answered for {START_WITHIN_S:g} s")
        if fold_every_s is not None:
            self._thread = threading.Thread(
                target=self._fold_until_stopped, args=(fold_every_s,), name="rgate-stats", daemon=True
            )
            self._thread.start()

    def _begin(self, prepare: Callable[[], str], refused: list[StatsError]) -> None:
        with self._folding:
            try:
                passing = prepare()
            except StatsError as error:
                refused.append(error)
                return
            if passing:
                self._tell_of_database(passing)
                return
        self.fold()

    def add(self, record: Record) -> None:
        """Count *record*: some microseconds, never raises."""
        self._recorder.add(record)

    def counter(self, route: str, backend: str, container: str) -> Counter:
        """Return what counts whole responses of *container* to requests of *route*."""
        return self._recorder.counter(route, backend, container, self._now)

    def counted(self, window_minutes: int | None = None) -> Counted:
        """Return what was counted in the window, or ever."""
        return self._counted_since(window_minutes, first_minute(window_minutes, self._now_minute()))

    def series(self, window_s: int) -> Series:
        """Return the figures of the window over time, and of the window before."""
        frame = frame_of(window_s, self._now())
        return self._series(frame, self._ask(Wanted(history=True)))

    def series_by_route(self, window_s: int) -> tuple[Series, dict[str, RouteSeries]]:
        """Return the same, and the figures of each route."""
        frame = frame_of(window_s, self._now())
        asked = self._ask(Wanted(("series", window_s), frame.start // 60, history=True))
        history = asked.history()
        whole = self._series(frame, asked)
        totals = grouped_figures(asked.counted(("series", window_s), frame.start // 60), Grouping.ROUTE)
        return whole, self._over_time.by_route(frame, history, asked.unsettled(history.at), whole, totals)

    def _series(self, frame: Frame, asked: "_Asked") -> Series:
        history = asked.history()
        newer = asked.unsettled(history.at)
        ran = self._running.until(int(frame.now) // 60)
        series = self._over_time.series(frame, history, newer, ran)
        return replace(series, silent_s=asked.silent_s)

    def by_container(self, window_s: int) -> dict[tuple[str, str], ContainerFigures]:
        """Return the figures of each container."""
        first = frame_of(window_s, self._now()).start // 60
        return by_container_of(self._counted_since(("series", window_s), first).counts)

    def lately(self, seconds: int = 900) -> Lately:
        """Return what was counted lately."""
        first = self._now_minute() - seconds // 60 + 1
        counts = self._counted_since(("lately", seconds), first).counts
        return lately_of(counts, sum(latencies.count for _, latencies in self.counted().counts))

    def lifetime(self) -> Lifetime | None:
        """Return what the database said last of all that was counted ever."""
        window = self._queries.known(Wanted(None, EVER))
        if window is None:
            return None
        settled, at = self._told_settled.tallies(window.settled), window.at
        return lifetime_of(at.state.identity, at.folded, settled, self._told_fresh.tallies(at.fresh))

    def parts(self, folded: Mapping[str, int]) -> list[Part]:
        """Return what this process counted beyond what is *folded*."""
        # This first: what is folded in between is in the journal by then.
        unfolded = self._recorder.unfolded()
        return [
            *self._journal.since(folded),
            *(part_of(part.live_id, part.generation, part.counts) for part in unfolded),
        ]

    def parts_of_others(self, but: Container[str]) -> list[Part]:
        """Return what other processes counted and have not folded."""
        others = self._unfolded_of_others()
        return [
            part_of(live_id, generation, counts)
            for _, live_id, generation, counts in others
            if live_id not in but
        ]

    def _counted_since(self, name: object, first: int) -> Counted:
        asked = self._ask(Wanted(name, first))
        return Counted(asked.counted(name, first), asked.silent_s)

    def _ask(self, wanted: Wanted) -> "_Asked":
        # Memory first: what is folded in between is then known from the generations, and is
        # neither counted twice nor missed.
        live = {(part.live_id, part.generation): part.counts for part in self._recorder.unfolded()}
        others = self._unfolded_of_others()
        answer = self._queries.ask(wanted)
        # A file that is gone was folded before, and its generations forgotten.
        live |= {(part[1], part[2]): part[3] for part in others if part[0].exists()}
        return _Asked(answer, live)

    def _unfolded_of_others(self) -> list[tuple[Path, str, int, Counts]]:
        """Return what other processes on the same database counted, and did not fold yet."""
        own = self._live_file.live_id if self._live_file is not None else ""
        try:
            return list(unfolded_of_others(self._prefix, own))
        except OSError as error:
            self._tell("others", "stats_of_others_unreadable error=%r", str(error))
            return []

    def _now_minute(self) -> int:
        return int(self._now()) // 60

    def _read_failed(self, error: str) -> None:
        self._tell_of_database(error)

    def fold(self) -> bool:
        """Bring the database up to date; False where that must be tried again later."""
        with self._folding:
            now_minute = self._now_minute()
            self._running.tick(now_minute)
            self._look_at_live_file()
            try:
                try:
                    return self._fold(now_minute)
                except BrokenStoreError:
                    return self._fold(now_minute)  # it sets that database aside first
            except (StoreUnavailableError, StatsError) as error:
                self._tell_of_database(str(error))
                return False

    def _fold(self, now_minute: int) -> bool:
        self._store.look()
        arena = self._recorder.seal()
        if arena is not None:
            counts = arena.histograms()
            self._store.fold(arena.live_id, arena.generation, counts, now_minute)
            self._queries.folded(arena.live_id, arena.generation, counts)
            self._journal.add(part_of(arena.live_id, arena.generation, counts), time.monotonic())
            self._recorder.clear(arena)
        if now_minute != self._minute_done:
            self._fold_leftovers(now_minute)
            ran = self._running.until(now_minute)
            self._store.sum_up(now_minute, ran)
            self._running.stored(ran)
            if not self._stop.is_set():  # so that it is known when the database goes away
                self._queries.ask(Wanted(None, EVER, history=self._queries.has_history))
            self._minute_done = now_minute
            self._mend_live_file()
        self._mended()
        return True

    def _fold_leftovers(self, now_minute: int) -> None:
        """Fold what processes left that ended without doing it themselves."""
        try:
            found, odd = leftovers(self._prefix)
            self._leftovers += found
            for path, why in odd:
                self._tell(f"odd {path}", "stats_leftover_odd file=%s why=%r", path.name, why)
        except OSError as error:
            self._tell("leftovers", "stats_leftovers_unreadable error=%r", str(error))
        while self._leftovers:
            left = self._leftovers[-1]
            for arena in sorted(left.arenas, key=lambda arena: arena.generation):
                if not arena.is_empty:
                    counts = arena.histograms()
                    self._store.fold(left.live_id, arena.generation, counts, now_minute)
                    self._journal.add(part_of(left.live_id, arena.generation, counts), time.monotonic())
            self._leftovers.pop().remove()
            self._store.forget(left.live_id)
            _log.info("stats_leftover_folded file=%s", left.path.name)

    def _new_live_file(self) -> LiveFile | None:
        try:
            return LiveFile.create(self._prefix)
        except OSError as error:
            self._tell(
                "live_file", "stats_live_file_failed error=%r sigkill_loses=the_last_second", str(error)
            )
            return None

    def _look_at_live_file(self) -> None:
        """Go over to another live file where this one was removed or shortened."""
        live_file = self._live_file
        if live_file is not None and live_file.is_removed:
            _log.warning("stats_live_file_gone file=%s begins=a_new_one", live_file.path.name)
            live_file.close()
            self._live_file = None
            self._mend_live_file()
        elif live_file is not None and not live_file.is_whole:
            self._abandon(live_file)

    def _abandon(self, live_file: LiveFile) -> None:
        """Set *live_file* aside, which is too short for its map: whoever touches that is killed (SIGBUS)."""
        made = self._new_live_file()
        self._recorder.abandon(made.arenas if made else _in_memory())
        self._live_file = made
        try:
            set_aside(live_file.path, "another process shortened it; what was not folded yet is lost")
        except OSError as error:
            _log.error("live_file_torn file=%s error=%r", live_file.path, str(error))
        live_file.close()

    def _mend_live_file(self) -> None:
        """Make the live file that could not be made before."""
        if self._live_file is not None or (made := self._new_live_file()) is None:
            return
        if self._recorder.adopt(made.arenas):
            self._live_file = made
            self._told.discard("live_file")
            _log.info("stats_live_file_made file=%s", made.path.name)
        else:
            made.remove()

    def _tell(self, trouble: str, message: str, *values: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            _log.warning(message, *values)

    def _tell_of_database(self, error: str) -> None:
        """Tell once that the database does not answer, until it has taken what was counted."""
        if "database" not in self._told:
            self._told.add("database")
            message = "stats_database_unavailable error=%r counting_goes_on=true figures=as_last_known"
            _database_log.warning(message, error)

    def _mended(self) -> None:
        if "database" in self._told:
            self._told.discard("database")
            _database_log.info("stats_database_mended counted_meanwhile=stored")

    def _fold_until_stopped(self, every_s: float) -> None:
        took_s = 0.0
        while not self._stop.wait(rest_s(every_s, took_s)):
            began_s = time.monotonic()
            try:
                self.fold()
            except Exception:  # outermost loop: the next second may go better
                if "defect" not in self._told:
                    self._told.add("defect")
                    _log.exception("stats_fold_defect")
            took_s = time.monotonic() - began_s

    def close(self) -> None:
        """Store what was counted, and end. What cannot be stored in a moment waits in the live file."""
        self._stop.set()
        # In a thread, as nothing bounds what a database takes that hangs: the process ends all the same.
        ending = threading.Thread(target=self._end, name="rgate-stats-end", daemon=True)
        why = "the_database_does_not_answer"
        try:
            ending.start()
            ending.join(CLOSE_WITHIN_S)
        except RuntimeError:
            why = "the_system_gives_no_thread"
        self._queries.close()  # not before: the last fold may ask
        if ending.is_alive() or not ending.ident:
            kept = "in_the_live_file" if self._live_file is not None else "nowhere"
            _log.warning("stats_not_stored why=%s what_is_new_waits=%s", why, kept)

    def _end(self) -> None:
        if self._thread is not None:
            self._thread.join()
        # Twice: an arena whose folding failed before, then the one counted into meanwhile.
        folded = self.fold() and self.fold()
        if self._live_file is not None:
            if folded:
                self._remove_live_file(self._live_file)
            else:
                self._live_file.close()
        elif not folded:
            _log.error("stats_lost what=not_yet_folded why=neither_database_nor_live_file")
        self._store.close()

    def _remove_live_file(self, live_file: LiveFile) -> None:
        try:
            live_file.remove()
            self._store.forget(live_file.live_id)
        except (OSError, StoreUnavailableError) as error:
            _log.warning("stats_live_file_not_removed error=%r", str(error))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the database said, and what was counted live just before it was asked: by live id and
    generation.
    """

    answer: Answer
    live: Mapping[tuple[str, int], Counts]

    @property
    def silent_s(self) -> float | None:
        return self.answer.silent_s

    def history(self) -> History:
        return self.answer.known.history or History()

    def counted(self, name: object, first: int) -> list[tuple[Label, Histogram]]:
        """Return what was counted since the minute *first*, as far as it is known."""
        window = self.answer.known.windows.get(name) or Window(first)
        newer = self.unsettled(window.at)
        return [*window.settled.items(), *((label, part) for minute, label, part in newer if minute >= first)]

    def unsettled(self, at: Moment) -> Iterator[OfMinute]:
        """Yield what was counted beside what was settled *at* a moment."""
        for (minute, label), latencies in at.fresh.items():
            yield minute, label, latencies
        folded = dict(self.answer.folded_since(at))
        for live_id, generation in self.live.keys() - folded.keys():
            if generation > at.folded.get(live_id, 0):
                for (minute, label), latencies in self.live[live_id, generation].items():
                    yield minute, label, latencies
        for counts in folded.values():
            for (minute, label), latencies in counts.items():
                yield minute, label, latencies


def _in_memory() -> tuple[Arena, Arena]:
    live_id = secrets.token_hex(8)
    return Arena.in_memory(live_id, 1), Arena.in_memory(live_id, 0)
