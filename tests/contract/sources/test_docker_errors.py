"""Whatever keeps Docker from answering is told in a sentence that says what to do, never as an exception."""

import contextlib
import errno
import gc
import http.server
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest
import requests
import urllib3
from docker.errors import APIError, DockerException, TLSParameterError

from rgate.core.containers import Listed
from rgate.discovery import docker_client
from rgate.discovery.daemon import Daemon, which_daemon
from rgate.discovery.docker_client import make_client
from rgate.discovery.docker_errors import sentence_for, shown_host
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError

INSIDES = re.compile(r"Error|Exception|Errno|Traceback|Pool|<|\bobject\b|\(\d|\('")


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def told(monkeypatch: pytest.MonkeyPatch, host: str, **environment: str) -> str:
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DOCKER_HOST": host, **environment}.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        # The SDK leaves the socket of a connection that failed to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        sentence = error_of(DockerSource(make=lambda _, version: make_client(which_daemon(), 1, version)))
        gc.collect()
    assert not INSIDES.search(sentence)
    assert "\n" not in sentence
    return sentence


def error_of(source: DockerSource) -> str:
    with contextlib.closing(source), pytest.raises(SourceError) as raised:
        source.ping()
    return str(raised.value)


def test_a_socket_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "unix:///nonexistent/docker.sock") == (
        "there is no socket unix:///nonexistent/docker.sock: start Docker, or check DOCKER_HOST"
    )


def test_nobody_who_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for host in (f"tcp://127.0.0.1:{closed.getsockname()[1]}", f"unix://{tmp_path}/file"):
            expected = f"nobody listens at {host}: start Docker, or check DOCKER_HOST"
            assert told(monkeypatch, host) == expected


def test_one_that_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        host = f"tcp://127.0.0.1:{frozen.getsockname()[1]}"
        assert told(monkeypatch, host) == (
            f"nothing came within 5 s from {host}: see if `docker version` gets an answer"
        )


def test_one_that_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"tcp://127.0.0.1:{server.getsockname()[1]}"

        def close() -> None:
            with server.accept()[0] as client:
                client.recv(65536)

        thread = threading.Thread(target=close)
        thread.start()
        assert told(monkeypatch, host) == (
            f"the connection to Docker at {host} was closed: see whether it runs, and its log"
        )
        thread.join()


def test_what_is_no_docker_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, b"<html>'Hello'</html>") as host:
        assert told(monkeypatch, host) == f"who answers at {host} is not Docker: check DOCKER_HOST"
    with answering(200, b'{"ApiVersion": "1.44"}') as host:
        assert told(monkeypatch, host).startswith(f"what Docker at {host} answers is not understood")
    with answering(403, b"Forbidden\nby (3, 'proxy')") as host:
        assert told(monkeypatch, host) == (
            f"Docker at {host} answers 403 Forbidden: check what stands in front of it, and its log"
        )


class Api:
    """What the SDK says of containers: these rows, and of each that runs this."""

    def __init__(self, rows: object, found: object = None) -> None:
        self.rows, self.found = rows, found

    def version(self, **_: bool) -> dict[str, str]:
        return {"Version": "20.10", "ApiVersion": "1.41"}

    def containers(self, **_: bool) -> object:
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows

    def inspect_container(self, _: str) -> object:
        return self.found


def source_of(rows: object, found: object = None) -> DockerSource:
    return DockerSource(make=lambda *_: cast(docker.DockerClient, SimpleNamespace(api=Api(rows, found))))


RUNS = {"Id": "1", "Names": ["/a"], "Labels": {}, "State": "running"}


NOT_UNDERSTOOD = "answers is not understood: check its version"


@pytest.mark.parametrize(
    "rows",
    [None, {"message": "x"}, [5], [{}], [{"Id": None}], RecursionError("maximum recursion depth exceeded")],
)
def test_a_list_that_is_none_of_dockers_is_told(rows: object) -> None:
    with pytest.raises(SourceError, match=NOT_UNDERSTOOD):
        source_of(rows).containers()


@pytest.mark.clause("4.docker.not_inspected")
@pytest.mark.parametrize(
    "odd",
    [
        {"Labels": {"app": 5}},
        {"Labels": {"app": None}},
        {"State": None},
        {"Ports": [{"Type": "tcp"}]},
        {"Ports": [5]},
        {"NetworkSettings": {"Networks": {"a": None}}},
        {"Names": [None]},
    ],
)
def test_what_is_not_understood_of_one_container_hides_no_other(odd: dict[str, object]) -> None:
    first, second = source_of([{**RUNS, **odd}, {**RUNS, "Id": "2"}]).containers()
    assert first == Listed("1", None)
    assert second.container is not None
    assert second.container.name == "a"


