"""Half an hour of mixed traffic while containers come and go and the configuration is read anew: nothing
grows.

RGATE_LEAKS_MINUTES (30) says how long, for each way to run; RGATE_LEAKS_KEEP names a folder for the samples,
of which `python scripts/leaks.py FOLDER` makes docs/leaks.svg.
"""

import csv
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pytest

from bench.machine import descriptors, family, resident_bytes
from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.store import MOST_LABELS, open_store
from tests.chaos.mixed import OddBackend, Traffic
from tests.integration import gateway as gateway_process
from tests.integration.containers import Containers
from tests.integration.gateway import Gateway, backend_config, running, write_config

MINUTES = float(os.environ.get("RGATE_LEAKS_MINUTES", "30"))
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.docker,
    pytest.mark.integration,
    pytest.mark.timeout(MINUTES * 60 + 300),
]

RATE = 60  # clients a second, of which most ask once and some ten times
EVERY_S = min(10.0, MINUTES * 60 / 30)
WORKERS = {"asyncio": 1, "asyncio-2-workers": 2, "flask": 1}


@dataclass(frozen=True)
class Sample:
    """What the gateway's processes hold together. *at_s*: since the traffic began."""

    at_s: float
    memory_bytes: int
    descriptors: int
    threads: int


SLACK = Sample(0, 6 << 20, 12, 6)
"""How much more the last fifth may hold than the second, a process: a leak of 100 bytes a request is more."""


@pytest.mark.parametrize("way", WORKERS)
def test_nothing_grows(
    way: str, containers: Containers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_process, "engine", way.partition("-")[0])
    odd = OddBackend()
    running_containers = deque(containers.start() for _ in range(2))
    samples: list[Sample] = []
    ran_for_long(tmp_path)
    with odd.serving():
        config = backend_config(containers.app, containers.env, timeouts={"response": 5})
        config["routes"].append({"path_prefix": "/odd", "backend": "odd"})
        config["backends"].append({"name": "odd", "urls": [f"http://127.0.0.1:{odd.port}"]})
        with running(tmp_path, config, "--workers", str(WORKERS[way])) as gateway:
            traffic = Traffic(gateway.port, RATE, tunnels=way != "flask")
            with traffic.flowing():
                began_s = time.monotonic()
                while (at_s := time.monotonic() - began_s) < MINUTES * 60:
                    samples.append(sample(gateway, at_s))
                    running_containers.append(containers.start())
                    running_containers.popleft().remove(force=True)
                    config["routes"][1]["path_prefix"] = ("/odd", "/odd/")[len(samples) % 2]
                    write_config(tmp_path, config)
                    gateway.send_signal(signal.SIGHUP)
                    time.sleep(max(0.0, began_s + EVERY_S * len(samples) - time.monotonic()))
            print(f"\n{way}: {dict(sorted(traffic.done.items()))}\n{samples[0]}\n{samples[-1]}")
            assert gateway.get("/_rgate/readyz").status == 200
            assert gateway.stop() == 0
    keep(way, samples)
    assert traffic.done["get done"] > RATE / 10
    for name, before, after, slack in grown(samples, processes=WORKERS[way]):
        assert after <= before + slack, f"{name} grew from {before} to {after}"


def ran_for_long(directory: Path) -> None:
    """Leave figures of as many containers as are kept, some 40 KiB of memory each: those that come take the
    places of others then.
    """
    store, _ = open_store(f"sqlite:///{directory}/rgate.db")
    minute = int(time.time()) // 60 - 120
    latencies = [int(3e5 * 1.4**step) for step in range(30)]  # 0.3 ms to 5 s
    store.fold(
        "earlier",
        1,
        {
            (minute, Label("/api", "api", f"earlier-{number}", 200, cut=False)): Histogram(latencies)
            for number in range(MOST_LABELS)
        },
        minute,
    )
    store.sum_up(minute + 1)
    store.close()


def sample(gateway: Gateway, at_s: float) -> Sample:
    pid = gateway.process.pid
    members = family(pid)
    return Sample(
        round(at_s, 1),
        resident_bytes(pid),
        sum(map(descriptors, members)),
        sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in members),
    )


def grown(samples: Sequence[Sample], processes: int = 1) -> list[tuple[str, float, float, float]]:
    """Return of each figure its name, the medians of the second and the last fifth, and what is forgiven, to
    so many *processes* that serve.
    """
    fifth = len(samples) // 5
    return [
        (
            field.name,
            statistics.median(getattr(one, field.name) for one in samples[fifth : 2 * fifth]),
            statistics.median(getattr(one, field.name) for one in samples[-fifth:]),
            getattr(SLACK, field.name) * processes,
        )
        for field in fields(Sample)[1:]
    ]


def keep(way: str, samples: Sequence[Sample]) -> None:
    folder = os.environ.get("RGATE_LEAKS_KEEP")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Path(folder, f"{way}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(field.name for field in fields(Sample))
            writer.writerows(map(astuple, samples))


def test_a_leak_would_be_found() -> None:
    flat = [Sample(at, 100 << 20, 50, 10) for at in range(50)]
    leaking = [Sample(at, (100 << 20) + at * (1 << 20), 50 + at, 10) for at in range(50)]
    assert all(after <= before + slack for _, before, after, slack in grown(flat))
    assert [name for name, before, after, slack in grown(leaking) if after > before + slack] == [
        *("memory_bytes", "descriptors"),
    ]
