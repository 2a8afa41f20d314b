"""A browser for the tests of one worker, pages in it that are watched, and gateways to look at."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.gateways import two_backends
from tests.browser.looking import Look
from tests.integration.backend import Backend, running_backend
from tests.integration.conftest import containers, daemon, demo_image, docker_client
from tests.integration.gateway import ROOT, Gateway, running

__all__ = ["containers", "daemon", "demo_image", "docker_client"]

Open = Callable[..., Look]
Run = Callable[..., Gateway]

SIZE = (1280, 900)
PICTURES = ROOT / "screenshots"


# Not for the session: while Playwright runs, nothing else in this process can run an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a gateway until the end of the test, when no page asks it any more: as `running`, but for that."""
    with contextlib.ExitStack() as gateways:
        yield lambda config, *options, **more: gateways.enter_context(
            running(tmp_path, config, *options, **more)
        )


@pytest.fixture
def look(browser: Browser, run: Run) -> Iterator[Open]:  # noqa: ARG001 # it ends after the pages
    """Open a page of rgate in a window of its own; at the end it must have done nothing that none may do."""
    looks: list[Look] = []

    def look(
        url: str,
        *,
        size: tuple[int, int] = SIZE,
        javascript: bool = True,
        expected_error: str | None = None,
    ) -> Look:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=javascript
        )
        context.set_default_timeout(10_000)
        looks.append(made := Look(context.new_page(), expected_error))
        made.page.goto(url)
        if urlsplit(url).path == "/stats":
            assert made.at("#verdict").count() == 1, "this is not the page"
        return made

    try:
        yield look
        assert [complaints for made in looks if (complaints := made.complaints())] == []
    finally:
        for made in looks:
            made.page.context.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[Gateway]:
    """A gateway with 20 requests that were answered, and 15 that could not be. It needs no Docker."""
    directory: Path = tmp_path_factory.mktemp("troubled")
    with running(directory, two_backends(backend.port)) as gateway, gateway.client() as client:
        for n in range(20):
            assert client.get(f"/api/{n}").status == 200
        for n in range(15):
            assert client.get(f"/dead/{n}").reason == "connect_failed"
        yield gateway
