"""A page as somebody sees it, and what it does that nobody sees: requests, refusals, moves, errors."""

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

GONE: Final = "net::ERR_"
"""How the console begins to tell that nobody answered a request."""

WATCH: Final = Path(__file__).parent / "watch.js"
AXE: Final = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@dataclass
class Look:
    """One page in a browser; *expected_error*: what the console may say of a request that has to fail."""

    page: Page
    expected_error: str | None = None
    requests: list[str] = field(default_factory=list)
    """The URLs that were asked for."""
    errors: list[str] = field(default_factory=list)
    """What the console holds of errors and warnings, and exceptions that nobody caught."""

    def __post_init__(self) -> None:
        self.page.add_init_script(path=WATCH)
        self.page.on("request", self._asked)
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _told(self, message: ConsoleMessage) -> None:
        expected = self.expected_error is not None and self.expected_error in message.text
        if message.type in ("error", "warning") and not expected:
            self.errors.append(message.text)

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def seen(self, what: str) -> Any:
        """Return what watch.js tells under this name; None where no script runs."""
        return self.page.evaluate(f"window.seen?.{what}")

    def wait_until(self, condition: str, within_s: float = 10) -> None:
        """Wait until a condition in JavaScript holds; it may speak of `seen`."""
        # Playwright's own wait_for_function evaluates a string in the page, which its policy refuses.
        self.page.evaluate(
            f"""new Promise((hold, fail) => {{
              const look = setInterval(() => {{ if ({condition}) {{ clearInterval(look); hold(); }} }}, 50);
              setTimeout(() => fail(Error("not in {within_s} s: heard " + JSON.stringify(seen.heard))),
                         {within_s} * 1000);
            }})"""
        )

    def wait_until_live(self) -> "Look":
        """Wait until the page shows what the stream told; fail at once where it says that there is none."""
        self.wait_until("seen.heard.tick > 0 || verdict.dataset.level === 'lost'")
        assert self.seen("heard.tick"), "the page has no contact"
        return self

    def barriers(self) -> list[str]:
        """Return what axe finds serious or critical, each with where it is."""
        self.page.evaluate(AXE)
        told = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{one['help']}: {', '.join(str(node['target'][0]) for node in one['nodes'])}"
            for one in told["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def complaints(self) -> dict[str, list[str]]:
        """What no page of rgate's may ever do, each with where it was done; empty when all is well."""
        elsewhere = [
            url
            for url in self.requests
            if (parts := urlsplit(url)).scheme != "data" and parts.hostname != "127.0.0.1"
        ]
        found = {
            "errors": self.errors,
            "requests elsewhere": elsewhere,
            "refused by the policy": self.seen("refused") or [],
        }
        return {what: told for what, told in found.items() if told}
