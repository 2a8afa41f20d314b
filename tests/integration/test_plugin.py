"""The pytest plugin: its fixtures in this very run, and runs of pytest that use it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from rgate.core.explain import Ending
from rgate.engines import ENGINES
from rgate.testing import ConfigError, GatewayError, NotReady
from rgate.testing.backend import HttpBackend, StartBackend
from rgate.testing.gateway import RunningGateway, StartGateway
from tests.integration.containers import Containers
from tests.integration.gateway import ROOT, finished, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

DEAD = "127.0.0.1:9"  # a proxy that nobody is
NO_DOCKER = "unix:///nowhere/docker.sock"


def config(*backends: HttpBackend) -> dict[str, Any]:
    """Return a route `/b0`, `/b1`, … to each of *backends*."""
    names = {f"b{number}": one.url for number, one in enumerate(backends)}
    return {
        "routes": [{"path_prefix": f"/{name}", "backend": name} for name in names],
        "backends": [{"name": name, "urls": [url]} for name, url in names.items()],
    }


# A gateway in this run.


@pytest.mark.clause("11.gateway.runs", "11.gateway.requests", "11.gateway.stories", "11.gateway.told")
def test_a_gateway_is_asked_and_tells_what_was(
    rgate_gateway: StartGateway,
    rgate_backend: StartBackend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{DEAD}")
    monkeypatch.chdir(tmp_path)
    backend = rgate_backend(body="hello")
    Path("shop.yml").write_text(yaml.safe_dump(config(backend)))
    with rgate_gateway("shop.yml") as gateway:
        gateway.wait_ready("b0")
        assert gateway.get("/b0/1?x=%2F").text == "hello"
        sent = gateway.post("/b0", data=b"abc", headers={"Host": "shop.example", "X-Request-ID": "a/b"})
        assert sent.status_code == 200
        assert gateway.get("/b0/../x").json()["reason"] == "path_not_normalized"
        assert gateway.request("PURGE", "/elsewhere").status_code == 404

        assert [(one.method, one.target, one.status) for one in gateway.requests()] == [
            ("GET", "/b0/1?x=%2F", 200),
            ("POST", "/b0", 200),
            ("GET", "/b0/../x", 400),
            ("PURGE", "/elsewhere", 404),
        ]
        assert [one.target for one in gateway.requests(route="/b0", limit=1)] == ["/b0"]
        assert gateway.requests(failed=True) == []
        assert len(gateway.requests(failed=False)) == 4
        assert [attempt.end for attempt in gateway.why("a/b").attempts] == ["response"]
        assert gateway.why("a/b").host == "shop.example"
        assert (gateway.stats().requests_count.success, gateway.stats().requests_count.error) == (2, 2)
        explained = gateway.explain("POST", "/b0/2", headers={"Accept": "text/x"})
        assert explained.outcome is Ending.FORWARD
        assert explained.forwarded is not None
        assert explained.forwarded.fields[0] == ("Host", gateway.url.removeprefix("http://"))
        assert ("Accept", "text/x") in explained.forwarded.fields
        for wrong in ({"rout": "/b0"}, {"limit": 101}):
            with pytest.raises(GatewayError, match=r" says 400: "):
                gateway.requests(**wrong)
        with pytest.raises(GatewayError, match="No request 'c' is known"):
            gateway.why("c")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rgate-0", "shop.yml"]
    assert {"config.yml", "rgate.db"} <= {file.name for file in (tmp_path / "rgate-0").iterdir()}


@pytest.mark.clause("11.gateway.reload", "11.gateway.wrong", "11.gateway.ready", "11.gateway.gone")
def test_what_is_reloaded_is_in_force_and_what_is_wrong_is_told_as_check_does(
    rgate_gateway: StartGateway, rgate_backend: StartBackend, tmp_path: Path
) -> None:
    one, other = rgate_backend(body="one"), rgate_backend(body="other")
    name, wrong = str(tmp_path / "wrong.yml"), "rotues: []\nbackends: 7\n"
    Path(name).write_text(wrong)
    checked = finished("check", "--config", name, cwd=tmp_path).stderr.rstrip()
    assert "rotues" in checked
    with pytest.raises(ConfigError) as error:
        rgate_gateway(name)
    assert str(error.value) == checked

    gateway = rgate_gateway(config(one, other))
    gateway.wait_ready()
    with pytest.raises(ConfigError) as error:
        gateway.reload(Path(name))
    assert str(error.value) == checked
    with pytest.raises(ConfigError, match=r"nowhere\.yml: cannot be read: .*relative path"):
        gateway.reload("nowhere.yml")
    with pytest.raises(ConfigError, match="cannot represent"):
        gateway.reload({"routes": object()})
    assert gateway.get("/b0").text == "one", "the old one stays"
    long = config(other)  # to read it takes longer than to ask
    long["routes"] += [{"path_prefix": f"/p{number}", "backend": "b0"} for number in range(500)]
    gateway.reload(long)
    assert gateway.get("/b0").text == "other"
    gateway.reload(long)  # as it is already
    gateway.wait_gone(one.url.removeprefix("http://"))
    with pytest.raises(NotReady, match="no container 'orders-1' was ever known"):
        gateway.wait_gone("orders-1")
    with pytest.raises(NotReady, match="still asks"):
        gateway.wait_gone(other.url.removeprefix("http://"), within_s=0)
    with pytest.raises(NotReady, match="no backend 'b00'; did you mean \"b0\""):
        gateway.wait_ready("b00")


@pytest.mark.clause(
    "11.gateway.several", "11.gateway.kill", "11.gateway.ended", "11.gateway.no_docker", "11.plugin.leaves"
)
def test_of_two_gateways_one_is_killed_and_the_other_says_that_docker_is_away(
    rgate_gateway: StartGateway, rgate_backend: StartBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER)
    first = rgate_gateway(config(rgate_backend()))
    second = rgate_gateway(
        {
            "routes": [{"path_prefix": "/", "backend": "shop"}],
            "backends": [{"name": "shop", "match_labels": ["a=b"]}],
        }
    )
    assert first.get("/b0").status_code == 200
    directory = Path(first._process._temporary)
    assert directory.is_dir()
    first.kill()
    first.kill()
    assert not directory.exists()
    with pytest.raises(requests.ConnectionError):
        first.get("/b0")
    with pytest.raises(GatewayError, match="rgate was ended by SIGKILL"):
        first.stats()
    assert second.get("/b0").json()["reason"] == "docker_unavailable"
    with pytest.raises(NotReady, match=r"`shop` has no candidate: .*Docker"):
        second.wait_ready(within_s=0)
    assert second.stats().requests_count.error == 1


@pytest.mark.clause("11.gateway.ended")
def test_a_gateway_that_does_not_start_says_why(rgate_gateway: StartGateway) -> None:
    with pytest.raises(GatewayError) as error:
        rgate_gateway({"routes": [], "backends": []}, "--access-log", "/nowhere/log")
    assert str(error.value).startswith("rgate ended with status 1:\n")
    assert "/nowhere/log" in str(error.value)


@pytest.mark.slow
@pytest.mark.clause("11.gateway.runs", "11.gateway.reload")
@pytest.mark.parametrize("engine_option", sorted(ENGINES))
def test_each_engine_and_workers_are_options(
    rgate_gateway: StartGateway, rgate_backend: StartBackend, engine_option: str
) -> None:
    backend, other = rgate_backend(body="one"), rgate_backend(body="other")
    gateway = rgate_gateway(config(backend), "--engine", engine_option, "--workers", "2")
    for _ in range(10):
        assert requests.get(f"{gateway.url}/b0", timeout=30).text == "one"
    assert len(gateway.requests()) == 10
    gateway.reload(config(other))
    assert {requests.get(f"{gateway.url}/b0", timeout=30).text for _ in range(20)} == {"other"}
    children = children_of(gateway)
    assert len(children) == 2
    gateway.kill()
    wait_until(lambda: [pid for pid in children if is_alive(pid)], lambda left: not left, within_s=20)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.clause("11.gateway.ready", "11.gateway.gone")
def test_containers_are_waited_for_and_near_misses_told(
    rgate_gateway: StartGateway, containers: Containers
) -> None:
    gateway = rgate_gateway(
        {
            "routes": [{"path_prefix": "/", "backend": "shop"}],
            "backends": [{"name": "shop", "match_labels": [containers.app, "env=production"]}],
        }
    )
    near = containers.start(containers.app, "env=prod")
    with pytest.raises(NotReady, match=f"(?s)`shop` has no candidate.*{near.name}.*env=prod"):
        gateway.wait_ready("shop", within_s=1)
    container = containers.start(containers.app, "env=production", wait=False, health_check=True)
    gateway.wait_ready("shop")
    health = {one.name: one.health for one in gateway.backends().backends["shop"].containers}
    assert health[str(container.name)] == "healthy"
    with pytest.raises(NotReady, match=f"`shop` has {container.name} alone\n  {near.name}: "):
        gateway.wait_ready("shop", at_least=2, within_s=0)
    container.stop(timeout=0)
    gateway.wait_gone(str(container.name))
    assert gateway.get("/").json()["reason"] == "no_container"
    assert gateway.requests()[-1].attempts == []


# Backends in this run.


@pytest.fixture
def direct() -> Iterator[requests.Session]:
    """What asks a backend itself, past a gateway."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.clause("11.backend.answers", "11.backend.requests", "11.backend.changes")
