"""What the benchmarks make of what they measured; nothing is timed here."""

import asyncio
import contextlib
import socket
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pytest

from bench import segments, stories
from bench.fixed_rate import CONNECTIONS, FixedRate
from bench.load import Load, LoadFailed
from bench.loads import LOADS, PEOPLE
from bench.report import plot, render, verdicts, version
from bench.scenarios import Figures
from bench.wrk import parse

ROW = {"rate": 1000.0, "p99_ms": 1.0, "resident_bytes": 1 << 20, "cpu_us_least": 9.0, "cpu_us_most": 11.0}


def results(**cpu_us: float) -> dict[str, Any]:
    names = {"ours": "rgate (asyncio)", "flask": "rgate (flask)"}
    rows = {names.get(name, name): {**ROW, "cpu_us": value} for name, value in cpu_us.items()}
    about = {"date": "2026-01-02", "machine": "m", "rounds": "5 rounds of 3 s", "versions": {"nginx": "1"}}
    return {"about": about, "json": rows}


def test_wrks_result_is_read_to_the_microsecond() -> None:
    answered = parse("Running 3s test\nRESULT 1234 3000500 0 4.567\n")
    assert (answered.requests, answered.seconds, answered.p99_ms) == (1234, 3.0005, 4.567)


@pytest.mark.parametrize(
    "printed",
    [
        "RESULT 1234 3000500 1 4.567",
        "  Non-2xx or 3xx responses: 3\nRESULT 1234 3000500 0 4.567",
        "RESULT 0 3000500 0 0.0",
        "unable to connect",
    ],
    ids=["errors", "statuses", "no answer", "no result"],
)
def test_any_error_fails_the_run(printed: str) -> None:
    with pytest.raises(LoadFailed):
        parse(printed)


def test_a_figure_is_the_median_of_its_rounds() -> None:
    medians = Figures(cpu_us=[9.0, 1.0, 5.0], rate=[1.0, 2.0]).medians()
    assert medians == {"cpu_us": 5.0, "cpu_us_least": 1.0, "cpu_us_most": 9.0, "rate": 1.5}


@pytest.mark.parametrize(("ours", "met"), [(13.0, True), (13.1, False)])
def test_a_target_is_met_or_missed_by_the_ratio_of_cpu_time(ours: float, met: bool) -> None:
    (verdict,) = verdicts(results(ours=ours, nginx=10.0))
    assert verdict[1:] == ("≤ 1.3 × nginx", f"{ours / 10:.2f} × nginx", met)


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdicts(results(ours=1.0)) == []


def test_growth_is_told_in_percent() -> None:
    grown = {
        "rgate (asyncio)": {"small": {"cpu_us": 20.0}, "large": {"cpu_us": 21.2}},
        "nginx": {"small": {"cpu_us": 10.0}, "large": {"cpu_us": 11.0}},
    }
    assert verdicts({"routes": grown}) == [("2 → 10,000 routes", "cost grows < 5 %", "+6.0%", False)]
    page = render({**results(ours=20.0), "routes": grown})
    assert "| nginx | 10.0 | 11.0 | +10.0% |" in page


def test_the_page_says_missed_where_a_target_is_missed_and_sorts_by_cost() -> None:
    page = render(results(ours=20.0, nginx=10.0, flask=500.0))
    assert "**missed**" in page
    assert "Why some are missed" in page
    assert (
        page.index("| nginx | 10.0") < page.index("| rgate (asyncio) | 20.0") < page.index("| rgate (flask)")
    )


def test_the_plot_is_a_picture_with_a_bar_for_each() -> None:
    drawn = ElementTree.fromstring(plot(results(ours=20.0, nginx=10.0, flask=500.0)["json"]))
    bars = [one for one in drawn if one.tag.endswith("rect")][1:]
    assert [float(bar.attrib["width"]) for bar in bars] == [210, 420, 441]
    assert "the bar is cut off" in "".join(drawn.itertext())


