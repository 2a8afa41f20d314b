"""Connections to the figures' database: SQLite or PostgreSQL, by SQLAlchemy."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

BUSY_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5
_BUSY_PAUSE_S: Final = 0.005
_HIGHEST_PORT: Final = 65535
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class StatsError(Exception):
    """The database cannot be used; the message is one line that says what to do."""


def advice_on(sqlite_error: str) -> str:
    """Return what to do where a database fails; *sqlite_error* is SQLite's name of it, or ""."""
    if sqlite_error.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_PERM")):
        return "Let rgate write to the file and its directory, or name another."
    return "See that the server runs and lets rgate in, or name another."


def engine_of(database_url: str) -> sa.Engine:
    """Return what connects to the database at *database_url*. Raises StatsError."""
    try:
        url = sa.make_url(database_url)
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        _check_server(url)
        return sa.create_engine(url, pool_pre_ping=True, pool_size=3, connect_args=_asked_for(url))
    except (ArgumentError, ValueError) as error:
        raise StatsError(
            "stats.database: this is no database URL: write one such as sqlite:///rgate.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from error
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        name = url.drivername
        raise StatsError(
            f"stats.database: the driver of {name} is not installed: install it (for PostgreSQL by `pip "
            f"install 'psycopg[binary]'`, and write postgresql+psycopg://…), or use sqlite:///rgate.db."
        ) from error


def _check_server(url: sa.URL) -> None:
    """Raise StatsError where the URL names what no server has: its driver says that the server is away."""
    ports = _values(url, "port") + ([] if url.port is None else [str(url.port)])
    if not all(port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT for port in ports):
        raise StatsError(f"stats.database: there is no such port: write one from 1 to {_HIGHEST_PORT}.")
    if any(mode not in _SSL_MODES for mode in _values(url, "sslmode")):
        raise StatsError(f"stats.database: there is no such sslmode: write one of {', '.join(_SSL_MODES)}.")


def _values(url: sa.URL, name: str) -> list[str]:
    """Return what the query of *url* says of *name*: of each server one."""
    return [value for said in url.normalized_query.get(name, ()) for value in said.split(",") if value]


def _asked_for(url: sa.URL) -> dict[str, int | str]:
    """Return how long a server is waited for that is away, how a connection to it is noticed to be dead, and
    how text goes over it.

    What the URL says itself, counts.
    """
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    asked_for: dict[str, int | str] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms
        "client_encoding": "utf8",  # else the database's, in which a name may not be
    }
    return {key: value for key, value in asked_for.items() if key not in url.query}


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StatsError("stats.database: figures must last, so SQLite needs a file: use sqlite:///rgate.db.")
    # SQLite is never to make the file: it would for everybody to read, and in place of one that was removed.
    path = quote(str(resolved(url.database)))
    url = url.set(database=f"file:{path}", query={**url.query, "mode": "rw", "uri": "true"})
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def resolved(database: str) -> Path:
    """Return the file of a SQLite database, behind all links: SQLite puts its log beside that one. Raises
    StatsError.
    """
    try:
        return Path(os.path.realpath(database))
    except OSError as error:  # of a relative one
        raise StatsError(
            "stats.database: the directory that rgate is started in is not there any more: "
            "start it in another, or name the database by its whole path."
        ) from error


def _set_up_sqlite(connection: object, _record: object) -> None:
    # The driver begins transactions by itself, and too late for reads: we do it in _begin_sqlite.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables or "rgate_schema" in tables:  # else it is somebody else's, and nothing is changed in it
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


def sqlite_path(engine: sa.Engine) -> Path | None:
    """Return the file of *engine*, of `engine_of`; None where it is not SQLite's."""
    if engine.dialect.name != "sqlite":
        return None
    return Path(unquote((engine.url.database or "").removeprefix("file:")))


def check_path(path: Path) -> None:
    """Raise StatsError where there can be no SQLite database at *path*."""
    directory = path.parent
    if not directory.is_dir():
        raise StatsError(f"stats.database: the directory {directory} is not there: make it, or name another.")
    if path.is_dir():
        raise StatsError(f"stats.database: {path} is a directory: name a file in it.")
    if path.exists() and not path.is_file():
        raise StatsError(f"stats.database: {path} is no file, but a pipe or a device: name another.")
