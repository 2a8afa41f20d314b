"""The counts that last: SQLAlchemy Core on SQLite or PostgreSQL.

Counts arrive as FRESH rows, one a minute and label. Once a minute those of minutes that are over
are summed up into rows of a MINUTE, an HOUR, a DAY and EVER, all cumulative, in one transaction.
So nothing is ever moved between spans: rows of minutes, hours and days that are too old are simply
deleted, and the whole lifetime stays exact. A window is read from as few rows as cover it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Counts

SCHEMA_VERSION: Final = 1
HOUR_MINUTES: Final = 60
DAY_MINUTES: Final = 24 * 60
MINUTES_KEPT: Final = DAY_MINUTES
HOURS_KEPT: Final = 31 * DAY_MINUTES
DAYS_KEPT: Final = 367 * DAY_MINUTES  # a window of 366 days begins within the first of them
MOST_LABELS: Final = 4096
"""Beyond these, the containers that were not seen for longest are counted as `(other)`."""

UNKNOWN: Final = -1
"""The revision of what may not be whole."""

BUSY_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 30
_BUSY_PAUSE_S: Final = 0.005


class StatsError(Exception):
    """The database cannot be used; the message is one line that says what to do."""


class StoreUnavailableError(Exception):
    """The database could not be asked just now; what it holds may be there again later."""


class Span(IntEnum):
    """How much time a row is about. The value is stored."""

    FRESH = 0  # a minute that is in no other row yet
    MINUTE = 1
    HOUR = 2
    DAY = 3
    EVER = 4


_METADATA: Final = sa.MetaData()
_SCHEMA: Final = sa.Table("rgate_schema", _METADATA, sa.Column("version", sa.Integer, nullable=False))
_LABELS: Final = sa.Table(
    "rgate_labels",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("container", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("cut", sa.Boolean, nullable=False),
    sa.Column("last_minute", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("route", "backend", "container", "status", "cut"),
)
_COUNTS: Final = sa.Table(
    "rgate_counts",
    _METADATA,
    sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),  # minutes since the epoch
    sa.Column("label", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("histogram", sa.LargeBinary, nullable=False),
)
_FOLDS: Final = sa.Table(
    "rgate_folds",
    _METADATA,
    sa.Column("live_id", sa.String(32), primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("minute", sa.BigInteger, nullable=False),
)

# On PostgreSQL a transaction does not keep others from writing. Before the tables are made there is no row
# to lock, and `IF NOT EXISTS` fails where another makes them at that moment.
_ONE_WRITER: Final = sa.select(_SCHEMA).with_for_update()
# In each transaction, as a pooler may give another session to each, and knows no options of a session.
_TIMEOUT: Final = f"SET LOCAL statement_timeout = {1000 * STATEMENT_TIMEOUT_S}"
_ONE_PREPARES: Final = sa.select(sa.func.pg_advisory_xact_lock(0x7267617465))  # "rgate"

_REVISION: Final = ""
"""Stands among the ids of live files; its generation is the number of folds."""

_Row = tuple[int, int, int]  # span, start, label


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database held at one moment, and which generation of each live file was in it."""

    counts: Mapping[Label, Histogram] = field(default_factory=dict)
    folded: Mapping[str, int] = field(default_factory=dict)
    revision: int = UNKNOWN  # grows with each fold, whoever's it is