def test_a_backend_answers_as_it_is_told_to_and_keeps_what_it_got(
    rgate_backend: StartBackend, direct: requests.Session
) -> None:
    backend = rgate_backend(status=201, body=b"\0\xff", headers={"X-A": "1"})
    answer = direct.post(f"{backend.url}/x?y", data=iter([b"ab", b"c"]), headers={"X-B": "2"})
    assert (answer.status_code, answer.content, answer.headers["X-A"]) == (201, b"\0\xff", "1")
    (got,) = backend.requests
    assert (got.method, got.target, got.headers["x-b"], got.body) == ("POST", "/x?y", "2", b"abc")
    backend.body = "é"
    assert direct.get(backend.url).content == "é".encode()
    assert direct.head(backend.url).headers["Content-Length"] == "2"
    backend.status = 204
    assert direct.get(backend.url).content == b""
    assert [one.method for one in backend.requests] == ["POST", "GET", "HEAD", "GET"]


@pytest.mark.clause("11.backend.stream", "11.backend.close_early", "11.backend.refuse")
def test_a_backend_streams_closes_early_and_refuses(
    rgate_backend: StartBackend, direct: requests.Session
) -> None:
    goes_on = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        assert goes_on.wait(20)
        yield b"second"

    backend = rgate_backend(stream=pieces())
    with direct.get(backend.url, stream=True) as answer:
        assert answer.raw.read(5, decode_content=False) == b"first"
        goes_on.set()
        assert answer.raw.read(decode_content=False) == b"second"
    backend.stream, backend.close_early = [b"a", b"", b"b"], True
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        direct.get(backend.url)
    backend.stream = None
    with pytest.raises(requests.ConnectionError, match="without response"):
        direct.get(backend.url)
    backend.close_early = False
    assert direct.get(backend.url).status_code == 200
    backend.refuse = True
    with pytest.raises(requests.ConnectionError, match="refused"):
        direct.get(backend.url)
    backend.refuse = False
    assert direct.get(backend.url).status_code == 200


