"""Docker is asked where the `docker` command would ask it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from rgate.core.config import ENVIRONMENT, Source, Tls
from rgate.discovery.daemon import Certificates, Daemon, daemon_of, which_daemon
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError

pytestmark = pytest.mark.clause("4.docker.which")
LOCAL = "unix:///var/run/docker.sock"
FAR = "ssh://deploy@far.example"


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A home's `.docker` with the context `far`, and none in use."""
    directory = tmp_path / ".docker"
    identity = sha256(b"far").hexdigest()
    meta = directory / "contexts/meta" / identity / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(
        json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": FAR, "SkipTLSVerify": False}}})
    )
    return directory


def asked(home: Path, **environment: str) -> Daemon:
    return which_daemon(environment, home)


def use(docker: Path, text: str) -> None:
    (docker / "config.json").write_text(text)


def test_where_nothing_is_said_it_is_that_of_this_machine(tmp_path: Path) -> None:
    assert asked(tmp_path) == Daemon(LOCAL)
    assert asked(tmp_path).published_host == ""


@pytest.mark.parametrize(
    ("environment", "in_use", "host"),
    [
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "far"}, "far", "tcp://h:1"),
        ({"DOCKER_HOST": "", "DOCKER_CONTEXT": "far"}, None, FAR),  # without a config.json
        ({"DOCKER_CONTEXT": "default"}, "far", LOCAL),
        ({}, "far", FAR),
        ({}, "default", LOCAL),
        ({}, "", LOCAL),
        ({}, None, LOCAL),
    ],
)
def test_the_host_goes_before_the_context_and_that_before_the_one_in_use(
    docker: Path, environment: Mapping[str, str], in_use: str | None, host: str
) -> None:
    if in_use is not None:
        use(docker, json.dumps({"currentContext": in_use}))
    assert which_daemon(environment, docker.parent).host == host


def test_a_user_without_a_home_has_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # as for an id that no file of the system knows
    assert which_daemon({}).host == LOCAL
    assert which_daemon({"DOCKER_CONTEXT": "far"}).problem.startswith("there is no context far in ")


def test_docker_config_names_another_directory(docker: Path, tmp_path: Path) -> None:
    found = asked(tmp_path / "elsewhere", DOCKER_CONFIG=str(docker), DOCKER_CONTEXT="far")
    assert (found.host, found.said_by, found.published_host) == (FAR, "the context far", "far.example")


@pytest.mark.parametrize(
    ("in_use", "problem"),
    [
        ('{"currentContext": "gone"}', "there is no context gone in "),
        ("{", "config.json is not JSON: mend it, or set DOCKER_HOST"),
        ("[]", "config.json holds no object: mend it, or set DOCKER_HOST"),
        (None, "config.json cannot be read, which may name a context: set DOCKER_HOST"),
    ],
)
def test_a_context_that_cannot_be_found_is_told_and_no_other_docker_is_asked(
    docker: Path, in_use: str | None, problem: str
) -> None:
    if in_use is None:
        (docker / "config.json").mkdir()
    else:
        use(docker, in_use)
    found = asked(docker.parent)
    assert problem in found.problem
    assert (found.host, found.published_host) == ("", "")
    with pytest.raises(SourceError, match=problem.replace(".", r"\.")):
        DockerSource(found).ping()


def test_certificates_are_those_of_who_names_the_host(docker: Path, tmp_path: Path) -> None:
    there = {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1"}
    assert which_daemon(there, tmp_path).certificates == Certificates(
        f"{docker}/ca.pem", "", "", is_verified=True
    )
    (docker / "cert.pem").touch()
    own = Certificates(f"{docker}/ca.pem", f"{docker}/cert.pem", f"{docker}/key.pem", is_verified=True)
    assert which_daemon(there, tmp_path).certificates == own
    named = which_daemon({"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/c"}, tmp_path).certificates
    assert named == Certificates("/c/ca.pem", "", "", is_verified=False)
    assert asked(tmp_path, DOCKER_HOST="tcp://h:1", DOCKER_TLS_VERIFY="").certificates is None
    files = docker / "contexts/tls" / sha256(b"far").hexdigest() / "docker"
    files.mkdir(parents=True)
    found = asked(tmp_path, DOCKER_CONTEXT="far", DOCKER_CERT_PATH="/c").certificates
    assert found == Certificates(f"{files}/ca.pem", f"{files}/cert.pem", f"{files}/key.pem", is_verified=True)


@pytest.mark.clause("4.address.remote")
@pytest.mark.parametrize(
    ("host", "published"),
    [
        ("unix:///run/user/1000/docker.sock", ""),
        ("tcp://127.0.0.1:2375", ""),
        ("tcp://localhost:2375", ""),
        ("tcp://[::1]:2375", ""),
        ("tcp://10.1.2.3:2376", "10.1.2.3"),
        ("https://far.example", "far.example"),
        ("ssh://me@far.example:22", "far.example"),
        ("tcp://[::1", ""),
    ],
)
def test_ports_are_published_on_the_machine_of_the_daemon(host: str, published: str) -> None:
    assert Daemon(host).published_host == published


@pytest.mark.clause("12.daemon.urls", "12.daemon.address_host")
@pytest.mark.parametrize(
    ("source", "host", "published_host"),
    [
        (Source("a", "unix:///x.sock"), "unix:///x.sock", ""),
        (Source("a", "unix:///x.sock", address_host="far.example"), "unix:///x.sock", "far.example"),
        (Source("a", "tcp://10.0.0.5:2376"), "tcp://10.0.0.5:2376", "10.0.0.5"),
        (Source("a", "tcp://10.0.0.5:2376", address_host="[fd00::5]"), "tcp://10.0.0.5:2376", "fd00::5"),
        (Source("a", "tcp://10.0.0.5:2376", address_host="127.0.0.1"), "tcp://10.0.0.5:2376", ""),
        (Source("a", "ssh://deploy@far.example:22"), "ssh://deploy@far.example:22", "far.example"),
        (Source("a", "context:far"), FAR, "far.example"),
        (Source("a", "context:far", address_host="10.0.0.5"), FAR, "10.0.0.5"),
        (Source("a", "context:default"), LOCAL, ""),
        (Source("a", swarm="tcp://10.0.0.5:2376"), "tcp://10.0.0.5:2376", "10.0.0.5"),
        (ENVIRONMENT, "tcp://env.example:1", "env.example"),
    ],
)
def test_a_source_is_asked_where_it_says(
    docker: Path, source: Source, host: str, published_host: str
) -> None:
    environment = {"DOCKER_HOST": "tcp://env.example:1", "DOCKER_TLS_VERIFY": "1"}
    daemon = daemon_of(source, environment, docker.parent)
    assert (daemon.host, daemon.published_host, daemon.problem) == (host, published_host, "")
    assert (daemon.certificates is None) == (source is not ENVIRONMENT)


@pytest.mark.clause("12.daemon.tls")
def test_a_source_shows_the_certificates_that_it_names() -> None:
    daemon = daemon_of(Source("a", "tcp://h:1", tls=Tls("ca", "cert", "key")), {})
    assert daemon.certificates == Certificates("ca", "cert", "key", is_verified=True)


@pytest.mark.clause("12.daemon.errors")
def test_a_context_that_is_not_there_is_told_of_its_source(docker: Path) -> None:
    daemon = daemon_of(Source("a", "context:lost"), {}, docker.parent)
    assert daemon.problem == (
        f"there is no context lost in {docker}: see `docker context ls`, or check the source a"
    )
    with pytest.raises(SourceError, match="there is no context lost"):
        DockerSource(daemon).ping()