class Store:
    """One database. Every method raises StoreUnavailableError where it cannot be asked."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._database = Path(engine.url.database or "") if self._is_sqlite else None
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Make the schema where there is none. Raises StatsError where another one is there."""
        with self._writing(prepared=False) as connection:
            _METADATA.create_all(connection)
            version = connection.scalar(sa.select(sa.func.max(_SCHEMA.c.version)))
            if version is None:
                connection.execute(_SCHEMA.insert().values(version=SCHEMA_VERSION))
            elif version > SCHEMA_VERSION:
                raise StatsError(
                    f"The database has version {version} of the schema, made by a newer rgate, and this one "
                    f"knows up to {SCHEMA_VERSION}: use that rgate, or another stats.database."
                )
        self._identity = self._file_identity()

    def fold(self, live_id: str, generation: int, counts: Counts, now_minute: int) -> int | None:
        """Add *counts*, unless this *generation* of *live_id* was added before.

        Returns the revision that this made, or None.
        """
        with self._writing() as connection:
            known = connection.scalar(sa.select(_FOLDS.c.generation).where(_FOLDS.c.live_id == live_id))
            if known is not None and known >= generation:
                return None
            numbers = _label_numbers(connection, counts)
            _add(
                connection,
                {
                    (Span.FRESH, minute, numbers[label]): latencies
                    for (minute, label), latencies in counts.items()
                },
            )
            _note_fold(connection, live_id, known, generation, now_minute)
            revision = connection.scalar(sa.select(_FOLDS.c.generation).where(_FOLDS.c.live_id == _REVISION))
            made = 1 + (revision or 0)
            _note_fold(connection, _REVISION, revision, made, now_minute)
            return made

    def forget(self, live_id: str) -> None:
        """Forget which generations of *live_id* were added: the file is gone."""
        with self._writing() as connection:
            connection.execute(_FOLDS.delete().where(_FOLDS.c.live_id == live_id))

    def sum_up(self, now_minute: int, most_labels: int = MOST_LABELS) -> None:
        """Sum up the minutes that are over, and let go of what is too old or too much."""
        with self._writing() as connection:
            is_over = sa.and_(_COUNTS.c.span == Span.FRESH, _COUNTS.c.start != now_minute)
            sums: dict[_Row, Histogram] = {}
            for _, start, label, histogram in connection.execute(sa.select(_COUNTS).where(is_over)):
                for row in _rows_of(start, label):
                    sums.setdefault(row, Histogram()).merge(Histogram.from_bytes(histogram))
            _add(connection, sums)
            connection.execute(_COUNTS.delete().where(is_over))
            for span, kept in (
                (Span.MINUTE, MINUTES_KEPT),
                (Span.HOUR, HOURS_KEPT + 60),
                (Span.DAY, DAYS_KEPT),
            ):
                too_old = sa.and_(_COUNTS.c.span == span, _COUNTS.c.start < now_minute - kept)
                connection.execute(_COUNTS.delete().where(too_old))
            connection.execute(_FOLDS.delete().where(_FOLDS.c.minute < now_minute - DAYS_KEPT))
            _merge_oldest_labels(connection, most_labels)

    def read(
        self,
        window_minutes: int | None,
        now_minute: int,
        known: Stored | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> Stored:
        """Return what was counted in the window, or ever, all as of one moment.

        *known* is what was read for the same minute before: it is returned where nothing was folded since.
        *alive* is called with each row that comes.
        """
        with self._reading() as connection:
            generations = connection.execute(sa.select(_FOLDS.c.live_id, _FOLDS.c.generation))
            folded = {row.live_id: row.generation for row in generations}
            revision = folded.pop(_REVISION, 0)
            if known is not None and known.revision == revision:
                return known
            alive()
            rows = connection.execute(
                sa.select(
                    _LABELS.c.route,
                    _LABELS.c.backend,
                    _LABELS.c.container,
                    _LABELS.c.status,
                    _LABELS.c.cut,
                    _COUNTS.c.histogram,
                )
                .join_from(_COUNTS, _LABELS, _COUNTS.c.label == _LABELS.c.id)
                .where(_in_window(window_minutes, now_minute))
            )
            counts: dict[Label, Histogram] = {}
            for *names, histogram in rows:
                counts.setdefault(Label(*names), Histogram()).merge(Histogram.from_bytes(histogram))
                alive()
            return Stored(counts, folded, revision)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def _file_identity(self) -> tuple[int, int] | None:
        """Return what tells one database file from another of the same name."""
        if self._database is None:
            return None
        try:
            status = self._database.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _writing(self, *, prepared: bool = True) -> Iterator[sa.Connection]:
        """Run one transaction, with no other writer at the same time."""
        if (
            prepared
            and (self._identity is None or self._identity != self._file_identity())
            and self._is_sqlite
        ):
            # Connections to a file that was deleted go on working, and write to nowhere.
            self._engine.dispose()
            self.prepare()
        try:
            engine = self._engine.execution_options(rgate_begin="BEGIN IMMEDIATE")
            with engine.begin() as connection:
                if not self._is_sqlite:
                    connection.exec_driver_sql(_TIMEOUT)
                    connection.execute(_ONE_WRITER if prepared else _ONE_PREPARES)
                yield connection
        except (SQLAlchemyError, ValueError, OSError) as error:
            raise StoreUnavailableError(_in_one_line(error)) from error

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Run one transaction that sees the database as of one moment."""
        try:
            with self._engine.connect() as connection:
                if not self._is_sqlite:
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    if not self._is_sqlite:
                        connection.exec_driver_sql(_TIMEOUT)
                    yield connection
        except (SQLAlchemyError, ValueError, OSError) as error:
            raise StoreUnavailableError(_in_one_line(error)) from error


def first_minute(window_minutes: int, now_minute: int) -> int:
    """Return the first minute of the window: whole minutes before the present one, and that one.

    So a window holds at least what was asked for. One longer than minutes are kept begins at a full
    hour, one longer than hours are kept at a full day (UTC).
    """
    first = now_minute - window_minutes
    if window_minutes > HOURS_KEPT:
        return first - first % DAY_MINUTES
    if window_minutes > MINUTES_KEPT:
        return first - first % HOUR_MINUTES
    return first


def _in_window(window_minutes: int | None, now_minute: int) -> sa.ColumnElement[bool]:
    span, start = _COUNTS.c.span, _COUNTS.c.start
    if window_minutes is None:
        return span.in_([Span.FRESH, Span.EVER])
    first = first_minute(window_minutes, now_minute)
    full_hour = -(-first // HOUR_MINUTES) * HOUR_MINUTES
    full_day = -(-first // DAY_MINUTES) * DAY_MINUTES
    return sa.or_(
        sa.and_(span == Span.FRESH, start >= first),
        sa.and_(span == Span.MINUTE, start >= first, start < full_hour),
        sa.and_(span == Span.HOUR, start >= full_hour, start < full_day),
        sa.and_(span == Span.DAY, start >= full_day),
    )


def _rows_of(minute: int, label: int) -> Iterable[_Row]:
    """Return the rows that a minute is summed up in."""
    return (
        (Span.MINUTE, minute, label),
        (Span.HOUR, minute - minute % HOUR_MINUTES, label),
        (Span.DAY, minute - minute % DAY_MINUTES, label),
        (Span.EVER, 0, label),
    )


def _add(connection: sa.Connection, sums: Mapping[_Row, Histogram]) -> None:
    """Merge *sums* into their rows. The caller is the only writer."""
    by_period: dict[tuple[int, int], list[int]] = {}
    for span, start, label in sums:
        by_period.setdefault((span, start), []).append(label)
    known: set[_Row] = set()
    updates: list[dict[str, object]] = []
    for (span, start), labels in by_period.items():
        for some in _batches(labels):
            period = (_COUNTS.c.span == span, _COUNTS.c.start == start, _COUNTS.c.label.in_(some))
            for _, _, label, stored in connection.execute(sa.select(_COUNTS).where(*period)):
                total = Histogram.from_bytes(stored)
                total.merge(sums[span, start, label])
                known.add((span, start, label))
                updates.append({"s": span, "t": start, "l": label, "histogram": total.to_bytes()})
    if updates:
        row = (
            _COUNTS.c.span == sa.bindparam("s"),
            _COUNTS.c.start == sa.bindparam("t"),
            _COUNTS.c.label == sa.bindparam("l"),
        )
        connection.execute(_COUNTS.update().where(*row).values(histogram=sa.bindparam("histogram")), updates)
    inserts = [
        {"span": span, "start": start, "label": label, "histogram": latencies.to_bytes()}
        for (span, start, label), latencies in sums.items()
        if (span, start, label) not in known
    ]
    if inserts:
        connection.execute(_COUNTS.insert(), inserts)


def _note_fold(
    connection: sa.Connection, live_id: str, known: int | None, generation: int, minute: int
) -> None:
    """Note that *generation* of *live_id* is in, where *known* was before."""
    values = {"generation": generation, "minute": minute}
    if known is None:
        connection.execute(_FOLDS.insert().values(live_id=live_id, **values))
    else:
        connection.execute(_FOLDS.update().where(_FOLDS.c.live_id == live_id).values(**values))


def _batches(numbers: list[int], size: int = 500) -> Iterator[list[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def _label_numbers(connection: sa.Connection, counts: Counts) -> dict[Label, int]:
    """Return the number of each label of *counts*, new ones made, and note when each was last seen."""
    last: dict[Label, int] = {}
    for minute, label in counts:
        last[label] = max(minute, last.get(label, minute))
    numbers: dict[Label, int] = {}
    for number, *names, seen in connection.execute(sa.select(_LABELS)):
        label = Label(*names)
        if label in last:
            numbers[label] = number
            if last[label] > seen:
                connection.execute(
                    _LABELS.update().where(_LABELS.c.id == number).values(last_minute=last[label])
                )
    for label in last.keys() - numbers.keys():
        numbers[label] = _new_label(connection, label, last[label])
    return numbers


def _new_label(connection: sa.Connection, label: Label, minute: int) -> int:
    values = label._asdict() | {"last_minute": minute}
    number: int = connection.execute(_LABELS.insert().values(**values).returning(_LABELS.c.id)).scalar_one()
    return number


def _merge_oldest_labels(connection: sa.Connection, most: int) -> None:
    """Where there are more than *most* labels, count the oldest containers as `(other)`."""
    labels = {
        number: (Label(*names), seen) for number, *names, seen in connection.execute(sa.select(_LABELS))
    }
    if len(labels) <= most:
        return
    numbers = {label: number for number, (label, _) in labels.items()}
    mergeable = [n for n, (label, _) in labels.items() if label.container not in ("", OTHER)]
    mergeable.sort(key=lambda number: labels[number][1])
    # A tenth more than need be, so that this is not done again in the next minute.
    for number in mergeable[: len(labels) - most + most // 10]:
        label, seen = labels[number]
        other = label._replace(container=OTHER)
        if other not in numbers:
            numbers[other] = _new_label(connection, other, seen)
        rows = connection.execute(sa.select(_COUNTS).where(_COUNTS.c.label == number)).all()
        _add(connection, {(s, t, numbers[other]): Histogram.from_bytes(blob) for s, t, _, blob in rows})
        connection.execute(_COUNTS.delete().where(_COUNTS.c.label == number))
        connection.execute(_LABELS.delete().where(_LABELS.c.id == number))


def _in_one_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__


# What may be gone in a minute: a full disk, another writer. Everything else needs a person.
_PASSING: Final = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED")


def open_store(database_url: str) -> tuple[Store, str]:
    """Return the store at *database_url*, and "" or why it cannot be written to just now.

    Raises StatsError where it cannot be used until a person does something.
    """
    engine = _engine(database_url)
    _check_directory(engine.url)
    store = Store(engine)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        store.prepare()
    except StatsError:
        engine.dispose()
        raise
    except StoreUnavailableError as error:
        name = _sqlite_error_name(error)
        if name.startswith(_PASSING):
            return store, str(error)
        engine.dispose()
        raise StatsError(f"stats.database: {shown} cannot be used: {error}. {_advice(name)}") from error
    return store, ""


def _sqlite_error_name(error: StoreUnavailableError) -> str:
    cause = error.__cause__
    original = cause.orig if isinstance(cause, DBAPIError) else None
    return str(getattr(original, "sqlite_errorname", ""))


def _advice(sqlite_error: str) -> str:
    if sqlite_error.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "It is no SQLite database: move the file away, or name another."
    if sqlite_error.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_PERM")):
        return "Let rgate write to the file and its directory, or name another."
    return "See that the server runs and lets rgate in, or name another."


def _engine(database_url: str) -> sa.Engine:
    try:
        url = sa.make_url(database_url)
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        return sa.create_engine(url, pool_pre_ping=True, pool_size=3, connect_args=_patience(url))
    except (ArgumentError, ValueError) as error:
        raise StatsError(
            "stats.database: this is no database URL: write one such as sqlite:///rgate.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from error
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        name = url.drivername
        raise StatsError(
            f"stats.database: the driver of {name} is not installed: install it (for PostgreSQL: pip install "
            f"'psycopg[binary]', and write postgresql+psycopg://…), or use sqlite:///rgate.db."
        ) from error


def _patience(url: sa.URL) -> dict[str, int]:
    """Return how long a server is waited for that is away, and how a connection to it is noticed to be dead.

    What the URL says itself, counts.
    """
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    patience = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms
    }
    return {key: value for key, value in patience.items() if key not in url.query}


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StatsError("stats.database: figures must last, so SQLite needs a file: use sqlite:///rgate.db.")
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: object, _record: object) -> None:
    # The driver begins transactions by itself, and too late for reads: we do it in _begin_sqlite.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Let readers and a writer work at once. Where others do the same to a new file at that moment, SQLite
    does not wait for its busy time-out: two that wait for each other would never end.
    """
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
        time.sleep(_BUSY_PAUSE_S)


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("rgate_begin", "BEGIN"))


def _check_directory(url: sa.URL) -> None:
    """Raise StatsError where the directory of a SQLite database cannot hold one."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(url.database or "")
    directory = path.parent
    if not directory.is_dir():
        raise StatsError(f"stats.database: the directory {directory} is not there: make it, or name another.")
    if path.is_dir():
        raise StatsError(f"stats.database: {path} is a directory: name a file in it.")
