"""Docker is away, frozen, or late, and the gateway goes on with what it knows (behaviour 1 and 4).

The real daemon is not touched: a socket in front of it is (daemon.py).
"""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from rgate.core.knowledge import stale_since
from rgate.core.watching import LONGEST_PAUSE_S, PING_S
from rgate.discovery.docker_client import CALL_TIMEOUT_S
from tests.integration.containers import Containers, short_id
from tests.integration.daemon import Daemon
from tests.integration.gateway import NO_SERVICE_URLS, Gateway, Response, backend_config, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker]

# The longest pause, and some time to look.
AGAIN_WITHIN_S = LONGEST_PAUSE_S + 4
FROZEN_IS_NOTICED_WITHIN_S = PING_S + CALL_TIMEOUT_S + 2
# An answer that waited for Docker would take CALL_TIMEOUT_S at the least.
AT_ONCE_S = CALL_TIMEOUT_S / 2

Start = Callable[[], AbstractContextManager[Gateway]]


@pytest.fixture
def start(daemon: Daemon, containers: Containers, tmp_path: Path) -> Start:
    """Start a gateway that knows Docker by *daemon* alone."""
    config = backend_config(containers.app, containers.env)
    return lambda: running(tmp_path, config, environment=daemon.environment)


def docker_status(gateway: Gateway) -> Any:
    return gateway.get("/_rgate/backends").json()["docker"]


def wait_until_lost(gateway: Gateway, within_s: float) -> None:
    wait_until(lambda: docker_status(gateway), lambda docker: not docker["connected"], within_s=within_s)


def answering(gateway: Gateway, requests: int = 20) -> set[str]:
    """The containers that answer; every request must be answered, and at once."""
    answers: list[Response] = []
    for _ in range(requests):
        began_s = time.monotonic()
        answers.append(gateway.get("/api"))
        assert time.monotonic() - began_s < AT_ONCE_S
    assert {answer.status for answer in answers} == {200}, answers
    return {answer.container for answer in answers}


def own_pages_answer_at_once(gateway: Gateway) -> bool:
    for path in ("/_rgate/healthz", "/_rgate/readyz", "/_rgate/backends", "/stats"):
        began_s = time.monotonic()
        assert gateway.get(path).status == 200
        assert time.monotonic() - began_s < AT_ONCE_S, path
    return True


def stops_at_once(gateway: Gateway) -> bool:
    began_s = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began_s < AT_ONCE_S
    assert "Traceback" not in gateway.errors()
    return True


@pytest.mark.clause("4.events.list", "4.events.away")
def test_while_docker_is_away_requests_go_on_and_what_changed_is_seen_when_it_is_back(
    daemon: Daemon, start: Start, containers: Containers
) -> None:
    old = [containers.start(), containers.start()]
    daemon.start()
    with start() as gateway:
        assert answering(gateway) == {short_id(container) for container in old}
        daemon.kill()
        wait_until_lost(gateway, within_s=2)
        new = containers.start()
        assert answering(gateway) == {short_id(container) for container in old}
        assert own_pages_answer_at_once(gateway)
        old[0].kill()
        # Not known to be gone, and left out all the same, as it does not accept.
        assert answering(gateway) == {short_id(old[1])}
        daemon.start()
        wait_until(lambda: docker_status(gateway), lambda d: bool(d["connected"]), within_s=AGAIN_WITHIN_S)
        assert answering(gateway) == {short_id(old[1]), short_id(new)}
        # And events are followed again.
        old[1].kill()
        wait_until(lambda: answering(gateway), lambda found: found == {short_id(new)}, within_s=2)
        assert gateway.errors().count("Docker does not answer") == 1
        assert gateway.errors().count("Docker answers again") == 1
        assert stops_at_once(gateway)


