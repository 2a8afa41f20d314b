"""The tables of the figures, in version 2, and how a database of version 1 comes to them."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import IntEnum
from itertools import groupby
from typing import Final

import sqlalchemy as sa

from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.sums import Sum

VERSION: Final = 2

HOUR_MINUTES: Final = 60
DAY_MINUTES: Final = 24 * HOUR_MINUTES
FORTNIGHT_MINUTES: Final = 14 * DAY_MINUTES


class Span(IntEnum):
    """How much time a row is about. The value is stored."""

    FRESH = 0  # a minute that is in no other row yet
    MINUTE = 1
    HOUR = 2
    DAY = 3
    EVER = 4
    FORTNIGHT = 5


MINUTES: Final = {
    Span.MINUTE: 1,
    Span.HOUR: HOUR_MINUTES,
    Span.DAY: DAY_MINUTES,
    Span.FORTNIGHT: FORTNIGHT_MINUTES,
}
"""How long the spans are that a minute is summed up in, beside EVER."""

MINUTES_KEPT: Final = DAY_MINUTES
HOURS_KEPT: Final = 31 * DAY_MINUTES
DAYS_KEPT: Final = 367 * DAY_MINUTES  # a window of 366 days begins within the first of them
COUNTS_KEPT: Final = {
    Span.MINUTE: MINUTES_KEPT,
    Span.HOUR: HOURS_KEPT,
    Span.DAY: DAYS_KEPT,
    Span.FORTNIGHT: DAYS_KEPT,
}
# A day, and the day before; two weeks.
SUMS_KEPT: Final = {Span.MINUTE: 49 * HOUR_MINUTES, Span.HOUR: HOURS_KEPT}

log: Final = logging.getLogger("rgate")

METADATA: Final = sa.MetaData()

STATE: Final = sa.Table(
    "rgate_schema",
    METADATA,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("identity", sa.BigInteger, nullable=False),  # tells a database that was made anew
    sa.Column("revision", sa.BigInteger, nullable=False),  # grows with each change of what was counted
    sa.Column("settled", sa.BigInteger, nullable=False),  # the last one that changed other rows than FRESH
)
LABELS: Final = sa.Table(
    # Not the name that version 1 has: one that still runs fails to write, and keeps what it counts.
    "rgate_labels_2",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("container", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("cut", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("last_minute", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("route", "backend", "container", "status", "cut", "reason"),
)
COUNTS: Final = sa.Table(
    "rgate_counts",
    METADATA,
    sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),  # minutes since the epoch
    sa.Column("label", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("histogram", sa.LargeBinary, nullable=False),
)
SUMS: Final = sa.Table(  # of all labels together, of each minute and hour
    "rgate_sums",
    METADATA,
    sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),  # the one that it is as of
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("own", sa.BigInteger, nullable=False),  # of the errors: answered by rgate itself
    sa.Column("histogram", sa.LargeBinary, nullable=False),
    sa.Column("routes", sa.Text, nullable=False),  # JSON: {route: [requests, errors]}
)
RUNS: Final = sa.Table(  # when some rgate ran: stretches that do not touch each other, in minutes
    "rgate_runs",
    METADATA,
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)
FOLDS: Final = sa.Table(
    "rgate_folds",
    METADATA,
    sa.Column("live_id", sa.String(32), primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("minute", sa.BigInteger, nullable=False),
)


class NewerError(Exception):
    """The database has a newer schema. *version* is its."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version}")
        self.version = version


class ForeignError(Exception):
    """The database is somebody else's: it has tables, and none of rgate's."""


class EncodingError(Exception):
    """The database cannot hold every name. *encoding* is its."""

    def __init__(self, encoding: str) -> None:
        super().__init__(encoding)
        self.encoding = encoding


def prepare(connection: sa.Connection) -> None:
    """Make the tables where there are none, and those of version 1 new. Raises EncodingError, NewerError, and
    ForeignError: where a database is a file, it has one owner.

    In one transaction, and nobody else prepares the database meanwhile.
    """
    check_encoding(connection)
    version = version_in(connection)
    if version is not None and version > VERSION:
        raise NewerError(version)
    if version == 1:
        log.info("stats_schema_is_upgraded from=1 to=%d", VERSION)
        _migrate(connection)
        log.info("stats_schema_upgraded from=1 to=%d", VERSION)
    METADATA.create_all(connection)
    if version is None:
        identity = secrets.randbits(48)
        connection.execute(STATE.insert().values(version=VERSION, identity=identity, revision=0, settled=0))


