"""`doctor`: what each fault comes to, and what to do; a sound machine draws no alarm (behaviour 9)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.doctor import (
    Check,
    ConfigFacts,
    DatabaseFacts,
    DiskFacts,
    DockerFacts,
    EmptyBackend,
    Facts,
    FileFacts,
    NameFacts,
    Outcome,
    PortFacts,
    checks,
    is_sound,
    listening_inodes,
)
from rgate.core.reasons import Reason

DOCKER = DockerFacts("unix:///var/run/docker.sock", "27.3.1", ahead_s=0.4)
CONFIG = ConfigFacts("config.yml", 2, 2)
PORT = PortFacts("127.0.0.1:8080")
DATABASE = DatabaseFacts("sqlite:///rgate.db")
DISK = DiskFacts(".", 50 << 30, 1_000_000)
FILES = FileFacts(20064, 10000)
SOUND = Facts([DOCKER], CONFIG, [PORT], [], DATABASE, DISK, FILES, [NameFacts("db", "`stats.database`")])

AWAY = replace(DOCKER, version="", error="there is no socket x: start Docker, or check DOCKER_HOST")
WARNING, FAIL = Outcome.WARNING, Outcome.FAIL


@pytest.mark.clause("9.doctor.sound")
def test_a_sound_machine_draws_no_alarm() -> None:
    found = checks(SOUND)
    assert [check for check in found if check.level is not Outcome.OK or check.do] == []
    assert [check.name for check in found] == [
        "docker", "docker events", "config", "backends", "port", "database", "disk", "open files", "clock",
        "names",
    ]  # fmt: skip
    assert is_sound(found)


FAULTS = {
    "Docker away": (replace(SOUND, dockers=[AWAY]), "docker", FAIL, "there is no socket", "start Docker"),
    "no right to its socket": (
        replace(SOUND, dockers=[replace(DOCKER, error="rgate may not use x: run it as a user who may")]),
        "docker", FAIL, "rgate may not use x", "run it as a user who may",
    ),
    "a context of another machine": (
        replace(SOUND, dockers=[replace(DOCKER, context="prod (ssh://10.0.0.1)")]),
        "docker context", WARNING, "prod (ssh://10.0.0.1)", "DOCKER_HOST",
    ),
    "events forbidden": (
        replace(SOUND, dockers=[replace(DOCKER, events_error="Docker answers 403 Forbidden: check it")]),
        "docker events", WARNING, "403 Forbidden", "check it",
    ),
    "a wrong config": (
        replace(SOUND, config=ConfigFacts("c.yml", errors=("c.yml:3: unknown key",))),
        "config", FAIL, "c.yml:3: unknown key", "--config",
    ),
    "a doubtful config": (
        replace(SOUND, config=replace(CONFIG, warnings=("/api can never match",))),
        "config", WARNING, "/api can never match", "rgate check --config config.yml",
    ),
    "a wrong label": (
        replace(SOUND, empty=[EmptyBackend("orders", Reason.NO_CONTAINER, "orders-1 has 1 of 2 labels")]),
        "backends", WARNING, "orders-1 has 1 of 2 labels", "Start a container with all of its labels",
    ),
    "a container that is not well": (
        replace(SOUND, empty=[EmptyBackend("orders", Reason.UNHEALTHY, "orders-1 is unhealthy")]),
        "backends", WARNING, "orders-1 is unhealthy", "See what the check says",
    ),
    "a port that is not published": (
        replace(SOUND, empty=[EmptyBackend("orders", Reason.NO_ADDRESS, "orders-1 has no address")]),
        "backends", WARNING, "orders-1 has no address", "Publish the port",
    ),
    "a port taken": (
        replace(SOUND, ports=[replace(PORT, error="it is in use; end it", taken_by="nginx (pid 7)")]),
        "port", FAIL, "nginx (pid 7)", "end it",
    ),
    "a port of root's": (
        replace(SOUND, ports=[replace(PORT, error="this user may not; choose a higher one")]),
        "port", FAIL, "this user may not", "choose a higher one",
    ),
    "a database that is read-only": (
        replace(SOUND, database=replace(DATABASE, error="readonly database", do="let rgate write")),
        "database", FAIL, "readonly database", "let rgate write",
    ),
    "a full disk": (
        replace(SOUND, disk=replace(DISK, free_bytes=0)), "disk", FAIL, "only 0 MiB", "make room",
    ),
    "a disk nearly full": (
        replace(SOUND, disk=replace(DISK, free_bytes=50 << 20)), "disk", WARNING, "only 50 MiB", "make room",
    ),
    "no inode": (replace(SOUND, disk=replace(DISK, inodes=0)), "disk", FAIL, "0 more files", "make room"),
    "a limit of 256 files": (
        replace(SOUND, files=FileFacts(256, 10000)),
        "open files", WARNING, "256 files open, enough for 96", "ulimit -Hn",
    ),
    "a clock an hour off": (
        replace(SOUND, dockers=[replace(DOCKER, ahead_s=-3600.0)]), "clock", FAIL, "60 min behind", "NTP",
    ),
    "a clock ten seconds off": (
        replace(SOUND, dockers=[replace(DOCKER, ahead_s=10.0)]), "clock", WARNING, "10 s ahead of", "NTP",
    ),
    "a name that nobody knows": (
        replace(SOUND, names=[NameFacts("shop.internal", "the backend shop", "not known")]),
        "names", FAIL, "shop.internal, which the backend shop names", "DNS",
    ),
}  # fmt: skip


@pytest.mark.clause("9.doctor.faults", "9.doctor.levels")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_once_with_what_to_do(fault: str) -> None:
    facts, name, level, text, do = FAULTS[fault]
    found = checks(facts)
    (told,) = [check for check in found if check.level is not Outcome.OK]
    assert (told.name, told.level) == (name, level)
    assert text in told.text
    assert do in told.do
    assert is_sound(found) is (level is not FAIL)


@pytest.mark.clause("9.doctor.levels")
def test_docker_away_is_no_fault_where_no_backend_has_labels() -> None:
    found = checks(replace(SOUND, dockers=[AWAY], config=replace(CONFIG, needs_docker=False)))
    assert [(check.name, check.level) for check in found if check.level is not Outcome.OK] == [
        ("docker", WARNING)
    ]
    assert is_sound(found)


@pytest.mark.clause("9.doctor.sound")
def test_a_port_that_rgate_itself_holds_is_no_fault() -> None:
    port = replace(PORT, error="Address already in use; end it", taken_by="rgate (pid 7)", is_rgate=True)
    assert is_sound(checks(replace(SOUND, ports=[port])))


def test_many_faults_of_a_kind_are_told_in_few_lines() -> None:
    empty = [EmptyBackend(f"b{number}", Reason.NO_CONTAINER, "why") for number in range(100)]
    assert len([one for one in checks(replace(SOUND, empty=empty)) if one.name == "backends"]) == 6


TEXTS = st.sampled_from(["", "why: do", "why; do", "why"])


FACTS = st.builds(
    Facts,
    dockers=st.lists(
        st.builds(DockerFacts, st.just("d"), st.just("1"), TEXTS, TEXTS, st.just(""), st.floats(-1e9, 1e9)),
        max_size=2,
    ),
    config=st.just(CONFIG),
    ports=st.builds(lambda error: [PortFacts("a:1", error)], TEXTS),
    database=st.builds(lambda error: DatabaseFacts("db", error, "mend it"), TEXTS),
    disk=st.builds(DiskFacts, st.just("."), st.integers(0, 1 << 50), st.none() | st.integers(0, 1 << 40)),
    files=st.builds(FileFacts, st.integers(0, 1 << 30), st.integers(1, 1_000_000)),
)
NO_REMEDY = {"docker", "docker events", "port"}  # theirs comes with the error


@given(facts=FACTS)
def test_whatever_is_found_what_is_no_ok_says_what_to_do(facts: Facts) -> None:
    found: list[Check] = checks(facts)
    assert all(check.text for check in found)
    told = [check for check in found if check.name not in NO_REMEDY]
    assert all(bool(check.do) is (check.level is not Outcome.OK) for check in told)


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 x
   1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 x
   2: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 333 1 x
"""


def test_only_sockets_that_listen_on_the_port_are_found() -> None:
    assert listening_inodes(TABLE, 8080) == {"111"}
    assert listening_inodes("", 8080) == set()
