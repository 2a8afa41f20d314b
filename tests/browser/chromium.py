"""Chromium as the tests have it: no window, a profile of its own, and nothing reached but this machine."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

# Those that scripts/setup-browser looks for.
_NAMES = ("chromium", "chromium-browser", "google-chrome")

FLAGS = (
    "--no-sandbox",  # it needs privileges that root in a container lacks
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # No name is known here, so that nothing can be asked elsewhere, whatever a page or Chromium itself wants.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def why_it_cannot_be_used() -> str | None:
    """Return what is missing, and how to have it; None where a Chromium starts."""
    executable = _executable()
    if executable is None:
        return "no Chromium was found: install it as root, apt-get install chromium"
    try:
        subprocess.run([executable, "--version"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{executable} does not start: {error}"
    return None


def _executable() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    # Playwright removes its profile at the end. It is never asked for a browser of its own.
    with (
        sync_playwright() as playwright,
        contextlib.closing(
            playwright.chromium.launch(executable_path=_executable(), headless=True, args=[*FLAGS])
        ) as browser,
    ):
        yield browser