def check_encoding(connection: sa.Connection) -> None:
    """Raise EncodingError where the database cannot hold every name that a backend or container may have."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding not in ("UTF8", "SQL_ASCII"):  # the latter takes any bytes as they are
            raise EncodingError(encoding)


def version_in(connection: sa.Connection) -> int | None:
    """Return the version of the schema; None where there are no tables yet. Raises ForeignError."""
    tables = sa.inspect(connection).get_table_names()
    if STATE.name not in tables:
        if tables and connection.dialect.name == "sqlite":
            raise ForeignError
        return None
    version: int | None = connection.scalar(sa.select(sa.func.max(STATE.c.version)))
    return version


# From version 1: labels get a reason, fortnights and sums are made from what there is.


def _migrate(connection: sa.Connection) -> None:
    for column, value in (("identity", secrets.randbits(48)), ("revision", 0), ("settled", 0)):
        # Locks the table on PostgreSQL: who writes in version 1 has ended, and whoever wants to waits.
        connection.exec_driver_sql(
            f"ALTER TABLE rgate_schema ADD COLUMN {column} BIGINT NOT NULL DEFAULT {value}"
        )
    METADATA.create_all(connection)
    columns = "id, route, backend, container, status, cut, {} last_minute"
    connection.exec_driver_sql(
        f"INSERT INTO {LABELS.name} ({columns.format('reason,')}) "  # noqa: S608 - names of ours alone
        f"SELECT {columns.format(repr('') + ',')} FROM rgate_labels"
    )
    connection.exec_driver_sql("DROP TABLE rgate_labels")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{LABELS.name}', 'id'), "  # noqa: S608 - names of ours alone
            f"(SELECT coalesce(max(id), 0) + 1 FROM {LABELS.name}), false)"
        )
    connection.execute(FOLDS.delete().where(FOLDS.c.live_id == ""))  # where the revision was
    _make_fortnights(connection)
    _make_sums(connection)
    connection.execute(STATE.update().values(version=VERSION))


def _make_fortnights(connection: sa.Connection) -> None:
    for fortnight, days in groupby(_counted(connection, Span.DAY), lambda row: row[0] // FORTNIGHT_MINUTES):
        fortnights: dict[int, Histogram] = {}
        for _, label, latencies in days:
            fortnights.setdefault(label, Histogram()).merge(latencies)
        row = {"span": Span.FORTNIGHT, "start": fortnight * FORTNIGHT_MINUTES}
        rows = [row | {"label": label, "histogram": fortnights[label].to_bytes()} for label in fortnights]
        connection.execute(COUNTS.insert(), rows)


def _make_sums(connection: sa.Connection) -> None:
    labels = {number: label for number, (label, _) in labels_in(connection).items()}
    for span in (Span.MINUTE, Span.HOUR):
        for start, counted in groupby(_counted(connection, span), lambda row: row[0]):
            summed = Sum()
            for _, label, latencies in counted:
                summed.add(labels[label], latencies)
            connection.execute(
                SUMS.insert().values(span=span, start=start, revision=0, **asdict(summed.row()))
            )


def _counted(connection: sa.Connection, span: Span) -> Iterator[tuple[int, int, Histogram]]:
    """Yield (start, label, latencies) of each row of *span*, oldest first."""
    of_span = sa.select(COUNTS.c.start, COUNTS.c.label, COUNTS.c.histogram).where(COUNTS.c.span == span)
    starts = connection.scalars(sa.select(COUNTS.c.start).where(COUNTS.c.span == span).distinct()).all()
    for some in batches(sorted(starts), 60):
        for start, label, histogram in connection.execute(
            of_span.where(COUNTS.c.start.in_(some)).order_by(COUNTS.c.start)
        ).all():
            yield start, label, Histogram.from_bytes(histogram)


def batches(numbers: Sequence[int], size: int = 500) -> Iterator[Sequence[int]]:
    """Yield *numbers* in parts that a statement can name."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def labels_in(connection: sa.Connection) -> dict[int, tuple[Label, int]]:
    """Return each label by its number, and the minute when it was last seen."""
    rows = connection.execute(sa.select(LABELS))
    return {number: (Label(*names), seen) for number, *names, seen in rows}
