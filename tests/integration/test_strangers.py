"""What strangers read of real containers: nothing (behaviour 6, 7 and 8)."""

import socket
from pathlib import Path

import pytest

from tests.integration.containers import Containers, port, short_id
from tests.integration.gateway import Gateway, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker]

STRANGERS = {
    "a foreign host": ("rgate.example", ""),
    "a proxy": ("localhost", "Via: 1.1 a\r\n"),
    "another proxy": ("127.0.0.1", "X_Forwarded_For: 127.0.0.1\r\n"),
}
PAGES = (
    *(
        "/_rgate",
        "/_rgate/healthz",
        "/_rgate/readyz",
        "/_rgate/backends",
        "/_rgate/config",
        "/_rgate/timeline",
        "/_rgate/verdict",
        "/_rgate/requests",
    ),
    *("/_rgate/explain?target=/api", "/_rgate/requests/a", "/_rgate/nothing"),
    *(
        "/stats",
        "/stats?by=container",
        "/stats?by=backend",
        "/stats?by=route",
        "/stats?by=status",
        "/stats?by=x",
    ),
    *("/near", "/none", "/nowhere", "/api/../x"),
)


def asked(gateway: Gateway, path: str, host: str, lines: str, accept: str) -> bytes:
    """Return all bytes of the answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n{lines}Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request.encode())
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


@pytest.mark.clause("6.detail.strangers", "7.query.allowed", "8.pages.allowed", "8.pages.everyone")
def test_no_answer_to_a_stranger_names_a_container_an_address_or_a_label(
    containers: Containers, tmp_path: Path
) -> None:
    used = containers.start()
    near = containers.start(containers.app, "env=near-miss")
    stopped = containers.start(containers.app, "env=was-stopped")
    stopped.stop(timeout=2)
    labels = (containers.app, "env=was-stopped")
    config = {
        "routes": [{"path_prefix": f"/{name}", "backend": name} for name in ("api", "near", "none")],
        "backends": [
            {"name": "api", "match_labels": [containers.app, containers.env]},
            {"name": "near", "match_labels": [containers.app, "env=nearly-miss"]},
            {"name": "none", "match_labels": list(labels)},
        ],
    }
    used.reload()
    addresses = [one["IPAddress"] for one in used.attrs["NetworkSettings"]["Networks"].values()]
    words = [
        *(one.name for one in (used, near, stopped)),
        *(short_id(one) for one in (used, near, stopped)),
        *(address for address in addresses if address),
        *(f":{port(used)}", f":{port(near)}", containers.app, containers.id, "near-miss", "was-stopped"),
    ]
    with running(tmp_path, config) as gateway:
        wait_until(lambda: gateway.get("/api").status, lambda status: status == 200, within_s=5)

        def told(host: str, lines: str) -> set[tuple[str, str]]:
            answers = {
                path: asked(gateway, path, host, lines, accept)
                for path in PAGES
                for accept in ("*/*", "text/html")
            }
            return {
                (path, word) for path, answer in answers.items() for word in words if word.encode() in answer
            }

        for host, lines in STRANGERS.values():
            assert told(host, lines) == set()
        assert {path for path, _ in told("localhost", "")} >= {
            "/_rgate/backends",
            "/stats?by=container",
            "/near",
            "/none",
        }
