"""The timeline, the verdict and the backends as the real command tells them (behaviour 10)."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backend import Backend
from tests.integration.containers import Containers, pause, port, short_id
from tests.integration.daemon import Daemon
from tests.integration.gateway import Gateway, backend_config, running, wait_until, write_config
from tests.integration.test_workers import NO_DOCKER, workers_of

pytestmark = pytest.mark.integration

Event = dict[str, Any]
WITHIN_S = 8.0


def events(gateway: Gateway) -> list[Event]:
    """Newest first."""
    return list(gateway.get("/_rgate/timeline").json()["events"])


def told(gateway: Gateway, kind: str, *texts: str) -> Event:
    """Wait for an event of that *kind* with one of *texts* in it, and return the newest."""

    def found() -> list[Event]:
        ours = [one for one in events(gateway) if one["kind"] == kind]
        return [one for one in ours if any(text in one["text"] for text in texts)]

    return wait_until(found, bool, within_s=WITHIN_S)[0]


def container(gateway: Gateway, query: str = "") -> Event:
    """Return the first container of the backend."""
    return dict(gateway.get(f"/_rgate/backends{query}").json()["backends"]["api"]["containers"][0])


@pytest.mark.docker
@pytest.mark.clause("10.timeline.containers", "10.timeline.rgate")
def test_what_becomes_of_containers_is_told_as_it_happens(containers: Containers, gateway: Gateway) -> None:
    assert "rgate " in told(gateway, "start", " started on 127.0.0.1:")["text"]
    one = containers.start(wait=False)
    came = told(gateway, "in", f"`{one.name}` in at 127.0.0.1:")
    assert came["text"].endswith(f":{port(one)}")
    assert (came["level"], came["backend"]) == ("ok", "api")
    near = containers.start(containers.app, "env=other", wait=False)
    missed = told(gateway, "near", f"`{near.name}`")
    assert missed["text"].endswith("has 1 of 2 labels: env=other, wanted env=test")
    assert missed["level"] == "info"
    pause(one)
    out = told(gateway, "out", f"`{one.name}` out: paused")
    assert (out["level"], out["why"]) == ("bad", "`api` has no container")
    one.unpause()
    wait_until(lambda: events(gateway)[0]["why"], lambda why: why.startswith("unpaused"), within_s=WITHIN_S)
    one.kill()
    told(  # whichever Docker's events, which may come as one, left it at
        gateway, "out", f"`{one.name}` out: being stopped", f"`{one.name}` out: exited"
    )
    one.start()
    again = wait_until(
        lambda: events(gateway)[0], lambda e: e["kind"] == "in" and e["why"] != came["why"], within_s=WITHIN_S
    )
    assert again["why"].startswith("started")
    assert [event["at"] for event in events(gateway)] == sorted(
        (event["at"] for event in events(gateway)), reverse=True
    )


@pytest.mark.docker
@pytest.mark.clause("10.backends.since", "10.backends.window", "10.backends.keys")
def test_the_backends_tell_how_a_container_stands_and_what_it_was_asked(
    containers: Containers, gateway: Gateway
) -> None:
    one = containers.start()
    wait_until(lambda: gateway.get("/api").status, lambda status: status == 200, within_s=WITHIN_S)
    came = told(gateway, "in", f"`{one.name}`")
    first = container(gateway, "?window=15m")
    assert (first["id"], first["level"], first["says"]) == (short_id(one), "ok", "in, no health check")
    assert first["requests"] >= 1
    assert first["p95"] > 0
    assert first["since"] == pytest.approx(came["at"], abs=0.5)
    pause(one)
    out = told(gateway, "out", f"`{one.name}` out: paused")
    paused = container(gateway)
    assert (paused["level"], paused["says"]) == ("bad", "out: paused")
    assert paused["since"] == pytest.approx(out["at"], abs=0.5)
    assert "requests" not in paused
    verdict = gateway.get("/_rgate/verdict").json()
    assert (verdict["level"], verdict["findings"][0]["level"]) == ("down", "bad")


@pytest.mark.docker
@pytest.mark.clause("10.timeline.docker", "10.verdict.stale", "10.verdict.freshness")
def test_docker_that_goes_away_and_comes_back_is_told_with_how_long_it_was_away(
    daemon: Daemon, containers: Containers, tmp_path: Path
) -> None:
    containers.start()
    daemon.start()
    config = backend_config(containers.app, containers.env)
    with running(tmp_path, config, environment=daemon.environment) as gateway:
        told(gateway, "docker", "Docker answers: ")
        daemon.kill()
        away = told(gateway, "docker", "Docker away: ")
        assert (away["level"], away["why"]) == ("bad", "the last known containers stay in use")
        verdict = gateway.get("/_rgate/verdict").json()
        assert verdict["level"] == "stale"
        assert verdict["headline"].startswith("Docker does not answer since ")
        assert verdict["freshness"][0]["text"] == "away for {ago}"
        docker = gateway.get("/_rgate/backends").json()["docker"]
        assert docker["away_since"] == pytest.approx(away["at"], abs=0.5)
        daemon.start()
        back = told(gateway, "docker", "Docker answers again, after ")
        assert (back["level"], back["why"].endswith(" ms")) == ("ok", True)
        assert gateway.get("/_rgate/verdict").json()["level"] == "waiting"


@pytest.mark.clause("10.timeline.config")
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_reload_is_told_with_what_changed_and_one_that_is_refused_with_why(
    backend: Backend, tmp_path: Path, workers: str
) -> None:
    config = backend.config()
    with running(tmp_path, config, "--workers", workers, environment=NO_DOCKER) as gateway:
        write_config(
            tmp_path, {**config, "routes": [*config["routes"], {"path_prefix": "/b", "backend": "api"}]}
        )
        gateway.send_signal(signal.SIGHUP)
        taken = told(gateway, "config", "config.yml reloaded: route `/b` added")
        assert taken["level"] == "ok"
        (tmp_path / "config.yml").write_text("routes: 7\nbackends: []\n")
        gateway.send_signal(signal.SIGHUP)
        refused = told(gateway, "config", "config.yml not taken: line 1: `routes`: ")
        assert (refused["level"], refused["why"]) == ("bad", "the old one stays")
        state = gateway.get("/_rgate/backends").json()["config"]
        assert (state["path"], state["loaded"]) == ("config.yml", taken["at"])
        assert state["error"].startswith("line 1: `routes`: ")
        assert [event["kind"] for event in events(gateway)].count("config") == 2
        facts = gateway.get("/_rgate/verdict").json()["freshness"]
        assert facts[-1]["level"] == "bad"


@pytest.fixture
def several(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, backend.config(), "--workers", "3", environment=NO_DOCKER) as gateway:
        yield gateway


def asked_of_all(ask: Callable[[], Any]) -> list[Any]:
    """Ask so often that each worker is, as good as certainly."""
    return [ask() for _ in range(20)]


@pytest.mark.clause("10.timeline.rgate", "10.timeline.workers")
def test_a_worker_that_ended_is_told_whichever_worker_is_asked(several: Gateway) -> None:
    killed = workers_of(several.process.pid)[0]
    os.kill(killed, signal.SIGKILL)
    told(several, "worker", " took its place")
    wait_until(
        lambda: several.get("/_rgate/timeline").json()["missing_workers"], lambda n: n == 0, within_s=8
    )
    answers = asked_of_all(lambda: [(e["at"], e["kind"], e["text"]) for e in events(several)])
    assert answers == answers[:1] * len(answers)
    assert [kind for _, kind, _ in answers[0]] == ["worker", "worker", "start"]
    _, (_, _, ended), (_, _, start) = answers[0]
    assert ended == f"worker {killed} ended (SIGKILL); another starts in 0.5 s"
    assert ", 3 workers, on 127.0.0.1:" in start
    assert several.stop() == 0


@pytest.mark.clause("10.backends.in_flight", "10.verdict.workers")
def test_what_is_told_of_all_workers_is_the_same_whichever_is_asked(
    several: Gateway, backend: Backend
) -> None:
    with several.client() as client:
        client.open("/api/events")
        assert backend.entered.wait(10)
        assert set(asked_of_all(lambda: several.get("/_rgate/backends").json()["gateway"]["in_flight"])) == {
            1
        }
        levels = asked_of_all(lambda: several.get("/_rgate/verdict").json()["level"])
        assert len(set(levels)) == 1
        backend.let_go.set()
