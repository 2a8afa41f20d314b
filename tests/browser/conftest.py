"""A browser for the tests of one worker, and pages in it that are watched."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.looking import Look

Open = Callable[..., Look]

SIZE = (1280, 900)


# Not for the session: while Playwright runs, nothing else in this process can run an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser) -> Iterator[Open]:
    """Open a URL in a window of its own; at the end it must have done nothing that no page may do."""
    looks: list[Look] = []

    def look(
        url: str,
        *,
        size: tuple[int, int] = SIZE,
        javascript: bool = True,
        gone_is_expected: bool = False,
    ) -> Look:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=javascript
        )
        context.set_default_timeout(10_000)
        looks.append(made := Look(context.new_page(), gone_is_expected))
        made.page.goto(url)
        return made

    try:
        yield look
        assert [complaints for made in looks if (complaints := made.complaints())] == []
    finally:
        for made in looks:
            made.page.context.close()
