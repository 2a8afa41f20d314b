"""What a snapshot file holds, what it does not, and what is said of wrong ones (behaviour 9)."""

import contextlib
import json
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import Backend
from rgate.core.config_errors import ConfigErrors
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.left_out import PLACEHOLDER
from rgate.core.recording import (
    RecordedSource,
    Recording,
    may_be_told,
    read,
    recorded_source,
    written,
)
from rgate.core.selection import view_of
from tests.unit.containers import HOSTS, backends, containers, seen

WORDS = (
    "pass", "pwd", "secret", "token", "apikey", "api_key", "auth", "users", "dsn", "cookie", "credential",
    "private",
)  # fmt: skip
HERE = HostView()
UP = Container(
    id="1" * 64,
    name="orders-1",
    labels={"app": "orders"},
    state=State.RUNNING,
    health=Health.HEALTHY,
    published=(PublishedPort(8000, "0.0.0.0", 32768),),
    exposed=(8000,),
    attachments=(Attachment("shop", "n1", "172.18.0.2"),),
    network_mode="shop",
)


def recording_of(*found: Container, keep: tuple[str, ...] = (), host: HostView = HERE) -> Recording:
    return Recording(0.0, (recorded_source(found, host, version="27.3.1", keep=keep),))


def document_of(*found: Container, keep: tuple[str, ...] = ()) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(written(recording_of(*found, keep=keep)))
    return document


def read_again(recording: Recording) -> Recording:
    return read(written(recording).encode(), "s.json")


@pytest.mark.clause("9.snapshot.records", "9.snapshot.nothing_else")
def test_the_file_holds_what_decisions_rest_on_and_nothing_else() -> None:
    container = replace(UP, labels={"app": "orders", "db.password": "x"})
    assert document_of(container) == {
        "rgate_snapshot": 1,
        "taken": "1970-01-01T00:00:00.000Z",
        "sources": [
            {
                "name": "docker",
                "docker": {"version": "27.3.1", "published_host": "", "own_networks": None},
                "containers": [
                    {
                        "id": "1" * 64,
                        "name": "orders-1",
                        "labels": {"app": "orders"},
                        "left_out_labels": ["db.password"],
                        "state": "running",
                        "health": "healthy",
                        "stopping": False,
                        "network_mode": "shop",
                        "networks": [{"name": "shop", "id": "n1", "ip": "172.18.0.2"}],
                        "published": [
                            {"container_port": 8000, "host_ip": "0.0.0.0", "host_port": 32768},
                        ],
                        "exposed": [8000],
                    }
                ],
            }
        ],
    }


@pytest.mark.clause("9.snapshot.nothing_else")
def test_the_machine_of_a_swarms_task_is_kept() -> None:
    there = replace(UP, machine="192.0.2.2")
    (found,) = read_again(recording_of(there)).sources[0].containers
    assert found == there


def test_a_network_mode_that_is_a_path_is_no_more_than_said_to_be_another() -> None:
    (found,) = document_of(replace(UP, network_mode="ns:/proc/1/ns/net"))["sources"][0]["containers"]
    assert found["network_mode"] == ""


@pytest.mark.clause("9.snapshot.records")
@given(found=containers(), wanted=backends(), host=HOSTS, taken=st.integers(0, 4_000_000_000))
def test_what_was_recorded_whole_gives_the_same_views(
    found: list[Container], wanted: tuple[Backend, ...], host: HostView, taken: int
) -> None:
    recording = Recording(float(taken), (recorded_source(found, host, version="1", keep=("*",)),))
    again = read_again(recording)
    assert again == recording == Recording(taken, (RecordedSource("docker", "1", host, tuple(found)),))
    for backend in wanted:
        assert view_of(backend, seen(again.sources[0].containers, host)) == view_of(
            backend, seen(found, host)
        )


@given(
    found=containers(values=("x", "y", "80", "")),
    wanted=backends(keys=("app", "env", "rgate.port"), values=("x", "y")),
    host=HOSTS,
)
def test_labels_left_out_change_no_view_of_a_backend_that_does_not_want_them(
    found: list[Container], wanted: tuple[Backend, ...], host: HostView
) -> None:
    again = read_again(recording_of(*found, host=host)).sources[0].containers
    for backend in wanted:
        ours, theirs = (view_of(backend, seen(some, host)) for some in (again, found))
        assert (ours.candidates, ours.reason, ours.containers) == (
            theirs.candidates, theirs.reason, theirs.containers,
        )  # fmt: skip


