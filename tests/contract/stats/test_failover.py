"""PostgreSQL with more than one server, or more than one rgate: nobody is locked out for long."""

import contextlib
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from rgate.stats import store as store_module
from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.store import Store, StoreUnavailableError, open_store

NOW = 600_000
COUNTS = {(NOW, Label("/a", "a", "c", 200, cut=False)): Histogram([5])}


@pytest.fixture
def stores(postgres_url: str) -> Iterator[tuple[Store, Store]]:
    """Two rgates on one database."""
    with contextlib.ExitStack() as opened:
        one, other = (opened.enter_context(contextlib.closing(open_store(postgres_url)[0])) for _ in range(2))
        one.fold("one", 1, COUNTS, NOW)
        yield one, other


@pytest.mark.clause("7.last.failover")
def test_a_server_that_became_read_only_is_left_for_the_one_that_took_over(
    stores: tuple[Store, Store], postgres_url: str
) -> None:
    one, _ = stores
    server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    name = sa.make_url(postgres_url).database

    def set_read_only(is_read_only: bool) -> None:
        """What it means for connections that are made from now on; those that are there stay as they are."""
        with server.connect() as connection:
            connection.exec_driver_sql(
                f"ALTER DATABASE {name} SET default_transaction_read_only = {is_read_only}"
            )

    set_read_only(True)
    one._engine.dispose()
    with pytest.raises(StoreUnavailableError, match="read-only"):
        one.fold("one", 2, COUNTS, NOW)
    server.dispose()
    server = sa.create_engine(
        postgres_url,
        isolation_level="AUTOCOMMIT",
        connect_args={"options": "-c default_transaction_read_only=off"},
    )
    set_read_only(False)
    one.fold("one", 2, COUNTS, NOW)
    server.dispose()


@pytest.mark.clause("7.last.failover")
def test_an_rgate_that_stands_still_amid_a_transaction_locks_no_other_out(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "IDLE_TIMEOUT_S", 1)
    one, other = stores
    with pytest.raises(StoreUnavailableError), one._writing():
        other.fold("other", 1, COUNTS, NOW)
    one.fold("one", 2, COUNTS, NOW)
