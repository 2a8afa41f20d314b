"""Starts the gateways, and gives each case its own route, client and backend.

The gateways are rgate's engines. `CONTRACT_GATEWAYS=nginx,haproxy` names others: see
`scripts/conformance.py`, which runs these cases on all of them.
"""

import importlib
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.contract.http.clauses import CLAUSE, LACKING, Capability
from tests.contract.http.gateways import PLAIN_ASYNCIO, Gateway, Rgate
from tests.contract.http.peers import PEERS
from tests.contract.http.site import FEW, HOST_KINDS, KINDS, Kind, Lane, Site
from tests.contract.http.wire import Wire

DESCRIPTORS = 8192  # each lane listens


def _engines() -> list[str]:
    engines = importlib.import_module("rgate.engines")  # here, as peers are tested without rgate
    return sorted(getattr(engines, "ENGINES", ()))


def _gateways() -> list[str]:
    if named := os.environ.get("CONTRACT_GATEWAYS"):
        return named.split(",")
    return [*_engines(), PLAIN_ASYNCIO]


def pytest_configure() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))


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
    if isinstance(item, pytest.Function) and PLAIN_ASYNCIO in _parameters(item):
        item.add_marker(pytest.mark.slow)  # all of it once more, on another loop


def _parameters(item: pytest.Function) -> list[object]:
    return list(item.callspec.params.values()) if hasattr(item, "callspec") else []


def _expect_failure(item: pytest.Item, needs: Capability) -> None:
    assert isinstance(item, pytest.Function)
    why = LACKING.get(str(item.callspec.params["gateway"]), {}).get(needs)
    if why is not None:
        item.add_marker(pytest.mark.xfail(strict=True, reason=f"cannot carry {needs.value}: {why}"))


def _started(gateway: Gateway) -> Gateway:
    try:
        gateway.start()
    except BaseException:
        gateway.stop()
        raise
    return gateway


def _gateway(name: str, site: Site, directory: Path) -> Gateway:
    if name in PEERS:
        return PEERS[name](site, directory)
    return Rgate(site, directory, name, logging=site.limited)


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Return the gateway under test, without limits of its own."""
    gateway = _started(_gateway(request.param, Site(), tmp_path_factory.mktemp(request.param)))
    yield gateway
    gateway.stop()


def _another(gateway: Gateway, site: Site, directories: pytest.TempPathFactory) -> Iterator[Gateway]:
    another = _started(_gateway(gateway.name, site, directories.mktemp(gateway.name)))
    yield another
    another.stop()


@pytest.fixture(scope="session")
def with_limits(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from _another(gateway, Site(limited=True), tmp_path_factory)


@pytest.fixture
def limited(with_limits: Gateway) -> Iterator[Gateway]:
    """Return a second one, with limits on bodies and connections, and peers that it trusts and allows."""
    yield with_limits
    with_limits.close_clients()


@pytest.fixture(scope="session")
def with_hosts(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    if gateway.lacks & HOST_KINDS.keys():
        pytest.skip(f"{gateway.name} cannot be set to have such routes")
    yield from _another(gateway, Site(HOST_KINDS), tmp_path_factory)


@pytest.fixture
def hosting(with_hosts: Gateway) -> Iterator[Gateway]:
    """Return a third one, whose routes are for some hosts and not for others."""
    yield with_hosts
    with_hosts.close_clients()


@pytest.fixture(scope="session")
def with_few_routes(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from _another(gateway, Site(_few_of("single", "enveloped")), tmp_path_factory)


@pytest.fixture
def counted(with_few_routes: Gateway) -> Iterator[Gateway]:
    """Return a fourth one, whose figures tell of each route, however many cases the others have a minute.

    Each case waits until its requests are in the figures: they are in no later one's.
    """
    yield with_few_routes
    with_few_routes.close_clients()


def _few_of(*kinds: str) -> dict[str, Kind]:
    return {name: replace(KINDS[name], number=FEW) for name in kinds}


class Launch(Protocol):
    """Starts one more gateway like the one under test: with *options*, and so many lanes of each kind."""

    def __call__(self, *options: str, **kinds: int) -> Gateway: ...


@pytest.fixture
def launch(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Return a way to start gateways for this case alone, which it may end."""
    launched: list[Gateway] = []

    def start(*options: str, **kinds: int) -> Gateway:
        if not isinstance(gateway, Rgate):
            pytest.skip("its command line is another")
        directory = tmp_path_factory.mktemp(gateway.name)
        site = Site({name: replace(KINDS[name], number=number) for name, number in kinds.items()})
        launched.append(Rgate(site, directory, gateway.name, *options, logging=True))
        return _started(launched[-1])

    yield start
    for one in launched:
        one.stop()


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
trio = _lane_fixture("trio")  # three, and a short time to connect
ten_dead = _lane_fixture("ten_dead")  # ten that refuse, and a short time to connect
half = _lane_fixture("half")  # the first of two refuses
dead = _lane_fixture("dead")  # both refuse
alone = _lane_fixture("alone")  # the only one refuses
hasty = _lane_fixture("hasty")  # short time-outs
hasty_pair = _lane_fixture("hasty_pair")
least_pair = _lane_fixture("least_pair")  # policy: least_inflight, response_format: envelope
enveloped = _lane_fixture("enveloped")  # response_format: envelope
hasty_enveloped = _lane_fixture("hasty_enveloped")
stripping = _lane_fixture("stripping")  # strip_prefix: true
slashed = _lane_fixture("slashed")  # strip_prefix: true, and a prefix that ends with a slash
segmented = _lane_fixture("segmented")  # match: segment