@pytest.mark.clause("11.backend.delay")
def test_a_backend_that_waits_is_let_go_when_it_ends(
    rgate_backend: StartBackend, direct: requests.Session
) -> None:
    backend = rgate_backend(delay=3600)
    with pytest.raises(requests.Timeout):
        direct.get(backend.url, timeout=0.1)
    thread = next(one for one in threading.enumerate() if "process_request_thread" in one.name)
    backend.close()
    thread.join(20)
    assert not thread.is_alive()


# Runs of pytest.

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def shop(rgate_gateway_factory):
    return rgate_gateway_factory(CONFIG, *OPTIONS)
"""


@pytest.fixture
def run_of(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.Pytester]:
    """A place to run pytest in, with a session's gateway `shop` in front of one backend, `/b0`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p rgate.testing.plugin -p no:cacheprovider --basetemp=made")
    with contextlib.closing(HttpBackend(body="ok")) as backend:
        pytester.makeconftest(f"CONFIG, OPTIONS = {config(backend)}, []\n{CONFTEST}")
        yield pytester


@pytest.mark.clause(
    "11.report.requests", "11.report.stories", "11.report.timeline", "11.report.ended", "11.gateway.session"
)
def test_the_report_of_a_failed_test_tells_of_that_test_alone(run_of: pytest.Pytester) -> None:
    run_of.makepyfile(
        """
        def test_green(shop):
            assert shop.get("/b0/green").text == "ok"

        def test_red(shop, rgate_backend):
            backend = rgate_backend(close_early=True)
            shop.get("/b0/red")
            shop.reload({"routes": [{"path_prefix": "/new", "backend": "new"}],
                         "backends": [{"name": "new", "urls": [backend.url]}]})
            assert shop.get("/new/red").status_code == 200

        def test_of_something_else():
            assert False

        def test_gone(shop):
            shop.kill()
            assert shop.get("/b0/gone").ok

        def test_behind_it():
            assert False

        def test_none(shop):
            shop.wait_ready("b0")
        """
    )
    run_of.makepyfile(queue="raise AssertionError('no module of a test belongs into the gateway')")
    result = run_of.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=5)
    reports = dict(zip(("red", "else", "gone", "behind", "none"), parts(result.stdout.str()), strict=True))
    red = reports["red"].partition("- rgate -")[2]
    assert "/b0/green" not in red
    lines = [line.strip() for line in red.splitlines()]
    assert "requests of this test, the newest last:" in lines
    assert any("200  GET /b0/red  route /b0, 127.0.0.1:" in line for line in lines)
    assert "503 closed_early  GET /new/red" in lines
    assert any(line.endswith("without one byte") for line in lines)
    assert any("reloaded" in line for line in lines[lines.index("meanwhile:") :])
    assert not any("started on" in line for line in lines), "that was before this test"
    assert "rgate/testing" not in reports["none"].partition("- rgate -")[0], "it ends at the test's own line"
    assert "rgate was ended by SIGKILL" in reports["gone"]
    assert "- rgate -" not in reports["else"] + reports["behind"]


