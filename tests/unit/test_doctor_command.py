"""The command `doctor`: real faults, each found by the command itself (behaviour 9)."""

import contextlib
import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from bench.machine import free_port
from rgate.cli.main import run
from tests.contract.sources.fake_docker import FakeDocker, serving

ROOT: Final = Path(__file__).parents[2]
FIXED: Final = (
    'routes: [{path_prefix: /a, backend: a}]\nbackends: [{name: a, urls: ["http://127.0.0.1:9"]}]\n'
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration that needs no Docker, and no Docker."""
    (tmp_path / "config.yml").write_text(FIXED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    return tmp_path


@contextlib.contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int) -> dict[str, list[Mapping[str, Any]]]:
    """What `doctor --json` says, by the names of the checks."""
    if "--port" not in words:
        words = ("--port", str(free_port()), *words)
    with pytest.raises(SystemExit) as ended:
        run(["doctor", "--json", *words])
    output = capsys.readouterr()
    assert ended.value.code == status, output
    document = json.loads(output.out)
    assert list(document) == ["checks"]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for check in document["checks"]:
        assert list(check) == ["name", "level", "text", "do"]
        found.setdefault(check["name"], []).append(check)
    return found


@pytest.mark.clause("9.doctor.json", "9.doctor.levels")
def test_a_machine_without_docker_is_fit_for_fixed_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, status=0)
    assert {name: checks[0]["level"] for name, checks in found.items()} == {
        "docker": "warning", "config": "ok", "backends": "ok", "port": "ok", "database": "ok", "disk": "ok",
        "open files": "ok",
    }  # fmt: skip
    assert os.listdir() == ["config.yml"], "nothing is made"


@pytest.mark.clause("9.doctor.faults")
def test_docker_away_is_a_fault_where_it_is_needed(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "config.yml").write_text("routes: []\nbackends: [{name: a, match_labels: [a=b]}]")
    (docker,) = told(capsys, status=1)["docker"]
    assert docker["level"] == "fail"
    assert docker["do"] == "start Docker, or check DOCKER_HOST"


@pytest.mark.clause("9.doctor.faults")
def test_a_wrong_config_is_a_fault(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "config.yml").write_text("routes: []\nbackends: [{name: a, match_labels: [ab]}]")
    (config,) = told(capsys, status=1)["config"]
    assert config["text"].startswith("config.yml:2: backends[0].match_labels[0]: ")
    (config,) = told(capsys, "--config", "none.yml", status=1)["config"]
    assert config["text"].endswith("; `rgate init` makes one, or name another with --config")
    told(capsys, "--config", "none.yml", status=1)


@pytest.mark.clause("9.doctor.faults", "9.doctor.holder")
def test_a_port_that_is_taken_is_told_with_who_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    with listener() as port:
        (found,) = told(capsys, "--port", str(port), status=1)["port"]
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use by " in found["text"]
    assert f"(pid {os.getpid()})" in found["text"]
    assert found["do"] == "choose another port with --port, or end what listens there"


@pytest.mark.clause("9.doctor.faults")
@pytest.mark.parametrize(
    ("host", "text"), [("192.0.2.1", "is no name or address"), ("no.invalid", "is no name")]
)
def test_an_address_that_is_not_here_is_told(
    capsys: pytest.CaptureFixture[str], host: str, text: str
) -> None:
    (found,) = told(capsys, "--host", host, status=1)["port"]
    assert text in found["text"] + found["do"]


def database(path: Path, version: int = 2) -> sqlite3.Connection:
    made = sqlite3.connect(path, isolation_level=None)
    made.execute(
        "CREATE TABLE rgate_schema (version INTEGER, identity INTEGER, revision INTEGER, settled INTEGER)"
    )
    made.execute("INSERT INTO rgate_schema VALUES (?, 1, 7, 0)", (version,))
    return made


@pytest.mark.clause("9.doctor.faults")
def test_a_database_is_told_to_be_locked_newer_or_none_at_all(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    with contextlib.closing(database(place / "locked.db")) as locked:
        locked.execute("BEGIN IMMEDIATE")
        (found,) = told(capsys, "--db", "sqlite:///locked.db", status=1)["database"]
        assert "locked" in found["text"]
        assert "end what holds it" in found["do"]
    database(place / "newer.db", 99).close()
    (found,) = told(capsys, "--db", "sqlite:///newer.db", status=1)["database"]
    assert "version 99" in found["text"]
    (place / "noise.db").write_text("no database\n" * 100)
    (found,) = told(capsys, "--db", "sqlite:///noise.db", status=1)["database"]
    assert "file is not a database" in found["text"]
    (found,) = told(capsys, "--db", "sqlite:///none/figures.db", status=1)["database"]
    assert found["do"] == "make it, or name another with --db"
    (found,) = told(capsys, "--db", "nonsense", status=1)["database"]
    assert "no database URL" in found["text"]
    (found,) = told(capsys, "--db", "mysql://localhost/x", status=1)["database"]
    assert found["text"].endswith("the driver of mysql is not installed")
    assert found["do"].startswith("install it (for PostgreSQL by `pip install")


def test_a_sound_database_is_left_as_it_was(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    database(place / "rgate.db").close()
    before = (place / "rgate.db").read_bytes()
    assert told(capsys, status=0)["database"][0]["text"] == "sqlite:///rgate.db can be written"
    assert (place / "rgate.db").read_bytes() == before


@pytest.mark.clause("9.doctor.faults")
def test_names_that_have_no_address_are_told(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    text = FIXED.replace("127.0.0.1:9", "shop.invalid:9")
    (place / "config.yml").write_text(text)
    found = told(capsys, "--db", "postgresql+psycopg://db.invalid/x", status=1)
    assert {check["text"].partition(",")[0] for check in found["names"]} == {"shop.invalid", "db.invalid"}


@pytest.mark.clause("9.doctor.faults")
def test_a_context_of_another_machine_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST")
    meta = tmp_path / "contexts/meta" / hashlib.sha256(b"prod").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text('{"Name": "prod", "Endpoints": {"docker": {"Host": "tcp://no.invalid:2375"}}}')
    (tmp_path / "config.json").write_text('{"currentContext": "prod"}')
    found = told(capsys, status=0)
    assert "named by the context prod (tcp://no.invalid:2375)" in found["docker context"][0]["text"]
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "docker context" not in told(capsys, status=0)


class Refusing(FakeDocker):
    """Stands behind a proxy that lets version, ping and events by, but no list."""

    def answer(self, path: str) -> tuple[int, object]:
        return (403, {"message": "Forbidden"}) if path == "/containers/json" else super().answer(path)


@pytest.mark.clause("9.doctor.faults")
def test_a_proxy_that_keeps_events_or_lists_back_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    (place / "config.yml").write_text("routes: []\nbackends: [{name: a, match_labels: [a=b]}]")
    with serving(FakeDocker()) as docker:
        docker.events = "forbidden"
        monkeypatch.setenv("DOCKER_HOST", docker.host)
        (events,) = told(capsys, status=0)["docker events"]
        assert (events["level"], "403 Forbidden" in events["text"]) == ("warning", True)
    with serving(Refusing()) as docker:
        docker.events = "end"
        monkeypatch.setenv("DOCKER_HOST", docker.host)
        found = told(capsys, status=1)
        assert found["docker"][0]["level"] == "fail"
        assert "403 Forbidden" in found["docker"][0]["text"]
        assert "backends" not in found


def by_itself(*before: str, environment: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """The checks of a process of its own, by name, behind the command *before*; one of them fails."""
    ended = subprocess.run(
        [*before, sys.executable, str(ROOT / "rgate.py"), "doctor", "--json", "--port", "0"],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout, ended.stderr
    assert ended.returncode == 1
    return {check["name"]: check for check in json.loads(ended.stdout)["checks"]}


@pytest.mark.clause("9.doctor.faults")
def test_a_limit_of_256_files_is_told(place: Path) -> None:
    (place / "config.yml").write_text("routes: []\nbackends: [{name: a, match_labels: [a=b]}]")
    found = by_itself("bash", "-c", 'ulimit -n 256; exec "$@"', "bash")["open files"]
    assert found["level"] == "warning"
    assert "256 files open, enough for 96 clients" in found["text"]
    assert "ulimit -Hn" in found["do"]


@pytest.mark.clause("9.doctor.faults")
def test_rights_that_are_missing_are_told(place: Path) -> None:
    (place / "config.yml").write_text("routes: []\nbackends: [{name: a, match_labels: [a=b]}]")
    database(place / "rgate.db").close()
    (place / "rgate.db").chmod(0o400)
    # Root has no more rights than others without these capabilities.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("docker.sock")
        Path("docker.sock").chmod(0o000)
        server.listen()
        found = by_itself(*drop, environment={"DOCKER_HOST": f"unix://{place}/docker.sock"})
    assert found["docker"]["do"].startswith("run it as a user who may")
    assert "readonly database" in found["database"]["text"]
    assert found["database"]["do"].startswith("Let rgate write to the file")


@pytest.mark.clause("9.doctor.faults")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(("options", "name"), [("size=4k", "disk"), ("ro", "database")])
def test_a_disk_that_is_full_or_read_only_is_told(place: Path, options: str, name: str) -> None:
    (place / "disk").mkdir()
    (place / "config.yml").write_text(FIXED + "stats: {database: sqlite:///disk/figures.db}")
    mounted = f'mount -t tmpfs -o {options} none disk && exec "$@"'
    assert by_itself("unshare", "--mount", "sh", "-c", mounted, "sh")[name]["level"] == "fail"
