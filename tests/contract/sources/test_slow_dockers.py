"""A Docker that answers a byte at a time, late, or whose connections are cut: no call waits for ever."""

import contextlib
import queue
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rgate.core.containers import Event
from rgate.discovery.daemon import which_daemon
from rgate.discovery.docker_client import make_client
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import EventStream, SourceError
from tests.certificates import Authority
from tests.contract.sources.between import Between, between, terminating
from tests.contract.sources.daemons import Served, asked_by_tls, of_this_machine, socket_of_this_machine
from tests.contract.sources.test_docker_errors import INSIDES
from tests.integration import sshd
from tests.integration.containers import IMAGE

pytestmark = pytest.mark.docker

OF_ITS_OWN = (pytest.mark.daemons, pytest.mark.slow)


@pytest.fixture
def here() -> Iterator[Served]:
    with of_this_machine() as served:
        yield served


@pytest.fixture(params=["unix", "tcp", "tls", pytest.param("ssh", marks=OF_ITS_OWN)])
def before(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    here: Served,  # noqa: ARG001 - found before the environment names another
) -> Iterator[Between]:
    """What stands before Docker, and is what the environment names."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rgate-")))
        path = f"{directory}/docker.sock" if request.param in ("unix", "ssh") else ""
        authority, is_tls = Authority(), request.param == "tls"
        tls = terminating(authority.issue(directory / "server", "127.0.0.1")) if is_tls else None
        made = stack.enter_context(between(socket_of_this_machine(), tls, path))
        environment: Mapping[str, str] = {"DOCKER_HOST": made.host}
        if is_tls:
            environment = asked_by_tls(f"127.0.0.1:{made.port}", authority.issue(directory / "client"))
        if request.param == "ssh":
            server = stack.enter_context(sshd.running(path))
            environment = {"DOCKER_HOST": server.host, "HOME": str(server.home)}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield made


def source(timeout_s: int = 1) -> DockerSource:
    """Return a source each of whose calls may take so long."""
    return DockerSource(make=lambda _, version: make_client(which_daemon(), timeout_s, version))


def error_of(one: DockerSource) -> str:
    with contextlib.closing(one), pytest.raises(SourceError) as raised:
        one.ping()
    assert not INSIDES.search(str(raised.value))
    return str(raised.value)


@pytest.mark.clause("4.docker.bounded")
def test_one_that_says_a_byte_at_a_time_is_not_waited_for(before: Between) -> None:
    one = source()
    assert one.ping()
    before.byte_every_s = 0.3  # no read takes long, and all of it minutes
    assert "had not said all of its answer within" in error_of(one)


@pytest.mark.clause("4.docker.bounded")
def test_one_that_is_late_is_waited_for_as_long_as_it_may_be(before: Between) -> None:
    before.late_s = 0.3
    assert source(20).ping()
    before.late_s = 60
    assert "nothing came within" in error_of(source())


@pytest.mark.clause("4.events.list")
def test_a_stream_of_events_that_is_cut_ends(before: Between, here: Served) -> None:
    told: queue.Queue[Event | None] = queue.Queue()

    def follow(stream: EventStream) -> None:
        with contextlib.suppress(SourceError):
            for event in stream:
                told.put(event)
        told.put(None)

    with contextlib.closing(source(20)) as one, contextlib.closing(one.subscribe()) as stream:
        following = threading.Thread(target=follow, args=(stream,))
        following.start()
        here.client.containers.create(IMAGE).remove()
        assert told.get(timeout=20) is not None
        before.cut()
        following.join(20)
        assert not following.is_alive()