@pytest.mark.clause("9.knowledge.stale", "9.knowledge.told")
def test_while_docker_is_away_a_503_says_how_old_what_it_rests_on_is(
    daemon: Daemon, start: Start, containers: Containers
) -> None:
    container = containers.start()
    daemon.start()
    with start() as gateway:
        assert answering(gateway) == {short_id(container)}
        (connected,) = gateway.get("/_rgate/backends").json()["knowledge"]
        assert (connected["docker"], connected["events"]) == ("connected", "live")
        daemon.kill()
        wait_until_lost(gateway, within_s=2)
        container.kill()
        (away,) = gateway.get("/_rgate/readyz").json()["knowledge"]
        assert (away["docker"], away["events"]) == ("away", "broken")
        assert away["since"] > connected["since"]
        assert away["last_list_s"] >= connected["last_list_s"]
        assert away["generation"] > connected["generation"]
        answer = gateway.get("/api")
        assert (answer.status, answer.reason) == (503, "connect_failed")
        assert answer.json()["detail"].endswith(f" {stale_since(away['since'])}")
        daemon.start()
        wait_until(
            lambda: gateway.get("/api"),
            lambda r: r.reason == "no_container" and "has not answered" not in r.json()["detail"],
            within_s=AGAIN_WITHIN_S,
        )


@pytest.mark.clause("4.events.away", "8.pages.memory")
def test_a_frozen_docker_holds_nothing_up(daemon: Daemon, start: Start, containers: Containers) -> None:
    old = containers.start()
    daemon.start()
    with start() as gateway:
        assert answering(gateway) == {short_id(old)}
        daemon.freeze()
        new = containers.start()

        def goes_on() -> bool:
            assert answering(gateway, 1) == {short_id(old)}
            assert own_pages_answer_at_once(gateway)
            return bool(docker_status(gateway)["connected"])

        wait_until(goes_on, lambda connected: not connected, within_s=FROZEN_IS_NOTICED_WITHIN_S)
        goes_on()
        daemon.thaw()
        both = {short_id(old), short_id(new)}
        wait_until(lambda: answering(gateway), lambda found: found == both, within_s=AGAIN_WITHIN_S)


def test_a_frozen_docker_does_not_keep_the_gateway_from_its_end(
    daemon: Daemon, start: Start, containers: Containers
) -> None:
    containers.start()
    daemon.start()
    with start() as gateway:
        daemon.freeze()
        assert stops_at_once(gateway)


@pytest.mark.clause("1.docker.starts", "1.docker.answers", "1.docker.tries")
@pytest.mark.parametrize("how", ["away", "frozen"])
def test_without_docker_it_starts_says_so_once_and_finds_its_containers_later(
    daemon: Daemon, start: Start, containers: Containers, how: str
) -> None:
    container = containers.start()
    if how == "frozen":
        daemon.start()
        daemon.freeze()
    with start() as gateway:
        response = gateway.get("/api")
        assert (response.status, response.reason) == (503, "docker_unavailable")
        assert response.json()["title"] == NO_SERVICE_URLS
        assert gateway.get("/elsewhere").status == 403
        assert gateway.get("/_rgate/healthz").status == 200
        assert gateway.get("/_rgate/readyz").status == 503
        if how == "frozen":
            daemon.thaw()
        else:
            daemon.start()
        wait_until(lambda: gateway.get("/api"), lambda r: r.status == 200, within_s=AGAIN_WITHIN_S)
        assert answering(gateway) == {short_id(container)}
        assert gateway.get("/_rgate/readyz").status == 200
        assert gateway.errors().count("Docker does not answer") == 1
        assert gateway.errors().count("Docker answers again") == 1


@pytest.mark.clause("4.docker.ready")
@pytest.mark.parametrize("options", [(), ("--log-format", "json")])
def test_the_line_that_says_it_is_ready_says_which_docker_it_asks(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    config = backend_config("app=none")
    with running(tmp_path, config, *options, environment={"DOCKER_HOST": "unix:///nowhere"}) as gateway:
        told = json.loads(gateway.ready)["docker"] if options else gateway.ready.splitlines()[0]
        assert told.endswith("unix:///nowhere")