@pytest.mark.clause("4.docker.not_inspected")
@pytest.mark.parametrize("odd", [None, {}, [], "x", {"Id": None}, {"Id": 5}, {"Names": ["/a"]}])
def test_a_row_that_names_no_container_hides_no_other_and_is_told_once(
    odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of([odd, RUNS])
    for _ in range(2):
        assert [listed.id for listed in source.containers()] == ["1"]
    assert [record.getMessage() for record in caplog.records] == [
        "Docker lists what has no id, which is left out number=1"
    ]


@pytest.mark.clause("4.docker.not_inspected")
@pytest.mark.parametrize("key", ["Names", "Labels", "Ports", "NetworkSettings", "HostConfig", "Status"])
def test_nulls_in_a_list_stand_for_nothing(key: str) -> None:
    (only,) = source_of([{**RUNS, key: None}]).containers()
    assert only.container is not None


@pytest.mark.clause("4.docker.not_inspected")
@pytest.mark.parametrize("found", [None, {"Id": "1"}, {"Id": "1", "Config": None, "State": None}, [], 5])
def test_an_inspect_of_which_nothing_is_understood_is_told(found: object) -> None:
    with pytest.raises(SourceError, match=NOT_UNDERSTOOD):
        source_of([], found).container("1")


def test_tls_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = "tcp://127.0.0.1:1"
    assert told(monkeypatch, host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)) == (
        f"the certificates for Docker at {host} are not there: check DOCKER_CERT_PATH"
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (
            "nonsense://x",
            "Docker cannot be asked at nonsense://x (Invalid bind address protocol: nonsense://x)",
        ),
        ("tcp://127.0.0.1:99999999", "Docker cannot be asked at tcp://127.0.0.1:99999999 (Port out of range"),
        (f"unix:///{'a' * 200}", "Docker cannot be asked at unix:///aaa"),
    ],
)
def test_a_docker_host_that_means_nothing(monkeypatch: pytest.MonkeyPatch, host: str, expected: str) -> None:
    sentence = told(monkeypatch, host)
    assert sentence.startswith(expected)
    assert sentence.endswith("): check DOCKER_HOST")


def test_who_asks_is_not_told() -> None:
    assert shown_host("tcp://me:secret@docker.example:2376") == "tcp://docker.example:2376"
    assert shown_host("unix:///run/me@home/docker.sock") == "unix:///run/me@home/docker.sock"


@pytest.mark.parametrize("password", ["secret", "top@secret", "top/secret"])
def test_a_password_in_a_url_that_the_sdk_refuses_is_not_told(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    sentence = told(monkeypatch, f"ssh://me:{password}@docker.example:99999")
    assert "secret" not in sentence
    assert "docker.example:99999" in sentence


@pytest.mark.clause("4.docker.tls")
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "Docker at H wants a certificate from rgate, cert.pem: check"),
        (
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            "rgate's certificate for Docker at H, cert.pem, has expired: check",
        ),
        (
            "TLSV1_ALERT_UNKNOWN_CA",
            "rgate's certificate for Docker at H, cert.pem, is of no authority that Docker",
        ),
        (
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "Docker at H refuses rgate's certificate, cert.pem: see that there is one",
        ),
        ("UNEXPECTED_EOF_WHILE_READING", "no TLS with Docker at H (unexpected eof while reading): check"),
    ],
)
def test_what_docker_says_of_our_certificate_is_told(reason: str, expected: str) -> None:
    error = ssl.SSLError(1, f"[SSL: {reason}] x (_ssl.c:1006)")
    error.reason = reason
    sentence = sentence_for(wrapped(error), "H", 5)
    assert sentence.startswith(expected)
    assert sentence.endswith("DOCKER_CERT_PATH")


def wrapped(cause: Exception) -> Exception:
    """As the SDK raises what *cause* came of: through urllib3 and requests."""
    aborted = urllib3.exceptions.ProtocolError("Connection aborted.", cause)
    error = DockerException(f"Error while fetching server API version: {requests.ConnectionError(aborted)}")
    error.__cause__ = requests.ConnectionError(aborted)
    return error


HANDSHAKE = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "rgate may not use H: run it as a user who may"),
        (socket.gaierror(-2, "Name or service not known"), "the name in H is not known: check DOCKER_HOST"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no way to H: check DOCKER_HOST"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the connection to Docker at H was closed"),
        (urllib3.exceptions.IncompleteRead(1, 2), "the connection to Docker at H was closed"),
        (HANDSHAKE, "no TLS with Docker at H (no reason given): check DOCKER_TLS_VERIFY"),
        (TLSParameterError("x"), "the certificates for Docker at H are not there"),
        (APIError("x"), "Docker cannot be asked at H"),
        (KeyError("Version"), "what Docker at H answers is not understood"),
        (DockerException("Install paramiko package to enable ssh:// support"), "H needs an SSH client: `pip"),
        (OSError("OSError('x')"), "Docker cannot be asked at H (DockerException): check DOCKER_HOST"),
    ],
)
def test_the_cause_of_all_is_told(error: Exception, expected: str) -> None:
    assert sentence_for(wrapped(error), "H", 5).startswith(expected)


@pytest.mark.clause("12.names.remedies", "12.daemon.errors")
def test_a_command_for_a_source_says_that_it_is_for_its_machine() -> None:
    said = sentence_for(TimeoutError(), "tcp://far:2376", 5, "the source far")
    assert said.endswith(": see if `docker version` on its machine gets an answer")
    said = sentence_for(TimeoutError(), "tcp://far:2376", 5)
    assert said.endswith(": see if `docker version` gets an answer")


@pytest.mark.clause("4.docker.bounded", "4.docker.ssh")
def test_a_login_by_ssh_has_an_end_and_leaves_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_client, "CALL_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        host = f"ssh://nobody@127.0.0.1:{server.getsockname()[1]}"
        source = DockerSource(Daemon(host), None)
        failed: list[SourceError] = []

        def ask() -> None:
            try:
                source.ping()
            except SourceError as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            accepted.sendall(b"SSH-2.0-says-no-more\r\n")
            with contextlib.suppress(ConnectionResetError):
                while accepted.recv(4096):
                    pass
        asking.join(10)
    assert failed