@pytest.mark.parametrize(
    ("printed", "number"),
    [
        ("rgate 0.1.0", "0.1.0"),
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ("/opt/version 3.11/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0fxztVyXEW5iIdUT4=", "2.11.7"),
        ("/opt/envoy: cannot run", ""),
        ("", ""),
    ],
)
def test_of_what_a_program_says_of_itself_the_number_is_kept_and_never_a_path(
    printed: str, number: str
) -> None:
    assert version(printed) == number


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize(
    ("load", "pieces"),
    [
        (
            Load("/a", b"", content_bytes=3),
            [b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 3\r\n\r\nxxx"],
        ),
        (
            Load("/a", b"", "POST", (("A", "b"),), 3, segments=True),
            [b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nA: b\r\nContent-Length: 3\r\n\r\n", b"xxx"],
        ),
        (
            Load("/a", b"", "POST", content_bytes=3, segments=True, chunked=True),
            [
                b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"3\r\nxxx\r\n0\r\n\r\n",
            ],
        ),
        (Load("/a", b"", message=b"hello"), [b"hello"]),
    ],
    ids=["at once", "in segments", "chunked", "through a tunnel"],
)
def test_a_load_is_written_in_the_pieces_that_it_says(load: Load, pieces: list[bytes]) -> None:
    assert load.repeated(80) == pieces


def test_wrk_is_given_what_it_can_send() -> None:
    every = {name: scenario.load for name, scenario in (LOADS | PEOPLE).items()}
    own = {name for name, load in every.items() if not load.by_wrk}
    assert own == {"post", "chunked", "head", "segments", "defaults", "websocket"}


@contextlib.contextmanager
def a_server(answer: bytes) -> Iterator[int]:
    """Run a server that takes one connection, and sends *answer* to each read; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                while connection.recv(65536) and answer:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_a_request_is_sent_again_once_it_is_answered() -> None:
    with a_server(OK) as port:
        answered = segments.run(Load("/", b"ok", connections=1), port, 0.05)
    assert answered.requests > 1
    assert answered.seconds >= 0.05


@pytest.mark.parametrize(
    "answer", [UNAVAILABLE.replace(b"no", b"ok"), b""], ids=["a wrong answer", "a close"]
)
def test_any_error_fails_a_run_of_segments(answer: bytes) -> None:
    with a_server(answer) as port, pytest.raises(LoadFailed):
        segments.run(Load("/", b"ok", connections=1), port, 5)


@pytest.mark.parametrize(
    ("answer", "failed"), [(OK, 0), (UNAVAILABLE, 20), (b"", 20)], ids=["right", "wrong", "cut"]
)
def test_at_a_fixed_rate_each_request_is_waited_for_and_told_where_it_failed(
    answer: bytes, failed: int
) -> None:
    async def ask() -> tuple[int, int]:
        closed = asyncio.Semaphore(0)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(65536) and answer:
                writer.write(answer)
            writer.close()
            await writer.wait_closed()
            closed.release()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            rate = FixedRate(Load("/", b"ok"), server.sockets[0].getsockname()[1], rate=1000, seconds=0.02)
            latencies_s = await rate.run()
            for _ in range(CONNECTIONS):
                await closed.acquire()
            return len(latencies_s), rate.failed

    assert asyncio.run(ask()) == (20, failed)


def test_what_people_send_is_one_table_of_multiples_of_nginx() -> None:
    rows = {
        "rgate (asyncio)": {"cpu_us": 30.0},
        "nginx": {"cpu_us": 20.0},
        "rgate (flask)": {"cpu_us": 400.0},
    }
    tunnel = {"rgate (asyncio)": {"cpu_us": 11.0}, "nginx": {"cpu_us": 10.0}}
    page = render({**results(ours=20.0), "head": rows, "websocket": tunnel})
    assert "| | nginx, µs | rgate (asyncio) | rgate (flask) |" in page
    assert "| HEAD | 20.0 | 1.50 × | 20.00 × |" in page
    assert "| a WebSocket message of 100 bytes and its echo | 10.0 | 1.10 × |  |" in page


def test_what_others_meet_beside_an_attack_is_one_table() -> None:
    ours = {"most_ms": 5100.4, "p99_ms": 4000.0, "grown_bytes": 3 << 20, "failed": 2.0}
    nginx = {"most_ms": 20.0, "p99_ms": 3.0, "grown_bytes": 0.0, "failed": 0.0}
    page = render({**results(ours=20.0), "deaf": {"rgate (asyncio)": ours, "nginx": nginx}})
    assert "| 5,100 ms, 4,000 ms, +3 MiB, **2 failed** | 20 ms, 3 ms, +0 MiB |" in page


def test_the_cost_of_a_story_is_measured_on_the_path_that_keeps_it() -> None:
    least = stories.measured(turns=1)
    assert [*least] == ["no story", "a story that is not kept", "a story that is kept"]
    assert all(0 < taken_ns < float("inf") for taken_ns in least.values())
