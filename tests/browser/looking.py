"""A page as somebody sees it, and what it does that nobody sees: requests, refusals, moves, errors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

WATCH: Final = Path(__file__).parent / "watch.js"


@dataclass
class Look:
    """One page in a browser; *gone_is_expected*: its gateway is to be ended, so requests will fail."""

    page: Page
    gone_is_expected: bool = False
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
        lost = "net::ERR_" in message.text and self.gone_is_expected
        if message.type in ("error", "warning") and not lost:
            self.errors.append(message.text)

    def seen(self, what: str) -> Any:
        return self.page.evaluate(f"window.seen?.{what}")

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
