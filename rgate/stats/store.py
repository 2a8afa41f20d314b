"""The counts that last, in tables.

Counts arrive as FRESH rows, one a minute and label. Once a minute those of minutes that are over
are summed up into rows of a MINUTE, an HOUR, a DAY, a FORTNIGHT and EVER, all cumulative, in one
transaction. So nothing is ever moved between spans: rows that are too old are simply deleted, and the whole
lifetime stays exact. A window is read from as few rows as cover it. For figures over time, all labels
together are summed up too, for each minute and hour. `reading.py` says how all that is read.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, SQLAlchemyError

from rgate.core.url_secrets import url_without_secrets
from rgate.stats import schema
from rgate.stats.database import StatsError, advice_on, check_path, engine_of, sqlite_path
from rgate.stats.database_file import NO_DATABASE, DatabaseFile, Seen, new_mark, was_rgates
from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Counts
from rgate.stats.reading import Known, Reader, Wanted
from rgate.stats.schema import (
    COUNTS,
    COUNTS_KEPT,
    DAYS_KEPT,
    FOLDS,
    HOUR_MINUTES,
    HOURS_KEPT,
    LABELS,
    MINUTES,
    RUNS,
    STATE,
    SUMS,
    SUMS_KEPT,
    Span,
    batches,
    labels_in,
)
from rgate.stats.sums import Sum, SumRow

MOST_LABELS: Final = 4096
"""Beyond these, the containers that were not seen for longest are counted as `(other)`."""

MOST_RUNS: Final = 1000

STATEMENT_TIMEOUT_S: Final = 30
IDLE_TIMEOUT_S: Final = 60  # a transaction whose process stands still locks the others out no longer
PREPARE_TIMEOUT_S: Final = 900  # a year of thousands of labels takes minutes

_log: Final = logging.getLogger("rgate.database")


class StoreUnavailableError(Exception):
    """The database could not be asked just now; what it holds may be there again later."""


class BrokenStoreError(StoreUnavailableError):
    """No waiting mends it: the next one who writes sets it aside, and begins a new one."""


# On PostgreSQL a transaction does not keep others from writing. Before the tables are made there is no row
# to lock, and `IF NOT EXISTS` fails where another makes them at that moment.
_ONE_WRITER: Final = sa.select(STATE.c.version).with_for_update()
_ONE_PREPARES: Final = sa.select(sa.func.pg_advisory_xact_lock(0x7267617465))  # "rgate"

_Row = tuple[int, int, int]  # span, start, label


class _ForeignStoreError(BrokenStoreError):
    """It is another program's."""