def test_what_is_left_out_is_the_same_after_another_round() -> None:
    recording = recording_of(replace(UP, labels={"a": "x", "TOKEN": "y"}))
    once = read_again(recording)
    assert once == recording
    assert once.sources[0].containers[0].labels == {"a": "x", "TOKEN": PLACEHOLDER}
    assert once.sources[0].left_out == {UP.id: {"TOKEN"}}
    assert read_again(once) == once


SECRET = "s3cr3t\u00e9\u2603"  # nothing else in the file has a part of it
CASES = st.tuples(st.sampled_from(WORDS), st.lists(st.booleans(), min_size=10, max_size=10))
SPELT = CASES.map(
    lambda case: "".join(c.upper() if up else c for c, up in zip(case[0], [*case[1]], strict=False))
)
AROUND = st.text(string.ascii_lowercase + ".-_/", max_size=3)


@pytest.mark.clause("9.snapshot.secrets")
@given(
    key=st.tuples(AROUND, SPELT, AROUND).map("".join)
    | st.sampled_from(
        [f"com.docker.compose.project.{one}" for one in ("working_dir", "config_files", "environment_file")]
    )
)
@example("pa\u017f\u017fword")  # long s: those letters in another case
def test_no_byte_of_a_secret_is_in_the_file_and_its_key_is(key: str) -> None:
    text = written(recording_of(replace(UP, labels={key: SECRET, "app": "orders"})))
    assert text.isascii()
    assert "s3cr3t" not in text
    assert json.dumps("\u00e9\u2603").strip('"') not in text
    (found,) = json.loads(text)["sources"][0]["containers"]
    assert (found["labels"], found["left_out_labels"]) == ({"app": "orders"}, [key])


@pytest.mark.clause("9.snapshot.secrets")
@pytest.mark.parametrize(
    "value",
    [
        f"https://ada:{SECRET}@shop.example/",
        f"https://{SECRET}@shop.example",
        f"HTTPS://ada:{SECRET}@[::1]:8080/x?y#z",
        f"see postgresql+psycopg://ada:{SECRET}@db, please",
        f"redis://:{SECRET}@cache:6379/0",
        f"postgres://ada:pa/{SECRET}@db/orders",  # no URL, and what many read all the same
        f"postgres://ada:pa?#{SECRET}@db/orders",
        f"jdbc:mysql://ada:{SECRET}@db",
        f"//ada:{SECRET}@shop.example",
        f"http://shop.example/,http://ada:{SECRET}@shop.example/",
        f"http://ada:80{SECRET}@shop.example/",
    ],
)
def test_no_byte_of_a_url_with_a_user_is_in_the_file(value: str) -> None:
    text = written(recording_of(replace(UP, labels={"url": value})))
    assert "s3cr3t" not in text
    assert json.loads(text)["sources"][0]["containers"][0]["left_out_labels"] == ["url"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app", "ada@shop.example"),
        ("url", "https://shop.example/@ada"),
        ("url", "https://shop.example:8080/@ada?mail=ada@shop.example"),
        ("url", "https://shop.example?mail=ada@shop.example"),
        ("rule", "Host(`shop.example`) && PathPrefix(`//api`)"),
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.project.working_directory", "x"),
        ("env", "secret"),
        pytest.param("url", 100_000 * "//a:" + " @", id="long"),
        pytest.param("url", 100_000 * "//" + "@/" + 100_000 * "//a:", id="longer"),
    ],
)
def test_other_labels_are_kept(key: str, value: str) -> None:
    assert may_be_told(key, value)


@pytest.mark.clause("9.snapshot.keep")
@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ((), []),
        (("shop.auth.*",), ["shop.auth.zone"]),
        (("shop.auth.*", "u?l"), ["shop.auth.zone", "url"]),
        (("*",), ["com.docker.compose.project.working_dir", "shop.auth.zone", "url"]),
        (("SHOP.auth.*", "shop.auth"), []),
    ],
)
def test_labels_that_a_glob_names_are_kept_all_the_same(keep: tuple[str, ...], kept: list[str]) -> None:
    labels = {
        "shop.auth.zone": "blue",
        "url": "https://u:p@h",
        "com.docker.compose.project.working_dir": "/home/ada",
    }
    (found,) = document_of(replace(UP, labels=labels), keep=keep)["sources"][0]["containers"]
    assert sorted(found["labels"]) == kept
    assert sorted({*labels} - {*kept}) == found["left_out_labels"]


