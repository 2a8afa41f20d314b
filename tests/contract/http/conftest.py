"""Starts the gateways, and gives each case its own route, client and backend.

The gateways are rgate's engines. `CONTRACT_GATEWAYS=nginx,haproxy` names others: see
`scripts/conformance.py`, which runs these cases on all of them.
"""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.http.clauses import CLAUSE, LACKING, Capability
from tests.contract.http.gateways import PLAIN_ASYNCIO, Gateway, Rgate
from tests.contract.http.peers import PEERS
from tests.contract.http.site import Lane, Site
from tests.contract.http.wire import Wire


def _engines() -> list[str]:
    engines = importlib.import_module("rgate.engines")  # here, as peers are tested without rgate
    return sorted(getattr(engines, "ENGINES", ()))


def _gateways() -> list[str]:
    if named := os.environ.get("CONTRACT_GATEWAYS"):
        return named.split(",")
    return [*_engines(), PLAIN_ASYNCIO]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{CLAUSE}(*sources, own_choice, needs): what a case holds")
    config.addinivalue_line("markers", "slow: takes seconds, as time or size is its subject")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "gateway" in metafunc.fixturenames:
        metafunc.parametrize("gateway", _gateways(), indirect=True, scope="session")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Record what the case holds, and expect it to fail where the engine lacks what it needs."""
    marks = list(item.iter_markers(CLAUSE))
    for mark in marks:
        item.user_properties += [("source", source) for source in mark.args]
        if why := mark.kwargs["own_choice"]:
            item.user_properties.append(("own choice", why))
        if needs := mark.kwargs["needs"]:
            _expect_failure(item, needs)


def _expect_failure(item: pytest.Item, needs: Capability) -> None:
    assert isinstance(item, pytest.Function)
    why = LACKING.get(str(item.callspec.params["gateway"]), {}).get(needs)
    if why is not None:
        item.add_marker(pytest.mark.xfail(strict=True, reason=f"cannot carry {needs.value}: {why}"))


def _start(name: str, site: Site, directory: Path) -> Gateway:
    gateway = PEERS[name](site, directory) if name in PEERS else Rgate(site, directory, name)
    try:
        gateway.start()
    except BaseException:
        gateway.stop()
        raise
    return gateway


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Return the gateway under test, without limits of its own."""
    gateway = _start(request.param, Site(), tmp_path_factory.mktemp(request.param))
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def limited(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Return a second one, with limits on bodies and connections, that trusts the peer 127.0.0.1."""
    limited = _start(gateway.name, Site(limited=True), tmp_path_factory.mktemp(gateway.name))
    yield limited
    limited.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Wire]:
    """Return a connection to the gateway."""
    yield gateway.client()
    gateway.close_clients()


def _lane_fixture(kind: str) -> object:
    @pytest.fixture(name=kind if kind != "single" else "backend")
    def lane(gateway: Gateway) -> Iterator[Lane]:
        lane = gateway.lane(kind)
        yield lane
        lane.close()
        gateway.close_clients()

    return lane


backend = _lane_fixture("single")
pair = _lane_fixture("pair")  # two backends
half = _lane_fixture("half")  # the first of two refuses
dead = _lane_fixture("dead")  # both refuse
alone = _lane_fixture("alone")  # the only one refuses
hasty = _lane_fixture("hasty")  # short time-outs
hasty_pair = _lane_fixture("hasty_pair")
stripping = _lane_fixture("stripping")  # strip_prefix: true
segmented = _lane_fixture("segmented")  # match: segment
