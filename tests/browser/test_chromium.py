"""The browser that the tests have, and what it may reach."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error

from tests.browser.conftest import Open
from tests.integration.backend import Backend, running_backend

pytestmark = [pytest.mark.integration, pytest.mark.browser]


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


def test_it_reaches_this_machine(look: Open, backend: Backend) -> None:
    made = look(f"http://127.0.0.1:{backend.port}/api")
    assert made.page.inner_text("body") == "ok"
    assert made.requests == [f"http://127.0.0.1:{backend.port}/api"]


@pytest.mark.parametrize("name", ["rgate.example", "localhost.example"])
def test_it_reaches_nothing_else(browser: Browser, name: str) -> None:
    page = browser.new_page()
    with pytest.raises(Error, match="net::ERR_NAME_NOT_RESOLVED"):
        page.goto(f"http://{name}/")
    page.close()