@pytest.mark.parametrize("text", ["\ud800", "\x1b[2J", "\u009b2J", "\u202e", '"\\', "\u2028"])
def test_what_names_and_labels_hold_is_plain_ascii_in_the_file(text: str) -> None:
    recording = recording_of(replace(UP, name=text, labels={text: text}))
    assert not {*written(recording)} - {*string.printable}
    assert read_again(recording) == recording


def test_containers_stand_sorted_so_that_two_files_compare() -> None:
    other = replace(UP, id="0" * 64, name="a")
    assert written(recording_of(UP, other)) == written(recording_of(other, UP))


@pytest.mark.clause("9.snapshot.later")
def test_keys_that_are_not_known_are_of_later_versions() -> None:
    document = document_of(UP)
    plain = read(json.dumps(document).encode(), "s.json")
    document["later"] = 1
    source = document["sources"][0]
    source["later"] = source["docker"]["later"] = [1]
    (container,) = source["containers"]
    container["later"] = container["networks"][0]["later"] = container["published"][0]["later"] = {}
    assert read(json.dumps(document).encode(), "s.json") == plain


def test_what_a_person_writes_by_hand_may_leave_out_what_is_usual() -> None:
    container = {"id": "1", "name": "orders-1", "labels": {}, "state": "running"}
    document = {
        "rgate_snapshot": 1,
        "taken": "2026-11-26T21:21:41+01:00",
        "sources": [{"name": "docker", "containers": [container]}],
    }
    found = read(b"\xef\xbb\xbf" + json.dumps(document).encode(), "s.json")
    assert found.taken == 1795724501
    assert found.sources[0] == RecordedSource(
        "docker", "", HostView(), (Container("1", "orders-1", {}, State.RUNNING),)
    )


def test_a_value_that_a_person_puts_back_is_no_more_left_out() -> None:
    document = document_of(replace(UP, labels={"token": "x"}))
    document["sources"][0]["containers"][0]["labels"]["token"] = "y"
    (source,) = read(json.dumps(document).encode(), "s.json").sources
    assert (source.containers[0].labels, source.left_out) == ({"token": "y"}, {})


def test_all_sources_are_read() -> None:
    other = recorded_source([replace(UP, id="2" * 64)], HostView(), name="far")
    recording = Recording(0.0, (*recording_of(UP).sources, other))
    assert [one.name for one in read_again(recording).sources] == ["docker", "far"]
    elsewhere = replace(other, host=HostView("10.1.2.3"))
    assert read_again(Recording(0.0, (recording.sources[0], elsewhere))).sources[1].host == elsewhere.host
    assert told(written(Recording(0.0, (other, other)))) == ["s.json: sources[1].name: 'far' stands twice"]


