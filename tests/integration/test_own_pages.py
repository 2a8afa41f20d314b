"""The pages of rgate's own through the real command, and who may see them (behaviour 3, 7, 8). No Docker."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import gateway as gateway_process
from tests.integration.gateway import Gateway, finished, running, wait_until, write_config

pytestmark = pytest.mark.integration

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG: dict[str, Any] = {
    # Routes that claim rgate's own paths: those win all the same.
    "routes": [
        {"path_prefix": "/", "backend": "fixed"},
        {"path_prefix": "/_rgate", "backend": "fixed"},
        {"path_prefix": "/labelled", "backend": "labelled"},
        {"path_prefix": "/labelled", "backend": "fixed", "host": "shop.example"},
    ],
    "backends": [
        {"name": "fixed", "urls": ["http://127.0.0.1:9"]},
        {"name": "labelled", "match_labels": ["app_name=rgate-nothing"]},
    ],
}
FORBIDDEN = ("/_rgate/backends", "/_rgate/nothing", "/_rgate", "/_rgate/")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Gateway]]:
    """Starts what is asked for at first, `open` or `closed`, and keeps it, for each engine."""
    configs = {
        "open": CONFIG,
        "closed": {**CONFIG, "admin": {"allow": ["192.0.2.0/24"]}, "trusted_proxies": ["127.0.0.0/8"]},
    }
    started: dict[tuple[str, str], Gateway] = {}
    with contextlib.ExitStack() as stack:

        def gateway(name: str) -> Gateway:
            key = (name, gateway_process.engine)
            if key not in started:
                place = tmp_path_factory.mktemp(name)
                started[key] = stack.enter_context(running(place, configs[name], environment=NO_DOCKER))
            return started[key]

        yield gateway


@pytest.fixture
def gateway(kept: Callable[[str], Gateway], engine: str) -> Gateway:  # noqa: ARG001 - which is the one to start
    return kept("open")


@pytest.fixture
def closed(kept: Callable[[str], Gateway], engine: str) -> Gateway:  # noqa: ARG001 - as above
    """A gateway whose pages are for a network that nobody here is in."""
    return kept("closed")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        yield gateway


def raw(gateway: Gateway, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request)
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


@pytest.mark.clause("8.pages.healthz")
def test_healthz_is_200_while_it_runs(gateway: Gateway) -> None:
    assert gateway.get("/_rgate/healthz").status == 200


@pytest.mark.clause("8.pages.health")
def test_health_says_by_its_status_whether_rgate_answers(fresh: Gateway, tmp_path: Path) -> None:
    port = str(fresh.port)
    well = finished("health", "--port", port, cwd=tmp_path)
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout == f"http://127.0.0.1:{port}/_rgate/healthz: ok\n"
    fresh.stop()
    for host in ("127.0.0.1", "::1", "no such host", "x" * 300):
        ill = finished("health", "--port", port, "--host", host, cwd=tmp_path)
        assert (ill.returncode, ill.stdout, ill.stderr.count("\n")) == (1, "", 1)
        assert ill.stderr.startswith("rgate: http://")


@pytest.mark.clause("8.pages.health")
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"nonsense\r\n", b"SSH-2.0\0\xff\r\n"]
)
def test_health_says_no_where_something_else_answers(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve() -> None:
            client, _ = other.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        ill = finished("health", "--port", str(other.getsockname()[1]), cwd=tmp_path)
        serving.join()
    assert (ill.returncode, ill.stdout, ill.stderr.count("\n")) == (1, "", 1)


@pytest.mark.clause("8.pages.readyz")
def test_readyz_names_the_backends_without_a_candidate(gateway: Gateway) -> None:
    response = gateway.get("/_rgate/readyz")
    assert response.status == 503
    assert response.json()["backends_without_candidates"] == ["labelled"]
    (knowledge,) = response.json()["knowledge"]
    assert (knowledge["source"], knowledge["docker"]) == ("docker", "never")


@pytest.mark.clause("8.pages.backends", "9.knowledge.told")
def test_backends_shows_each_ones_candidates_and_why_there_is_none(gateway: Gateway) -> None:
    shown = gateway.get("/_rgate/backends").json()
    assert shown["docker"]["connected"] is False
    assert shown["docker"]["error"] == (
        "there is no socket unix:///nonexistent/docker.sock: start Docker, or check DOCKER_HOST"
    )
    (knowledge,) = shown["knowledge"]
    assert (knowledge["docker"], knowledge["last_list_s"], knowledge["events"]) == ("never", None, "broken")
    assert knowledge["generation"] == shown["generation"]
    fixed, labelled = shown["backends"]["fixed"], shown["backends"]["labelled"]
    assert [candidate["address"] for candidate in fixed["candidates"]] == ["127.0.0.1:9"]
    assert (labelled["candidates"], labelled["reason"]) == ([], "docker_unavailable")


@pytest.mark.clause("3.route.own", "8.pages.allowed", "8.pages.peer")
def test_others_than_those_allowed_get_403_whatever_they_say_of_themselves(closed: Gateway) -> None:
    for path in FORBIDDEN:
        # Loopback is a trusted proxy here, so that routes would believe the field.
        answer = raw(
            closed,
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n"
            "Forwarded: for=192.0.2.1\r\nConnection: close\r\n\r\n".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"X-Rgate-Reason: forbidden\r\n" in answer


@pytest.mark.clause("8.pages.forwarded")
@pytest.mark.parametrize(
    "field", ["Via: 1.1 a", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=x", "X-Real-IP: ::1"]
)
def test_a_request_that_somebody_forwarded_is_a_strangers(gateway: Gateway, field: str) -> None:
    asked = f"GET /_rgate/backends HTTP/1.1\r\nHost: localhost\r\n{field}\r\nConnection: close\r\n\r\n"
    assert raw(gateway, asked.encode()).startswith(b"HTTP/1.1 403 ")


@pytest.mark.clause("9.hosts.rebinding", "9.hosts.stats", "2.admin.hosts")
def test_a_request_by_a_foreign_name_is_a_strangers_until_the_name_is_added(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:

        def ask(path: str, host: str) -> bytes:
            return raw(gateway, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

        for host in ("localhost", f"127.0.0.1:{gateway.port}", socket.gethostname()):
            assert ask("/_rgate/backends", host).startswith(b"HTTP/1.1 200 ")
        told = ask("/_rgate/backends", "rgate.example")
        assert told.startswith(b"HTTP/1.1 403 ")
        assert b"add the name to `admin.hosts`" in told
        assert ask("/stats?by=container", "rgate.example").startswith(b"HTTP/1.1 403 ")
        assert b"127.0.0.1:9" in ask("/x", "localhost")
        assert b"127.0.0.1:9" not in ask("/x", "rgate.example")

        write_config(tmp_path, {**CONFIG, "admin": {"hosts": ["rgate.example"]}})
        gateway.send_signal(signal.SIGHUP)
        wait_until(
            lambda: ask("/_rgate/backends", "Rgate.Example.:80"),
            lambda told: told.startswith(b"HTTP/1.1 200 "),
            within_s=10,
        )
        assert b"127.0.0.1:9" in ask("/x", "rgate.example")


@pytest.mark.clause("8.pages.everyone")
def test_healthz_and_the_status_of_readyz_are_for_everyone_its_names_are_not(closed: Gateway) -> None:
    assert closed.get("/_rgate/healthz").status == 200
    response = closed.get("/_rgate/readyz")
    assert response.status == 503
    assert response.json() == {"status": "not ready"}
    assert closed.get("/stats").status == 200


@pytest.mark.parametrize("path", ["/stats", "/_rgate/healthz", "/_rgate/backends"])
def test_a_page_is_for_get_and_head_only(gateway: Gateway, path: str) -> None:
    with gateway.client() as client:
        refused = client.request("POST", path, b"x=1")
        assert (refused.status, refused.reason) == (405, "method_not_allowed")
        assert refused.fields["Allow"] == "GET, HEAD"
        head = client.request("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert client.get(path).status == 200


@pytest.mark.clause("6.client.query", "7.query.unknown")
@pytest.mark.parametrize(
    "query", ["?window=0m", "?window=15", "?by=colour", "?windwo=5m", "?by=route&by=status"]
)
def test_an_unknown_question_to_stats_is_400(gateway: Gateway, query: str) -> None:
    response = gateway.get(f"/stats{query}")
    assert (response.status, response.reason) == (400, "bad_query")


@pytest.mark.clause("7.counts.keys", "7.counts.all", "7.query.by")
def test_stats_counts_all_but_rgates_own_pages_and_has_exactly_its_keys(fresh: Gateway) -> None:
    for path in ("/x", "/labelled", "/a/../b", "/_rgate/healthz", "/_rgate/nothing", "/stats", "/stats?by=x"):
        fresh.get(path)
    raw(fresh, b"GET /\r\nx\r\n\r\n")
    raw(fresh, b"GET /labelled HTTP/1.1\r\nHost: Shop.example:80\r\nConnection: close\r\n\r\n")
    assert fresh.stats()["requests_count"] == {"success": 0, "error": 5}
    assert set(fresh.stats()["latency_ms"]) == {"average", "p95", "p99"}
    by_route = fresh.stats("?by=route")
    assert {name: figures["requests_count"]["error"] for name, figures in by_route.items()} == {
        "/": 1,
        "/labelled": 1,
        "shop.example/labelled": 1,
        "": 2,
    }
    assert set(fresh.stats("?by=status&window=5m")) == {"503", "400"}
    assert fresh.stats("?by=container")["127.0.0.1:9"]["requests_count"]["error"] == 2


@pytest.mark.parametrize("host", ["a", "xn--a.example:1", "[::1]:8080", "a_b"])
def test_any_host_gets_a_page_of_rgates_own(gateway: Gateway, host: str) -> None:
    upgrade = "Connection: Upgrade, close\r\nUpgrade: websocket\r\n"
    answer = raw(gateway, f"GET /_rgate/healthz HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"application/json" in answer
