"""How long it takes from a daemon's event until requests go by it, for each kind of daemon.

    python -m bench.sources [--events 30] [--save]     as root; what is needed: scripts/setup-daemons

Each kind is started for it, or stands before the Docker of this machine. Times are from the daemon's own
event (`timeNano`, on the clock of this machine) until the registry has a view that says so: the next request
goes by it. Where a daemon sends no event for it, it is from when the call began that did it, and marked `*`.
--save writes the table into docs/sources.md.
"""

import argparse
import contextlib
import os
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.registry import Registry
from rgate.discovery.watcher import Watcher
from tests.contract.sources.daemons import DAEMONS, Served
from tests.integration.containers import IMAGE, pause

PAGE: Final = Path(__file__).parents[1] / "docs" / "sources.md"
LATEST_S: Final = 40.0  # a full list comes sooner
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
IS_ILL: Final = "__import__('os')._exit(__import__('os').path.exists('/tmp/ill'))"


class Seen:
    """When each view of the one backend came."""

    def __init__(self, label: str) -> None:
        self._changed = threading.Condition()
        self._views: list[tuple[float, BackendView]] = []
        self.registry = Registry([Backend("b", match_labels=(("rgate-bench", label),))])
        self.registry.subscribe(lambda views: self._note(views["b"]))

    def _note(self, view: BackendView) -> None:
        with self._changed:
            self._views.append((time.time(), view))
            self._changed.notify_all()

    def when(self, what: Callable[[BackendView], bool], since_s: float) -> float:
        """Return when the first view came that is so, of those since then. Raises TimeoutError."""

        def found() -> list[float]:
            return [at_s for at_s, view in self._views if at_s >= since_s and what(view)]

        with self._changed:
            if not self._changed.wait_for(found, LATEST_S):
                raise TimeoutError
            return found()[0]


class Told:
    """When the daemon says that something happened to a container."""

    def __init__(self, client: Any) -> None:
        self._changed = threading.Condition()
        self._events: list[tuple[str, str, float]] = []
        self._stream = client.events(decode=True)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        for event in self._stream:
            action = event.get("Action", "").partition(":")[0]
            with self._changed:
                self._events.append((event["Actor"]["ID"], action, event["timeNano"] / 1e9))
                self._changed.notify_all()

    def when(self, container_id: str, actions: tuple[str, ...], since_s: float) -> float | None:
        """Return when the first of these *actions* was, since then; None: the daemon tells of none."""

        def found() -> list[float]:
            return [
                at
                for one, what, at in self._events
                if one == container_id and what in actions and at >= since_s
            ]

        with self._changed:
            self._changed.wait_for(found, 2)
            return found()[0] if found() else None

    def close(self) -> None:
        self._stream.close()


@contextmanager
def environment(served: Served) -> Iterator[None]:
    """Have rgate ask that daemon."""
    before = dict(os.environ)
    os.environ.pop("SSH_AUTH_SOCK", None)
    os.environ.update(served.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Bench:
    """Does things to one container at a time, and notes how long it takes until they are in force."""

    def __init__(self, served: Served, seen: Seen, told: Told, label: str) -> None:
        self._served, self._seen, self._told, self._label = served, seen, told, label
        self.times_s: dict[str, list[float]] = {}
        self.without_event: set[str] = set()

    def _one(self, name: str, **options: Any) -> Any:
        return self._served.client.containers.create(
            IMAGE,
            name=f"{name}-{self._label[:8]}",
            labels={"rgate-bench": self._label},
            ports={"8000/tcp": ("127.0.0.1", None)},
            **{"healthcheck": {"test": ["NONE"]}, **options},
        )

    def _note(
        self,
        what: str,
        container: Any,
        do: Callable[[], object],
        actions: tuple[str, ...],
        until: Callable[[BackendView], bool],
    ) -> None:
        began_s = time.time()
        do()
        seen_s = self._seen.when(until, began_s)
        event_s = self._told.when(container.id, actions, began_s)
        if event_s is None:
            self.without_event.add(what)
        self.times_s.setdefault(what, []).append(max(seen_s - (event_s or began_s), 0.0))

    def round(self) -> None:
        """Do each of them once."""
        one = self._one("one")
        self._note("start", one, one.start, ("start",), _has("one"))
        self._note("pause", one, lambda: pause(one), ("pause",), _is_empty)
        one.unpause()
        self._seen.when(_has("one"), 0)
        self._note("rename", one, lambda: one.rename(f"two-{self._label[:8]}"), ("rename",), _has("two"))
        self._note("stop", one, lambda: one.stop(timeout=5), ("kill", "stop", "die"), _is_empty)
        began_s = time.time()
        one.start()
        self._seen.when(_has("two"), began_s)
        self._note("kill", one, one.kill, ("kill",), _is_empty)
        one.remove(force=True)

    def health(self) -> None:
        """Let one fall ill once."""
        test = ["CMD", "python3", "-c", IS_ILL]
        check = {"test": test, "interval": 300_000_000, "retries": 1, "start_period": 1_000_000}
        one = self._one("ill", healthcheck=check)
        one.start()
        check_health = self._served.check_health or (lambda _: None)
        check_health(one.id)
        self._seen.when(lambda view: any(found.health == "healthy" for found in view.containers), 0)

        def sicken() -> None:
            one.exec_run(["python3", "-c", "open('/tmp/ill', 'w')"])
            check_health(one.id)

        self._note("health", one, sicken, ("health_status",), _is_empty)
        one.remove(force=True)
        self._seen.when(lambda view: not view.containers, 0)


def _has(name: str) -> Callable[[BackendView], bool]:
    return lambda view: any(one.name.startswith(f"{name}-") for one in view.candidates)


def _is_empty(view: BackendView) -> bool:
    return not view.candidates


def measured(served: Served, events: int) -> Bench:
    """Return what came of as many of each, on one daemon."""
    label = uuid.uuid4().hex
    seen = Seen(label)
    with environment(served):
        source = DockerSource()
        watcher = Watcher(source, seen.registry)
        watcher.start()
        assert watcher.wait_first_look(30)
    with contextlib.closing(Told(served.client)) as told:
        bench = Bench(served, seen, told, label)
        try:
            with environment(served):
                for _ in range(events):
                    bench.round()
                for _ in range(max(events // 3, 1)):
                    bench.health()
        finally:
            watcher.stop()
            for made in served.client.containers.list(all=True, filters={"label": f"rgate-bench={label}"}):
                made.remove(force=True)
    return bench


def table(benches: dict[str, Bench]) -> str:
    """Return the figures, a row for each daemon: p50 and p99 in milliseconds."""
    columns = ("start", "stop", "kill", "pause", "rename", "health")
    lines = ["| daemon | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for name, bench in benches.items():
        cells = []
        for column in columns:
            times = sorted(bench.times_s[column])
            late = times[min(len(times) - 1, int(0.99 * len(times)))]
            mark = "*" if column in bench.without_event else ""
            cells.append(f"{1000 * statistics.median(times):.0f}, {1000 * late:.0f}{mark}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print or save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=30, help="as many of each kind; of health a third")
    parser.add_argument("--only", choices=sorted(DAEMONS), help="this kind of daemon alone")
    parser.add_argument("--save", action="store_true", help=f"write the table into {PAGE.name}")
    options = parser.parse_args()
    benches = {}
    for name, start in DAEMONS.items():
        if options.only in (None, name):
            with start() as served:
                benches[name] = measured(served, options.events)
                print(table({name: benches[name]}), flush=True)
    told = table(benches)
    print(told)
    if options.save:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + told + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