def told(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        read(text if isinstance(text, bytes) else text.encode(), "s.json")
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "s.json:1: this is not JSON: Expecting value"),
        (b'{\n"a": 1,\n}', "s.json:3: this is not JSON: Expecting property name enclosed in double quotes"),
        (b'{\n"\xff"', "s.json:2: this is not JSON: it is not UTF-8"),
        (b"[" * 100_000, "s.json: this is not JSON, or nested too deeply"),
        (b"1" * 5_000, "s.json: this is not JSON, or nested too deeply"),
        (b"[]", "s.json: this is no snapshot: `rgate snapshot --output FILE` makes one"),
        (b"null", "s.json: this is no snapshot: `rgate snapshot --output FILE` makes one"),
        (b'{"routes": []}', "s.json: this is no snapshot: `rgate snapshot --output FILE` makes one"),
        (
            b'{"rgate_snapshot": 2, "sources": 7}',
            "s.json: rgate_snapshot: this is a snapshot of version 2, and this rgate reads 1: use a newer",
        ),
        (b'{"rgate_snapshot": 0}', "s.json: rgate_snapshot: found 0; allowed: 1"),
        (b'{"rgate_snapshot": true}', "s.json: rgate_snapshot: found true; allowed: 1"),
        (b'{"rgate_snapshot": "2"}', "s.json: rgate_snapshot: found '2'; allowed: 1"),
        (b'{"rgate_snapshot": 1.0}', "s.json: rgate_snapshot: found 1.0; allowed: 1"),
    ],
)
def test_a_file_that_is_no_snapshot_is_told_in_one_line(text: bytes, said: str) -> None:
    assert told(text) == [said]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("taken",), "yesterday", "taken: found 'yesterday'; allowed: a time such as 2026-11-26T20:21:41Z"),
        (
            ("taken",),
            "2026-11-26T20:21:41",
            "taken: found '2026-11-26T20:21:41'; allowed: a time such as 2026-11-26T20:21:41Z",
        ),
        (("taken",), 1, "taken: found 1; allowed: a time such as 2026-11-26T20:21:41Z"),
        (("sources",), {}, "sources: found {}; allowed: a list"),
        (("sources", 0), "x", "sources[0]: found 'x'; allowed: an object"),
        (("sources", 0, "docker"), "x", "sources[0].docker: found 'x'; allowed: an object"),
        (
            ("sources", 0, "docker", "own_networks"),
            "x",
            "sources[0].docker.own_networks: found 'x'; allowed: a list",
        ),
        (
            ("sources", 0, "containers", 0),
            None,
            "sources[0].containers[0]: found nothing; allowed: an object",
        ),
        (
            ("sources", 0, "containers", 0, "state"),
            "runing",
            "sources[0].containers[0].state: found 'runing'; allowed: created, running, paused, restarting, "
            "removing, exited, dead",
        ),
        (
            ("sources", 0, "containers", 0, "health"),
            None,
            "sources[0].containers[0].health: found nothing; allowed: none, starting, healthy, unhealthy",
        ),
        (
            ("sources", 0, "containers", 0, "labels", "a"),
            1,
            "sources[0].containers[0].labels.a: found 1; allowed: a string",
        ),
        (
            ("sources", 0, "containers", 0, "labels"),
            ["a=b"],
            "sources[0].containers[0].labels: found ['a=b']; allowed: an object",
        ),
        (
            ("sources", 0, "containers", 0, "left_out_labels"),
            {"a": "b"},
            "sources[0].containers[0].left_out_labels: found {'a': 'b'}; allowed: a list",
        ),
        (
            ("sources", 0, "containers", 0, "stopping"),
            "no",
            "sources[0].containers[0].stopping: found 'no'; allowed: true or false",
        ),
        (
            ("sources", 0, "containers", 0, "exposed", 0),
            True,
            "sources[0].containers[0].exposed[0]: found true; allowed: a whole number from 0 to 65535",
        ),
        (
            ("sources", 0, "containers", 0, "published", 0, "host_port"),
            65536,
            "sources[0].containers[0].published[0].host_port: found 65536; allowed: a whole number from 0 to "
            "65535",
        ),
        (
            ("sources", 0, "containers", 0, "networks", 0, "ip"),
            None,
            "sources[0].containers[0].networks[0].ip: found nothing; allowed: a string",
        ),
        (
            ("sources", 0, "containers", 0, "labels", "\x1b[2J\n"),
            1,
            "sources[0].containers[0].labels.\\x1b[2J\\n: found 1; allowed: a string",
        ),
    ],
)
def test_what_is_wrong_in_a_snapshot_is_told_with_its_place(
    path: tuple[str | int, ...], value: object, said: str
) -> None:
    document: Any = document_of(UP)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert told(json.dumps(document)) == [f"s.json: {said}"]


@pytest.mark.parametrize("key", ["id", "name", "labels", "state"])
def test_what_is_missing_is_told(key: str) -> None:
    document = document_of(UP)
    del document["sources"][0]["containers"][0][key]
    assert told(json.dumps(document)) == [f"s.json: sources[0].containers[0].{key}: is required and missing"]


def test_all_that_is_wrong_is_told_at_once_up_to_a_number() -> None:
    document = document_of(*(replace(UP, id=str(number)) for number in range(300)))
    for container in document["sources"][0]["containers"]:
        container["state"] = "x"
    lines = told(json.dumps(document))
    assert lines[0] == "s.json: 300 values are wrong; the first:"
    assert len(lines) == 21
    assert told(b'{"rgate_snapshot": 1}') == [
        "s.json: sources: is required and missing",
        "s.json: taken: is required and missing",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "sources",
                    "taken",
                    "docker",
                    "own_networks",
                    "containers",
                    "labels",
                    "state",
                    "networks",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(rest=JSON)
def test_any_json_is_a_recording_or_told(rest: object) -> None:
    document = {"rgate_snapshot": 1, "sources": [rest], **(rest if isinstance(rest, dict) else {})}
    with contextlib.suppress(ConfigErrors):
        read(json.dumps(document).encode(), "s.json")


@given(data=st.binary(max_size=60))
def test_any_bytes_are_told(data: bytes) -> None:
    assert told(data)
