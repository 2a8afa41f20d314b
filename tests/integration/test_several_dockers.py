"""The real command with two sources: what it tells of each, and what becomes of requests (behaviour 12)."""

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from rgate.testing.backend import HttpBackend
from tests.contract.sources.fake_docker import FakeDocker, serving
from tests.integration.containers import Containers, short_id
from tests.integration.daemon import Daemon, real_socket
from tests.integration.gateway import (
    Gateway,
    backend_config,
    finished,
    running,
    wait_until,
    write_config,
)

pytestmark = [pytest.mark.integration]

WITHIN_S: Final = 10.0


class Machine:
    """A Docker with one container, `orders-1`, that answers with the machine's name."""

    def __init__(self, name: str, number: int, ends: ExitStack) -> None:
        self.name = name
        self.backend = ends.enter_context(HttpBackend(body=name.encode()))
        self.docker = ends.enter_context(serving(FakeDocker()))
        port = int(self.backend.url.rpartition(":")[2])
        published = [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}]
        self.docker.add(str(number), Names=["/orders-1"], Ports=published)

    @property
    def source(self) -> dict[str, str]:
        return {"name": self.name, "docker": self.docker.host}


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with ExitStack() as ends:
        yield Machine("here", 1, ends), Machine("far", 2, ends)


@pytest.fixture
def daemons() -> Iterator[tuple[Daemon, Daemon]]:
    """Two ways to the real Docker, neither started yet."""
    real = real_socket()
    if real is None:
        pytest.skip("DOCKER_HOST names no socket that others could stand in front of")
    with ExitStack() as ends:
        both = [
            Daemon(Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="rgate-"))), real)
            for _ in range(2)
        ]
        for daemon in both:
            ends.callback(daemon.kill)
        yield both[0], both[1]


def config(*machines: Machine) -> dict[str, Any]:
    return {
        "routes": [
            {"path_prefix": "/", "backend": "orders"},
            {"path_prefix": "/far", "backend": "far"},
            {"path_prefix": "/none", "backend": "none"},
        ],
        "backends": [
            {"name": "orders", "match_labels": ["app=a"], "policy": "round_robin"},
            {"name": "far", "match_labels": ["app=a"], "sources": ["far"]},
            {"name": "none", "match_labels": ["app=none"]},
        ],
        "sources": [machine.source for machine in machines],
    }


def gateway(
    directory: Path, *machines: Machine, options: tuple[str, ...] = ()
) -> AbstractContextManager[Gateway]:
    return running(directory, config(*machines), *options)


def who(asked: Gateway, path: str = "/", requests: int = 4) -> set[str]:
    answers = [asked.get(path) for _ in range(requests)]
    return {answer.body.decode() if answer.status == 200 else answer.reason or "" for answer in answers}


