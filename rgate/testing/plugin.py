"""The pytest plugin: a gateway and backends as fixtures, and why a test failed (behaviour 11).

pytest loads it wherever rgate is installed, for tests that have nothing to do with it too: nothing more of
rgate, and none of its libraries, is imported before a fixture is used.
"""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rgate.testing.backend import StartBackend
    from rgate.testing.gateway import GivenConfig, RunningGateway, StartGateway

_RUNNING: "pytest.StashKey[list[RunningGateway]]" = pytest.StashKey()
_BEGAN = pytest.StashKey[float]()


@pytest.fixture
def rgate_gateway(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[StartGateway]":
    """Start a gateway, `rgate_gateway("config.yml")`; it ends with the test."""
    numbers = itertools.count()

    def directory() -> Path:
        made = tmp_path / f"rgate-{next(numbers)}"
        made.mkdir()
        return made

    with _gateways(request.config, directory) as start:
        yield start


@pytest.fixture(scope="session")
def rgate_gateway_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[StartGateway]":
    """Start a gateway that lives until it is closed, or the tests end: for fixtures of a wider scope."""
    with _gateways(request.config, lambda: tmp_path_factory.mktemp("rgate")) as start:
        yield start


@contextlib.contextmanager
def _gateways(session: pytest.Config, directory: Callable[[], Path]) -> "Iterator[StartGateway]":
    from rgate.testing.gateway import RunningGateway

    running = session.stash.setdefault(_RUNNING, [])
    with contextlib.ExitStack() as opened:

        def start(config: "GivenConfig", *options: str) -> RunningGateway:
            gateway = opened.enter_context(RunningGateway(directory(), config, *options))
            running.append(gateway)
            opened.callback(running.remove, gateway)
            return gateway

        yield start


@pytest.fixture
def rgate_backend() -> "Iterator[StartBackend]":
    """Start an HTTP backend, `rgate_backend(status=200, body=b"…")`; it ends with the test."""
    from rgate.testing.backend import HttpBackend

    with contextlib.ExitStack() as opened:

        def start(*answer: Any, **more: Any) -> HttpBackend:
            return opened.enter_context(HttpBackend(*answer, **more))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what its gateways tell to the report of a test that failed."""
    report = yield
    if call.when == "setup":
        item.stash[_BEGAN] = call.start
    gateways = item.config.stash.get(_RUNNING, [])
    if report.failed and gateways:
        from rgate.testing.report import told_of

        if told := told_of(gateways, item.stash[_BEGAN]):
            report.sections.append(("rgate", told))
    return report