class Store:
    """One database. Every method raises StoreUnavailableError where it cannot be asked.

    A file of SQLite's that is no longer the one that it was, or broken, is set aside, and a new one begun.
    One thread at a time writes.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        path = sqlite_path(engine)
        self._is_sqlite = path is not None
        self._file = DatabaseFile(path) if path is not None else None
        self._is_prepared = False
        self._was_prepared = False  # ever: what is at the path since is in the place of rgate's
        self._is_broken = False
        self._preparing = threading.Lock()  # nobody reads meanwhile: there may be no tables yet

    def prepare(self) -> None:
        """Make the schema where there is none, or an older one. Raises StatsError where it is a newer, or the
        file is somebody else's.
        """
        with self._preparing:
            if self._file is None:
                self._prepare()
            else:
                self._prepare_file(self._file)

    def _prepare_file(self, file: DatabaseFile) -> None:
        try:
            file.make()
        except OSError as error:
            raise StoreUnavailableError(_in_one_line(error)) from error
        seen = file.look()
        try:
            # Not asked of SQLite, which would write to a file that is small.
            if seen is not None and seen.mark == NO_DATABASE:
                raise BrokenStoreError("it is no SQLite database")
            file.know(self._prepare())
        except BrokenStoreError as error:
            is_foreign = isinstance(error, _ForeignStoreError) or not was_rgates(file.path, seen)
            if is_foreign and not self._was_prepared:
                raise StatsError(
                    f"stats.database: {file.path} is not rgate's, and is left as it is: {error}. "
                    "Name another file, or move this one away."
                ) from error
            self._set_aside(seen, str(error))
            file.make()
            file.know(self._prepare())
        self._was_prepared = True

    def _prepare(self) -> int:
        """Do so, and return the mark of a file of SQLite's."""
        self._is_prepared = self._is_broken = False
        mark = 0
        try:
            with self._writing(prepared=False) as connection:
                schema.prepare(connection)
                mark = _marked(connection) if self._is_sqlite else 0
            if self._is_sqlite:
                self._write_log_into_file()
        except schema.NewerError as error:
            raise StatsError(
                f"The database has version {error.version} of the schema, made by a newer rgate, and this "
                f"one knows up to {schema.VERSION}: use that rgate, or another stats.database."
            ) from error
        except schema.EncodingError as error:
            raise StatsError(
                f"The database has the encoding {error.encoding}, which has no letters for some names: name "
                "one with UTF8 (CREATE DATABASE rgate ENCODING 'UTF8' TEMPLATE template0) as stats.database."
            ) from error
        except schema.ForeignError as error:
            raise _ForeignStoreError("it is a database of another program's") from error
        except StoreUnavailableError as error:
            # There are tables of these names, but they are others.
            if sqlite_error_name(error) == "SQLITE_ERROR":
                raise BrokenStoreError(str(error)) from error
            raise
        self._is_prepared = True
        return mark

    def _write_log_into_file(self) -> None:
        """Let the file itself have its mark; as far as nobody reads, who would have to be waited for, and
        there is room: the log has all of it.
        """
        try:
            with self._told_as_unavailable(), self._engine.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                cursor.close()
        except StoreUnavailableError as error:
            if not _is_passing(error):
                raise

    def look(self) -> None:
        """See whether the database is still there: prepare it where that was not done, and begin a new one
        where its file is lost. Raises StatsError, too.
        """
        file = self._file
        if self._is_prepared and file is not None and (self._is_broken or not file.is_known()):
            now, known = file.look(), file.known
            if now is not None and known is not None and now[:2] == known[:2]:
                self._set_aside(now, "it is damaged" if self._is_broken else "somebody else wrote to it")
            else:  # what is there instead, if anything, may be a database of rgate's
                _log.warning("stats_database_gone file=%s", file.path)
                self._set_aside(None, "its file is gone")
        if not self._is_prepared or (file is not None and file.known is None):
            self.prepare()

    def _set_aside(self, seen: Seen | None, why: str) -> None:
        assert self._file is not None  # noqa: S101 - who calls has one
        try:
            aside = self._file.set_aside(seen)
        except OSError as error:
            raise StoreUnavailableError(f"{why}, and cannot be set aside: {_in_one_line(error)}") from error
        self._engine.dispose()
        self._is_prepared = self._is_broken = False
        if aside is not None:
            _log.error(
                "stats_database_set_aside file=%s why=%r as=%s begins=a_new_one",
                self._file.path,
                why,
                aside.name,
            )

    def fold(self, live_id: str, generation: int, counts: Counts, now_minute: int) -> None:
        """Add *counts*, unless this *generation* of *live_id* was added before."""
        self._fold(live_id, generation, counts, now_minute)
        if self._file is not None and not self._file.is_known():
            self._fold(live_id, generation, counts, now_minute)  # the first went where nobody will find it

    def _fold(self, live_id: str, generation: int, counts: Counts, now_minute: int) -> None:
        with self._writing() as connection:
            known = connection.scalar(sa.select(FOLDS.c.generation).where(FOLDS.c.live_id == live_id))
            if known is not None and known >= generation:
                return
            numbers = _label_numbers(connection, counts)
            _add(
                connection,
                {
                    (Span.FRESH, minute, numbers[label]): latencies
                    for (minute, label), latencies in counts.items()
                },
            )
            values = {"generation": generation, "minute": now_minute}
            if known is None:
                connection.execute(FOLDS.insert().values(live_id=live_id, **values))
            else:
                connection.execute(FOLDS.update().where(FOLDS.c.live_id == live_id).values(**values))
            connection.execute(STATE.update().values(revision=STATE.c.revision + 1))

    def forget(self, live_id: str) -> None:
        """Forget in an hour which generations of *live_id* were added: the file is gone.

        Others may have read that file before, and only this tells them that it is in the database by now.
        """
        earlier = FOLDS.c.minute - DAYS_KEPT + HOUR_MINUTES
        with self._writing() as connection:
            connection.execute(FOLDS.update().where(FOLDS.c.live_id == live_id).values(minute=earlier))

    def sum_up(
        self, now_minute: int, ran: Iterable[tuple[int, int]] = (), most_labels: int = MOST_LABELS
    ) -> None:
        """Sum up the minutes that are over, and let go of what is too old or too much.

        *ran*: the first and the last minute of stretches in which this rgate ran.
        """
        with self._writing() as connection:
            for first, last in ran:
                _note_run(connection, first, last)
            labels = labels_in(connection)
            moved = _sum_up(connection, {n: label for n, (label, _) in labels.items()}, now_minute)
            for table, spans in ((COUNTS, COUNTS_KEPT), (SUMS, SUMS_KEPT)):
                for span, kept in spans.items():
                    too_old = sa.and_(table.c.span == span, table.c.start < now_minute - kept - MINUTES[span])
                    connection.execute(table.delete().where(too_old))
            connection.execute(RUNS.delete().where(RUNS.c.last < now_minute - HOURS_KEPT))
            connection.execute(FOLDS.delete().where(FOLDS.c.minute < now_minute - DAYS_KEPT))
            if _merge_oldest_labels(connection, labels, most_labels) and not moved:
                _settle(connection)

    def read(
        self, wanted: Wanted, known: Known | None = None, alive: Callable[[], None] = lambda: None
    ) -> Known:
        """Return *known* with what is wanted, all as of one moment; only what changed since is read.

        *alive* is called with each row that comes.
        """
        with self._reading() as connection:
            return Reader(connection, known or Known(), alive).read(wanted)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()
        if self._file is not None:
            self._file.close()

    @contextmanager
    def _writing(self, *, prepared: bool = True) -> Iterator[sa.Connection]:
        """Run one transaction, with no other writer at the same time."""
        if prepared:
            self.look()
        with self._told_as_unavailable():
            engine = self._engine.execution_options(rgate_begin="BEGIN IMMEDIATE")
            with engine.begin() as connection:
                if not self._is_sqlite:
                    _limit(connection, STATEMENT_TIMEOUT_S if prepared else PREPARE_TIMEOUT_S)
                    connection.execute(_ONE_WRITER if prepared else _ONE_PREPARES)
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Run one transaction that sees the database as of one moment."""
        with self._preparing:
            pass
        with self._told_as_unavailable(), self._engine.connect() as connection:
            if not self._is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                if not self._is_sqlite:
                    _limit(connection, STATEMENT_TIMEOUT_S)
                yield connection

    @contextmanager
    def _told_as_unavailable(self) -> Iterator[None]:
        """Raise StoreUnavailableError for whatever a database does."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, ValueError, OSError) as error:
            unavailable = StoreUnavailableError(_in_one_line(error))
            unavailable.__cause__ = error
            if sqlite_error_name(unavailable).startswith(_BROKEN):
                self._is_broken = True
                raise BrokenStoreError(str(unavailable)) from error
            if not self._is_sqlite:
                self._engine.dispose()  # another server may have taken over, which new connections find
            raise unavailable from error


