"""Databases and files that are broken while rgate runs under load (behaviour 7)."""

import contextlib
import http.client
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.backend import Backend, running_backend
from tests.integration.gateway import Gateway, get, running, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.parametrize("workers", ["1", "2"])]

NOWHERE = {"DOCKER_HOST": "unix:///nowhere"}


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


class Load:
    """Clients that ask until they are told to end, and count what they got."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self.answered = self.failed = 0
        self._clients = [threading.Thread(target=self._ask) for _ in range(2)]

    def _ask(self) -> None:
        while not self._ends.is_set():
            # A worker that is ended cuts what it had under way: also in the middle of a response.
            with contextlib.suppress(OSError, http.client.HTTPException):
                answered = get(self._port, "/api/x").status == 200
                with self._lock:
                    self.answered += answered
                    self.failed += not answered

    def __enter__(self) -> "Load":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for client in self._clients:
            client.join()

    def until(self, answered: int) -> None:
        wait_until(lambda: self.answered, lambda now: now >= answered, within_s=60)


def log_into_file(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def garbage(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"a letter to my aunt\n" * 2000)


def another(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path.with_name("other"))) as connection:
        connection.execute("CREATE TABLE letters (to_aunt TEXT)")
        connection.commit()
    path.write_bytes(path.with_name("other").read_bytes())


def said(gateway: Gateway, words: str) -> None:
    wait_until(gateway.errors, lambda errors: words in errors, within_s=30)


@pytest.mark.parametrize("lose", [garbage, another, Path.unlink])
def test_a_database_that_is_lost_loses_nothing_that_is_counted_since(
    backend: Backend, tmp_path: Path, workers: str, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "rgate.db"
    with running(tmp_path, backend.config(), "--workers", workers, environment=NOWHERE) as gateway:
        with Load(gateway.port) as load:
            load.until(200)
            log_into_file(path)
            before = load.answered
            lose(path)
            said(gateway, "stats_database_gone" if lose is Path.unlink else "stats_database_set_aside")
            load.until(before + 400)
        assert load.failed == 0
        assert gateway.stats()["requests_count"]["success"] >= load.answered - before
        assert gateway.stop() == 0
        assert gateway.errors().count("stats_database_set_aside") == (lose is not Path.unlink)
    with running(tmp_path, backend.config(), environment=NOWHERE) as gateway:
        assert gateway.stats()["requests_count"]["success"] >= load.answered - before


def test_live_files_that_are_shortened_end_at_most_their_worker(
    backend: Backend, tmp_path: Path, workers: str
) -> None:
    if workers == "1":
        pytest.skip("whoever counts into the hole is ended by the system, and there is nobody to replace it")
    with running(tmp_path, backend.config(), "--workers", workers, environment=NOWHERE) as gateway:
        with Load(gateway.port) as load:
            load.until(200)
            for live_file in tmp_path.glob("rgate.db.live-*"):
                os.truncate(live_file, 5000)
            said(gateway, "live_file_torn")
            load.until(load.answered + 400)
        assert gateway.stop() == 0
