"""A PostgreSQL that is frozen holds up nothing but its own figures, and not for long (behaviour 7 and 8)."""

import contextlib
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.contract.stats import postgres
from tests.integration.backend import Backend
from tests.integration.gateway import Gateway, get, running, wait_until
from tests.refusing import refuses

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server that no other test uses."""
    binaries = postgres.programs()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture
def database(server: str) -> str:
    name = f"rgate_test_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def gateway_on(database: str, backend: Backend, directory: Path, *options: str) -> Iterator[Gateway]:
    environment = {"DOCKER_HOST": "unix:///nowhere", "XDG_STATE_HOME": str(directory)}
    config = backend.config()
    with running(directory, config, "--db", database, *options, environment=environment) as gateway:
        yield gateway


@contextlib.contextmanager
def asked_for_figures(gateway: Gateway, times: int) -> Iterator[None]:
    """Ask for the figures so many times at once, and go on before there is an answer."""
    with ThreadPoolExecutor(times) as pool:
        asked = [pool.submit(gateway.get, "/stats") for _ in range(times)]
        yield
        assert [one.result().status for one in asked] == [200] * times


@pytest.mark.clause("7.query.delays", "7.query.stale", "8.pages.memory_database")
def test_a_frozen_database_holds_up_no_request_and_no_page(
    database: str, backend: Backend, tmp_path: Path
) -> None:
    with gateway_on(database, backend, tmp_path) as gateway:
        assert gateway.get("/api/x").status == 200
        assert gateway.get("/stats").fields["X-Rgate-Stale"] is None
        with postgres.frozen(database):
            with asked_for_figures(gateway, 20):
                assert gateway.get("/_rgate/healthz").status == 200
                assert gateway.get("/_rgate/readyz").status == 200
                assert gateway.get("/_rgate/backends").status == 200
                assert gateway.get("/api/x").status == 200
            stale = gateway.get("/stats")
            assert stale.json()["requests_count"] == {"success": 2, "error": 0}
            assert int(stale.fields["X-Rgate-Stale"]) >= 1
        wait_until(
            lambda: gateway.get("/stats").fields["X-Rgate-Stale"], lambda stale: stale is None, within_s=20
        )
        assert gateway.stats()["requests_count"] == {"success": 2, "error": 0}
        assert gateway.stop() == 0


@pytest.mark.clause("7.query.delays")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_rgate_ends_though_its_database_is_frozen_and_the_next_start_knows_all(
    database: str, backend: Backend, tmp_path: Path, workers: str
) -> None:
    with gateway_on(database, backend, tmp_path, "--workers", workers) as gateway:
        for _ in range(4):
            assert gateway.get("/api/x").status == 200
        with postgres.frozen(database):
            with asked_for_figures(gateway, 6):
                gateway.send_signal(signal.SIGTERM)
            assert gateway.exit_status(within_s=8) == 0
    with gateway_on(database, backend, tmp_path) as gateway:
        assert gateway.stats()["requests_count"] == {"success": 4, "error": 0}
        assert gateway.stop() == 0


@pytest.mark.clause("7.query.delays", "8.stop.second")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_rgate_though_its_database_is_frozen(
    database: str, backend: Backend, tmp_path: Path, workers: str
) -> None:
    with (
        gateway_on(database, backend, tmp_path, "--workers", workers) as gateway,
        postgres.frozen(database),
    ):
        asking = threading.Thread(target=_ask, args=(gateway.port,))
        asking.start()
        assert backend.entered.wait(10)
        with asked_for_figures(gateway, 6):
            pass
        gateway.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway.port), bool, within_s=5)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.exit_status(within_s=4) == 1
        asking.join(10)


def _ask(port: int) -> None:
    with contextlib.suppress(OSError):
        get(port, "/api/slow")