@pytest.mark.clause("12.sources.names", "12.ready.named", "12.away.pages", "12.away.told")
def test_both_serve_and_one_that_is_lost_is_named_wherever_it_counts(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    here, far = machines
    with gateway(tmp_path, here, far) as asked:
        assert asked.ready.endswith(f"; containers by here ({here.docker.host}), far ({far.docker.host})\n")
        assert who(asked) == {"here", "far"}
        figures = json.dumps(asked.stats("?by=container"))
        assert "far/orders-1" in figures
        assert "here/orders-1" in figures
        story = asked.get("/_rgate/requests?limit=1").json()["requests"][0]
        assert story["container"] in {"far/orders-1", "here/orders-1"}
        explained = asked.get("/_rgate/explain?target=/").json()
        assert {(one["name"], one["source"]) for one in explained["candidates"]} == {
            ("far/orders-1", "far"),
            ("here/orders-1", "here"),
        }
        far.docker.cut()
        wait_until(
            lambda: asked.get("/_rgate/readyz").json()["knowledge"],
            lambda known: [one["docker"] for one in known] == ["connected", "away"],
            within_s=WITHIN_S,
        )
        assert who(asked) == {"here", "far"}  # it is not the container that is away
        page = asked.get("/_rgate/backends").json()
        assert [(one["name"], one["connected"]) for one in page["sources"]] == [
            ("here", True),
            ("far", False),
        ]
        assert page["sources"][1]["error"].endswith("see whether it runs, and its log")
        assert not page["docker"]["connected"]
        metrics = asked.get("/_rgate/metrics").body.decode()
        assert 'rgate_docker_connected{source="far"} 0.0' in metrics
        assert 'rgate_docker_connected{source="here"} 1.0' in metrics
        detail = asked.get("/none").json()["detail"]
        assert "Docker far has not answered since " in detail
        verdict = asked.get("/_rgate/verdict").json()
        assert "Docker `far`" in verdict["findings"][0]["text"]
        assert {fact["text"].partition(":")[0] for fact in verdict["freshness"]} >= {"here", "far"}
        events = asked.get("/_rgate/timeline").json()["events"]
        assert any(event["text"].startswith("`far`: Docker away: ") for event in events)
        far.backend.refuse = True
        lost = asked.get("/far").json()
        assert lost["reason"] == "connect_failed"
        assert "Docker far has not answered since " in lost["detail"]
        assert who(asked) == {"here"}


@pytest.mark.docker
@pytest.mark.clause("12.sources.one_by_id", "12.away.keeps")
def test_one_docker_by_two_ways_is_followed_by_the_one_that_is_left(
    containers: Containers, daemons: tuple[Daemon, Daemon], tmp_path: Path
) -> None:
    old = containers.start()
    for daemon in daemons:
        daemon.start()
    sources = [
        {"name": name, "docker": daemon.environment["DOCKER_HOST"]}
        for name, daemon in zip(("one", "other"), daemons, strict=True)
    ]
    with running(tmp_path, {**backend_config(containers.app, containers.env), "sources": sources}) as asked:
        found = asked.get("/_rgate/backends").json()["backends"]["api"]["candidates"]
        assert [one["name"] for one in found] == [f"one/{old.name}"]
        daemons[0].kill()
        new = containers.start()
        wait_until(lambda: ids(asked), lambda them: them == {short_id(old), short_id(new)}, within_s=WITHIN_S)
        old.remove(force=True)
        daemons[0].start()
        wait_until(lambda: ids(asked), lambda them: them == {short_id(new)}, within_s=WITHIN_S)


def ids(asked: Gateway) -> set[str]:
    return {answer.container for answer in (asked.get("/api") for _ in range(12)) if answer.status == 200}


@pytest.mark.clause("12.away.unknown")
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_without_one_from_the_start_the_other_serves(
    machines: tuple[Machine, Machine], tmp_path: Path, workers: str
) -> None:
    here, far = machines
    far.docker.is_cut = True
    with gateway(tmp_path, here, far, options=("--workers", workers)) as asked:
        assert who(asked) == {"here"}
        unknown = asked.get("/far")
        assert (unknown.status, unknown.reason) == (503, "docker_unavailable")
        assert "Docker far has not answered since rgate started" in unknown.json()["detail"]
        far.docker.is_cut = False
        wait_until(lambda: who(asked, "/far", 8), lambda found: found == {"far"}, within_s=WITHIN_S)


@pytest.mark.clause("12.reload.kept", "12.reload.gone")
def test_sources_come_and_go_with_a_reload(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    here, far = machines
    both = config(here, far)
    with gateway(tmp_path, here, far) as asked:
        assert who(asked) == {"here", "far"}
        lists = here.docker.asked["/containers/json"]
        both["sources"].pop()
        both["backends"][1].pop("sources")
        write_config(tmp_path, both)
        asked.send_signal(signal.SIGHUP)
        wait_until(lambda: who(asked), lambda found: found == {"here"}, within_s=WITHIN_S)
        names = [
            one["name"] for one in asked.get("/_rgate/backends").json()["backends"]["orders"]["candidates"]
        ]
        assert names == ["orders-1"]
        write_config(tmp_path, config(here, far))
        asked.send_signal(signal.SIGHUP)
        wait_until(lambda: who(asked), lambda found: found == {"here", "far"}, within_s=WITHIN_S)
        assert here.docker.asked["/containers/json"] == lists
        events = asked.get("/_rgate/timeline").json()["events"]
        assert any("source `far` removed" in event["text"] for event in events)


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("12.commands.look", "12.commands.snapshot")
def test_commands_ask_all_and_a_recording_gives_each_its_own(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    here, far = machines
    write_config(tmp_path, config(here, far))
    live = json.loads(finished("explain", "--json", "/", cwd=tmp_path).stdout)
    assert {one["name"] for one in live["candidates"]} == {"far/orders-1", "here/orders-1"}
    taken = finished("snapshot", "--output", "s.json", cwd=tmp_path)
    assert taken.stderr.startswith("rgate: recorded 2 containers of 2 sources; ")
    recorded = json.loads(finished("explain", "--json", "/", "--snapshot", "s.json", cwd=tmp_path).stdout)
    assert recorded["candidates"] == live["candidates"]
    planned = finished("plan", "--against", "config.yml", "--labels", "far/orders-1 app=x", cwd=tmp_path)
    assert "backend far: loses far/orders-1" in planned.stdout
    document = json.loads((tmp_path / "s.json").read_text())
    document["sources"].pop()
    (tmp_path / "s.json").write_text(json.dumps(document))
    lacking = json.loads(finished("explain", "--json", "/far", "--snapshot", "s.json", cwd=tmp_path).stdout)
    assert lacking["reason"] == "docker_unavailable"
    assert "the snapshot holds nothing of the source far" in lacking["detail"]
    far.docker.is_cut = True
    refused = finished("snapshot", "--output", "t.json", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("rgate: Docker far does not answer: ")
    found = finished("doctor", "--json", "--port", "0", cwd=tmp_path)
    checks = {one["name"]: one["level"] for one in json.loads(found.stdout)["checks"]}
    assert (checks["docker here"], checks["docker far"]) == ("ok", "fail")


@pytest.mark.any_engine
@pytest.mark.clause("12.commands.look", "9.doctor.faults")
def test_doctor_tells_of_each_source_that_lists_nothing_though_another_is_away(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    here, far = machines
    away = {"name": "away", "docker": "tcp://127.0.0.1:1"}
    no_manager = {"name": "swarm", "swarm": far.docker.host}
    write_config(tmp_path, {**config(here, far), "sources": [here.source, far.source, away, no_manager]})
    found = finished("doctor", "--json", "--port", "0", cwd=tmp_path)
    checks = {one["name"]: (one["level"], one["text"]) for one in json.loads(found.stdout)["checks"]}
    levels = {name: checks[f"docker {name}"][0] for name in ("here", "far", "away", "swarm")}
    assert levels == {"here": "ok", "far": "ok", "away": "fail", "swarm": "fail"}
    assert "403 Forbidden" in checks["docker swarm"][1]