def _limit(connection: sa.Connection, seconds: int) -> None:
    """Let no statement take longer, nor its transaction stand still for long: in each transaction, as a
    pooler may give another session to each, and knows no options of a session.
    """
    limits = {"statement_timeout": seconds, "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S}
    connection.execute(
        sa.select(*(sa.func.set_config(name, f"{limit}s", True) for name, limit in limits.items()))
    )


# Writing.


def _sum_up(connection: sa.Connection, labels: Mapping[int, Label], now_minute: int) -> bool:
    """Move fresh rows of minutes that are over into the others; False where there were none."""
    is_over = sa.and_(COUNTS.c.span == Span.FRESH, COUNTS.c.start != now_minute)
    counts: dict[_Row, Histogram] = {}
    sums: dict[tuple[int, int], Sum] = {}
    for _, minute, number, histogram in connection.execute(sa.select(COUNTS).where(is_over)):
        latencies = Histogram.from_bytes(histogram)
        for span, length in MINUTES.items():
            counts.setdefault((span, minute - minute % length, number), Histogram()).merge(latencies)
        counts.setdefault((Span.EVER, 0, number), Histogram()).merge(latencies)
        for span in (Span.MINUTE, Span.HOUR):
            start = minute - minute % MINUTES[span]
            sums.setdefault((span, start), Sum()).add(labels[number], latencies)
    if not counts:
        return False
    _add(connection, counts)
    connection.execute(COUNTS.delete().where(is_over))
    _add_sums(connection, sums, _settle(connection))
    return True


def _settle(connection: sa.Connection) -> int:
    """Make the next revision, of other rows than fresh ones."""
    connection.execute(STATE.update().values(revision=STATE.c.revision + 1, settled=STATE.c.revision + 1))
    settled: int = connection.scalars(sa.select(STATE.c.settled)).one()
    return settled


def _add_sums(connection: sa.Connection, sums: Mapping[tuple[int, int], Sum], revision: int) -> None:
    for (span, start), summed in sums.items():
        row = (SUMS.c.span == span, SUMS.c.start == start)
        known = connection.execute(sa.select(SUMS).where(*row)).one_or_none()
        if known is None:
            new = {"span": span, "start": start, "revision": revision} | asdict(summed.row())
            connection.execute(SUMS.insert().values(**new))
            continue
        _, _, _, *values = known
        before = SumRow(*values)
        summed.add_row(before)
        summed.add_routes(before.by_route())
        connection.execute(SUMS.update().where(*row).values(revision=revision, **asdict(summed.row())))


def _note_run(connection: sa.Connection, first: int, last: int) -> None:
    """Join the stretch from *first* to *last* with those that it touches."""
    touched = sa.and_(RUNS.c.first <= last + 1, RUNS.c.last >= first - 1)
    stretches = [(a, b) for a, b in connection.execute(sa.select(RUNS).where(touched))]
    joined = (min([first, *(a for a, _ in stretches)]), max([last, *(b for _, b in stretches)]))
    if stretches == [joined]:
        return
    connection.execute(RUNS.delete().where(touched))
    connection.execute(RUNS.insert().values(first=joined[0], last=joined[1]))
    oldest = connection.scalars(
        sa.select(RUNS.c.first).order_by(RUNS.c.first.desc()).offset(MOST_RUNS)
    ).first()
    if oldest is not None:
        connection.execute(RUNS.delete().where(RUNS.c.first <= oldest))


def _add(connection: sa.Connection, sums: Mapping[_Row, Histogram]) -> None:
    """Merge *sums* into their rows. The caller is the only writer."""
    by_period: dict[tuple[int, int], list[int]] = {}
    for span, start, label in sums:
        by_period.setdefault((span, start), []).append(label)
    known: set[_Row] = set()
    updates: list[dict[str, object]] = []
    for (span, start), labels in by_period.items():
        for some in batches(labels):
            period = (COUNTS.c.span == span, COUNTS.c.start == start, COUNTS.c.label.in_(some))
            for _, _, label, stored in connection.execute(sa.select(COUNTS).where(*period)):
                total = Histogram.from_bytes(stored)
                total.merge(sums[span, start, label])
                known.add((span, start, label))
                updates.append({"s": span, "t": start, "l": label, "histogram": total.to_bytes()})
    if updates:
        row = (
            COUNTS.c.span == sa.bindparam("s"),
            COUNTS.c.start == sa.bindparam("t"),
            COUNTS.c.label == sa.bindparam("l"),
        )
        connection.execute(COUNTS.update().where(*row).values(histogram=sa.bindparam("histogram")), updates)
    inserts = [
        {"span": span, "start": start, "label": label, "histogram": latencies.to_bytes()}
        for (span, start, label), latencies in sums.items()
        if (span, start, label) not in known
    ]
    if inserts:
        connection.execute(COUNTS.insert(), inserts)


def _label_numbers(connection: sa.Connection, counts: Counts) -> dict[Label, int]:
    """Return the number of each label of *counts*, new ones made, and note when each was last seen."""
    last: dict[Label, int] = {}
    for minute, label in counts:
        last[label] = max(minute, last.get(label, minute))
    numbers: dict[Label, int] = {}
    for number, (label, seen) in labels_in(connection).items():
        if label in last:
            numbers[label] = number
            if last[label] > seen:
                connection.execute(
                    LABELS.update().where(LABELS.c.id == number).values(last_minute=last[label])
                )
    for label in last.keys() - numbers.keys():
        numbers[label] = _new_label(connection, label, last[label])
    return numbers


def _new_label(connection: sa.Connection, label: Label, minute: int) -> int:
    values = label._asdict() | {"last_minute": minute}
    number: int = connection.execute(LABELS.insert().values(**values).returning(LABELS.c.id)).scalar_one()
    return number


def _merge_oldest_labels(
    connection: sa.Connection, labels: Mapping[int, tuple[Label, int]], most: int
) -> bool:
    """Where there are more than *most* labels, count the oldest containers as `(other)`, and so those routes
    that nobody asked for since.
    """
    if len(labels) <= most:
        return False
    numbers = {label: number for number, (label, _) in labels.items()}
    newest: dict[tuple[str, str], int] = {}  # when each route was seen last
    for label, seen in labels.values():
        route = label.route, label.backend
        newest[route] = max(seen, newest.get(route, seen))

    def age(number: int) -> tuple[int, bool]:
        label, seen = labels[number]
        is_named = _is_named(label)
        return seen if is_named else newest[label.route, label.backend], not is_named

    mergeable = [n for n, (label, _) in labels.items() if _is_named(label) or label.route != OTHER]
    # A tenth more than need be, so that this is not done again in the next minute.
    for number in sorted(mergeable, key=age)[: len(labels) - most + most // 10]:
        label, seen = labels[number]
        is_named = _is_named(label)
        other = label._replace(container=OTHER) if is_named else label._replace(route=OTHER, backend=OTHER)
        if other not in numbers:
            numbers[other] = _new_label(connection, other, seen)
        rows = connection.execute(sa.select(COUNTS).where(COUNTS.c.label == number)).all()
        _add(connection, {(s, t, numbers[other]): Histogram.from_bytes(blob) for s, t, _, blob in rows})
        connection.execute(COUNTS.delete().where(COUNTS.c.label == number))
        connection.execute(LABELS.delete().where(LABELS.c.id == number))
    return True


def _is_named(label: Label) -> bool:
    """Whether it is of one container."""
    return label.container not in ("", OTHER)


def _in_one_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__


_BROKEN: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
# What may be gone in a minute: a full disk, another writer. Everything else needs a person.
_PASSING: Final = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR")


def store_of(database_url: str) -> Store:
    """Return the store at *database_url*, not prepared yet. Raises StatsError where there can be none."""
    engine = engine_of(database_url)
    if (path := sqlite_path(engine)) is not None:
        check_path(path)
    return Store(engine)


def open_store(database_url: str) -> tuple[Store, str]:
    """Return the store at *database_url*, and "" or why it cannot be written to just now.

    Raises StatsError where it cannot be used until a person does something.
    """
    store = store_of(database_url)
    try:
        return store, prepared(store, database_url)
    except StatsError:
        store.close()
        raise


def prepared(store: Store, database_url: str) -> str:
    """Prepare *store*; return "", or why it cannot be done just now. Raises StatsError where it never can."""
    try:
        store.prepare()
    except StoreUnavailableError as error:
        if _is_passing(error):
            return str(error)
        advice = advice_on(sqlite_error_name(error))
        url = url_without_secrets(database_url)
        raise StatsError(f"stats.database: {url} cannot be used: {error}. {advice}") from error
    return ""


def _is_passing(error: StoreUnavailableError) -> bool:
    """Whether the database may be there later, without that anybody changes the configuration."""
    cause = error.__cause__
    if name := sqlite_error_name(error):
        return name.startswith(_PASSING)
    if isinstance(cause, DBAPIError):
        return isinstance(cause, OperationalError | InternalError)  # a server that is away, or has no room
    return isinstance(cause, SQLAlchemyError)  # such as a time-out of the pool


def sqlite_error_name(error: StoreUnavailableError) -> str:
    """Return SQLite's name of what *error* is due to; "" where it is not SQLite's."""
    cause = error.__cause__
    original = cause.orig if isinstance(cause, DBAPIError) else cause
    return str(getattr(original, "sqlite_errorname", ""))


def _marked(connection: sa.Connection) -> int:
    """Return the mark of the SQLite database, which is made where it has none."""
    mark: int = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    if not mark:
        mark = new_mark()
        connection.exec_driver_sql(f"PRAGMA application_id = {mark}")
    return mark & 0xFFFFFFFF
