"""Whether the database of the figures can be used: tried, and nothing changed (`doctor`, behaviour 9)."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rgate.core.doctor import DatabaseFacts
from rgate.core.url_secrets import url_without_secrets
from rgate.stats.database import StatsError, advice_on, engine_of, resolved, sqlite_path
from rgate.stats.schema import STATE, VERSION, EncodingError, ForeignError, check_encoding, version_in

_MOVE_AWAY: Final = "move the file away, or name another with --db or `stats.database`"
_BUSY_S: Final = 2.0
_PROBE: Final = sa.Table("rgate_doctor", sa.MetaData(), sa.Column("id", sa.Integer))


class Place(NamedTuple):
    """Where a database is. *directory*: of SQLite's file, else None; *host*: of a server, else ""."""

    directory: Path | None
    host: str


def place_of(database_url: str) -> Place:
    """Return where the database at *database_url* is; nowhere where it is no URL."""
    try:
        url = sa.make_url(database_url)
        if url.get_backend_name() == "sqlite":
            return Place(resolved(url.database or "").parent, "")
    except (SQLAlchemyError, ValueError, StatsError):
        return Place(None, "")
    return Place(None, url.host or "")


def try_database(database_url: str) -> DatabaseFacts:
    """Return whether the database at *database_url* can be written."""
    try:
        engine = engine_of(database_url)
    except StatsError as error:
        why, _, do = str(error).removeprefix("stats.database: ").rpartition(": ")
        return DatabaseFacts("the database", why, do)
    name = url_without_secrets(database_url)
    file = sqlite_path(engine)
    with contextlib.ExitStack() as ending:
        ending.callback(engine.dispose)
        try:
            if file is not None and not file.exists():
                with tempfile.TemporaryFile(dir=file.parent):
                    return DatabaseFacts(name, is_new=True)
            return _tried(engine, name)
        except (FileNotFoundError, NotADirectoryError):
            return DatabaseFacts(name, "its directory is not there", "make it, or name another with --db")
        except OSError as error:
            return DatabaseFacts(name, error.strerror or type(error).__name__, advice_on("SQLITE_CANTOPEN"))
        except EncodingError as error:
            why = f"it has the encoding {error.encoding}, which has no letters for some names"
            return DatabaseFacts(name, why, "name one with UTF8 by --db or `stats.database`")
        except ForeignError:
            return DatabaseFacts(name, "it is a database of another program's", _MOVE_AWAY)
        except SQLAlchemyError as error:
            return DatabaseFacts(name, *_told(error))


def _tried(engine: sa.Engine, name: str) -> DatabaseFacts:
    """Write, as one that starts would, and take it back."""
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite:  # by itself: what rgate does to a new connection, it does to the file
        engine = sa.create_engine(engine.url, connect_args={"timeout": _BUSY_S}, poolclass=sa.NullPool)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
        check_encoding(connection)
        version = version_in(connection)
        if version is not None and version > VERSION:
            return DatabaseFacts(
                name,
                f"it has version {version} of the schema, made by a newer rgate, and this one knows up to "
                f"{VERSION}",
                "use that rgate, or another database with --db or `stats.database`",
            )
        if version is None:
            _PROBE.create(connection)
        else:
            connection.execute(STATE.update().values(revision=STATE.c.revision))
        connection.exec_driver_sql("ROLLBACK")
    return DatabaseFacts(name)


def _told(error: SQLAlchemyError) -> tuple[str, str]:
    """Return why a database fails, in one line, and what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorname", "") if isinstance(cause, sqlite3.Error) else ""
    why = " ".join(str(cause).split()) or type(cause).__name__
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return (
            f"{why}: another process keeps it locked",
            "end what holds it (`fuser FILE` tells), or name another",
        )
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return why, _MOVE_AWAY
    if code.startswith("SQLITE_FULL"):
        return why, "make room on its disk, or put the database elsewhere with --db or `stats.database`"
    return why, advice_on(code)