def parts(report: str) -> list[str]:
    """Return what stands of each failed test in *report*."""
    return [
        part
        for part in report.partition("= FAILURES =")[2].partition("= short test summary")[0].split("\n____")
        if "def test_" in part
    ]


@pytest.mark.slow
@pytest.mark.clause("11.report.requests")
@pytest.mark.parametrize("engine_option", sorted(ENGINES))
def test_what_is_still_under_way_is_told(run_of: pytest.Pytester, engine_option: str) -> None:
    run_of.makepyfile(
        f"""
        import threading

        def test_hanging(rgate_gateway, rgate_backend):
            backend = rgate_backend(delay=3600)
            gateway = rgate_gateway({{"routes": [{{"path_prefix": "/", "backend": "b"}}],
                                     "backends": [{{"name": "b", "urls": [backend.url]}}]}},
                                    "--engine", "{engine_option}")
            threading.Thread(target=gateway.session.get, args=(gateway.url,), daemon=True).start()
            while not backend.requests:
                pass
            assert False
        """
    )
    result = run_of.runpytest_subprocess("-p", "no:threadexception")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no request of this test came to its end", "  and under way: 1"])


@pytest.mark.clause("11.plugin.entry", "11.plugin.light")
def test_an_installed_plugin_is_found_and_imports_nothing_until_it_is_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = pytester.mkdir("rgate-1.dist-info")
    (installed / "METADATA").write_text("Name: rgate\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in declared.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(
        """
        import sys

        HEAVY = {"docker", "flask", "pydantic", "requests", "sqlalchemy", "yaml", "urllib3", "uvloop"}

        def test_light(request):
            assert request.config.pluginmanager.has_plugin("rgate.testing.plugin")
            names = {name for name in sys.modules if name.partition(".")[0] == "rgate"}
            assert names == {"rgate", "rgate._version", "rgate.testing", "rgate.testing.plugin"}
            assert not HEAVY & sys.modules.keys()
        """
    )
    others = ("-p", "no:docker", "-p", "no:pytest_docker", "-p", "no:hypothesispytest")
    result = pytester.runpytest_subprocess(*others, "-p", "rgate.testing.plugin")
    result.assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.clause("11.plugin.xdist", "11.plugin.leaves")
