"""Databases for the tests of what lasts."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.contract.stats import postgres


@pytest.fixture(autouse=True, scope="module")
def patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """A database on a busy machine is not silent; but for those whose subject that is."""
    with pytest.MonkeyPatch.context() as patched:
        if not request.module.__name__.endswith("test_silent_database"):
            patched.setattr("rgate.stats.lasting.SILENT_S", 60.0)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server where databases may be made: RGATE_TEST_POSTGRES's, else one of our own."""
    if url := os.environ.get("RGATE_TEST_POSTGRES"):
        yield url
        return
    binaries = postgres.programs()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed, and RGATE_TEST_POSTGRES names none")
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database."""
    with _database(postgres_server, "") as url:
        yield url


@pytest.fixture
def latin1_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database that cannot hold every name."""
    with _database(postgres_server, _encoding("LATIN1")) as url:
        yield url


@pytest.fixture
def ascii_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database without an encoding, as `initdb` makes them in the locale C."""
    with _database(postgres_server, _encoding("SQL_ASCII")) as url:
        yield url


def _encoding(name: str) -> str:
    return f"ENCODING '{name}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"


@contextmanager
def _database(server_url: str, options: str) -> Iterator[str]:
    name = f"rgate_test_{uuid.uuid4().hex}"
    server = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
    yield sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()
