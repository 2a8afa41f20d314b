"""That what a page does wrong is seen: a test that watches a page is worth no more than that."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import Open

pytestmark = [pytest.mark.integration, pytest.mark.browser]

POLICY = "default-src 'none'; script-src 'self'; img-src http:"
WRONG = b"""<!doctype html><title>x</title><body><script>alert(1)</script>
<p id=told>told</p><input><script src=/x.js></script>"""
SCRIPT = b"""
setTimeout(() => {
  console.error("nobody hears me");
  new Image().src = "http://elsewhere.example/x.png";
  const above = document.createElement("p");
  above.textContent = "it moves";
  told.before(above);
}, 100);
"""


class _Wrong(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if self.path == "/x.js" else "text/html")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(SCRIPT if self.path == "/x.js" else WRONG)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wrong() -> Iterator[str]:
    """The address of a page that does all that no page may do."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Wrong) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_errors_requests_elsewhere_refusals_moves_and_barriers_are_seen(look: Open, wrong: str) -> None:
    shown = look(wrong)
    shown.wait_until("seen.shifts.length > 0")
    (shift,) = shown.seen("shifts")
    assert shift["by"] > 0
    complaints = shown.complaints()
    assert complaints["requests elsewhere"] == ["http://elsewhere.example/x.png"]
    assert [refused.split()[0] for refused in complaints["refused by the policy"]] == ["script-src-elem"]
    assert "nobody hears me" in complaints["errors"]
    assert [barrier.rpartition(": ")[2] for barrier in shown.barriers()] == ["html", "input"]
    shown.page.goto("about:blank")
    shown.requests.clear()
    shown.errors.clear()
