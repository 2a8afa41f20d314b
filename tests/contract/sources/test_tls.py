"""Docker by TLS: what keeps us out is told, with what to do. The authorities are of the tests' own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError
from tests.certificates import Authority
from tests.contract.sources.between import between, terminating
from tests.contract.sources.daemons import asked_by_tls, serve_tls, socket_of_this_machine
from tests.contract.sources.test_docker_errors import INSIDES
from tests.integration.dockerds import Dockerd

pytestmark = [pytest.mark.docker, pytest.mark.clause("4.docker.tls")]


@dataclass
class Here:
    """What serves, by a certificate of that authority."""

    address: str
    authority: Authority


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    authority, directory = Authority(), tmp_path_factory.mktemp("tls")
    with contextlib.closing(Dockerd()) as far:
        yield Here(serve_tls(far, authority.issue(directory / "server", far.address)), authority)


OTHER_NAME = "is for other names: check DOCKER_HOST, or give Docker one that has this name"


def told(monkeypatch: pytest.MonkeyPatch, address: str, files: Path) -> str:
    """Why Docker cannot be asked there with these *files*."""
    for name, value in asked_by_tls(address, files).items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(DockerSource()) as source, pytest.raises(SourceError) as raised:
        source.ping()
    assert not INSIDES.search(str(raised.value))
    return str(raised.value).replace(f"tcp://{address}", "HOST")


REFUSED = (
    "Docker at HOST refuses rgate's certificate, cert.pem: see that there is one, that it has not expired "
    "and is of the authority that Docker knows, and check DOCKER_CERT_PATH"
)
"""Where who refuses does not say why: Go before 1.21."""


@pytest.mark.daemons
@pytest.mark.slow
def test_a_certificate_of_the_same_authority(
    monkeypatch: pytest.MonkeyPatch, here: Here, tmp_path: Path
) -> None:
    for name, value in asked_by_tls(here.address, here.authority.issue(tmp_path)).items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(DockerSource()) as source:
        assert source.ping()


@pytest.mark.daemons
@pytest.mark.slow
def test_no_certificate_of_ours(monkeypatch: pytest.MonkeyPatch, here: Here, tmp_path: Path) -> None:
    files = here.authority.issue(tmp_path)
    for name in ("cert.pem", "key.pem"):
        (files / name).unlink()
    wanted = "Docker at HOST wants a certificate from rgate, cert.pem: check DOCKER_CERT_PATH"
    assert told(monkeypatch, here.address, files) in (wanted, REFUSED)


@pytest.mark.daemons
@pytest.mark.slow
def test_one_of_ours_that_has_expired(monkeypatch: pytest.MonkeyPatch, here: Here, tmp_path: Path) -> None:
    expired = "rgate's certificate for Docker at HOST, cert.pem, has expired: check DOCKER_CERT_PATH"
    files = here.authority.issue(tmp_path, is_expired=True)
    assert told(monkeypatch, here.address, files) in (expired, REFUSED)


@pytest.mark.daemons
@pytest.mark.slow
def test_one_of_ours_of_another_authority(
    monkeypatch: pytest.MonkeyPatch, here: Here, tmp_path: Path
) -> None:
    files = Authority("another").issue(tmp_path)
    (files / "ca.pem").write_bytes((here.authority.issue(tmp_path / "good") / "ca.pem").read_bytes())
    unknown = (
        "rgate's certificate for Docker at HOST, cert.pem, is of no authority that Docker knows: "
        "check DOCKER_CERT_PATH"
    )
    assert told(monkeypatch, here.address, files) in (unknown, REFUSED)


@pytest.mark.parametrize(
    ("address", "is_expired", "is_of_another", "why"),
    [
        ("127.0.0.1", True, False, "has expired: give Docker a new one"),
        (
            "192.0.2.1",
            False,
            False,
            "is for other names: check DOCKER_HOST, or give Docker one that has this name",
        ),
        ("127.0.0.1", False, True, "is of an authority that ca.pem has not: check DOCKER_CERT_PATH"),
    ],
)
def test_a_certificate_of_dockers_that_is_no_good(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    why: str,
    *,
    is_expired: bool,
    is_of_another: bool,
) -> None:
    authority = Authority()
    context = terminating(authority.issue(tmp_path / "server", address, is_expired=is_expired))
    with between(socket_of_this_machine(), context) as terminator:
        known = Authority() if is_of_another else authority
        sentence = told(monkeypatch, f"127.0.0.1:{terminator.port}", known.issue(tmp_path / "client"))
        assert sentence == f"the certificate of Docker at HOST {why}"


def test_tls_with_one_that_speaks_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with between(socket_of_this_machine()) as plain:
        assert told(monkeypatch, f"127.0.0.1:{plain.port}", Authority().issue(tmp_path)) == (
            "who answers at HOST speaks no TLS: check DOCKER_TLS_VERIFY, and the port"
        )


@pytest.mark.daemons
@pytest.mark.slow
def test_no_tls_with_one_that_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with contextlib.closing(Dockerd()) as far:
        address = serve_tls(far, Authority().issue(tmp_path, far.address))
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")
        with contextlib.closing(DockerSource()) as source, pytest.raises(SourceError) as raised:
            source.ping()
        assert str(raised.value) == (
            f"Docker at tcp://{address} wants TLS: check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"
        )