def test_under_xdist_each_process_has_its_gateway_and_reports_arrive(
    run_of: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_red(shop, number):
            assert shop.get(f"/b0/{number}").text == shop.url
        """
    )
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:  # a short path, as sockets want it
        monkeypatch.setenv("TMPDIR", temporary)
        result = run_of.runpytest_subprocess("-n", "2")
        assert gateways_running(temporary) == set()
    result.assert_outcomes(failed=4)
    told = parts(result.stdout.str())
    for part in told:
        assert part.count(" 200  GET /b0/") == 1


HANGS = """
import os
import threading

def test_hangs(shop):
    shop.get("/b0")
    os.write(1, f"is at {shop._process._process.pid}\\n".encode())
    threading.Event().wait()
"""

# Started in the background of a shell, tests inherit that Ctrl-C is ignored.
HEEDS_CTRL_C = """
import signal
import sys

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(["-s", "-q"]))
"""


@pytest.mark.clause("11.plugin.leaves")
@pytest.mark.parametrize(
    ("number", "status", "options"),
    [
        pytest.param(signal.SIGINT, 2, [], id="Ctrl-C"),
        pytest.param(signal.SIGKILL, -9, ["--workers", "2"], id="killed", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, ["--engine", "flask"], id="killed, flask", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_ended_leaves_no_process(
    run_of: pytest.Pytester, number: signal.Signals, status: int, options: list[str]
) -> None:
    conftest = run_of.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace(", []", f", {options}"))
    run_of.makepyfile(HANGS)
    temporary = Path(tempfile.mkdtemp(prefix="t-"))  # a short path, as sockets want it
    run = subprocess.Popen(
        [sys.executable, "-c", HEEDS_CTRL_C],
        cwd=run_of.path,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    with run:
        assert run.stdout is not None
        gateway = next(int(line.rpartition("is at ")[2]) for line in run.stdout if "is at " in line)
        processes = [gateway, *children(gateway)]
        assert all(map(is_alive, processes))
        if number is signal.SIGINT:
            os.killpg(run.pid, number)  # as a terminal does
        else:
            run.send_signal(number)
        try:
            said, _ = run.communicate(timeout=60)
        finally:
            run.kill()
        assert run.returncode == status, said
    wait_until(lambda: [pid for pid in processes if is_alive(pid)], lambda left: not left, within_s=30)
    wait_until(lambda: [*temporary.iterdir()], lambda left: not left, within_s=10)
    temporary.rmdir()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def children_of(gateway: RunningGateway) -> list[int]:
    return children(gateway._process._process.pid)


def is_alive(pid: int) -> bool:
    """Whether it runs: one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gateways_running(temporary: str) -> set[int]:
    """The processes of gateways whose temporary files are there."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (directory / "cmdline").read_bytes()
            if b"rgate.testing.child" in words and temporary.encode() in words:
                found.add(int(directory.name))
    return found
