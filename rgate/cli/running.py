"""One gateway process: it listens, says so, obeys signals and reloads, drains and ends (behaviour 1 and 8).

`serve` runs it by itself; with `--workers` there are several, and workers.py looks after them.
"""

import contextlib
import json
import logging
import queue
import signal
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from rgate._version import __version__
from rgate.cli.config_file import config_of, config_text
from rgate.cli.descriptors import most_descriptors
from rgate.cli.listening import shown, url
from rgate.cli.signals import ENDED, REPLACED, Orders
from rgate.cli.stop import Stop
from rgate.cli.wiring import Wired, make_engine, wire
from rgate.core.commands import PROGRAM
from rgate.core.config import Config
from rgate.core.config_changes import config_changes
from rgate.core.config_errors import ConfigErrors, cut
from rgate.core.escape import in_one_line
from rgate.core.facts import in_words
from rgate.core.gateway import Gateway
from rgate.core.plan import needs_restart
from rgate.core.succession import Listeners
from rgate.core.timeline import TimelineEvent, config_refused, config_taken, started
from rgate.discovery.sources import shown as shown_sources
from rgate.engines import CAN_TUNNEL
from rgate.stats import StatsError
from rgate.telling.access_log import AccessLog, json_line, text_line
from rgate.telling.lines import Destination
from rgate.telling.process import Process, Started
from rgate.telling.siblings import Siblings
from rgate.telling.timeline import Timeline

log = logging.getLogger("rgate")

_FIRST_LOOK_S: Final = 15.0

_CLOSE_WITHIN_S: Final = 1.0
"""The database and the access log have so long together for what is left, and the log a moment at least."""
_LAST_LINES_S: Final = 0.2

_SAID_WITHIN_S: Final = 1.0


class Owner(Protocol):
    """Who runs a gateway process, and is told how that goes."""

    @property
    def takes_over(self) -> bool:
        """Whether another rgate serves as long as this one does not."""

    @property
    def is_successor(self) -> bool:
        """Whether this process stands for one that served: it is to do so, though something has gone."""

    def ready(self, gateway: Gateway) -> bool:
        """Take it that *gateway* is ready, and accepts; whether it is to go on."""

    def beat(self) -> None:
        """Take it that requests are carried still. It is called each second or oftener, in any thread."""

    def reload(self, config: Config) -> Config | None:
        """Return the configuration to put in the place of *config*, if any."""

    def ending(self, order: int) -> Listeners:
        """Take it that no more than what is under way is served from now on, as *order* says; return what
        becomes of the listeners.
        """


def run(
    options: Namespace,
    config: Config,
    listeners: Sequence[socket.socket],
    orders: Orders,
    owner: Owner,
    siblings: Siblings,
    process: Process,
) -> int:
    """Serve on *listeners* until *orders* end it; returns the exit status.

    *siblings* are all processes of this rgate, and *process* is what this one knows of itself. Raises Stop.
    """
    access_log = _access_log(options, must_open=not owner.is_successor)
    try:
        wired = wire(
            config,
            can_tunnel=options.engine in CAN_TUNNEL,
            database=options.db,
            seed=options.seed,
            logs=[access_log] if access_log is not None else [],
            workers=options.workers,
            descriptors=most_descriptors(),
            siblings=siblings,
            process=process,
            must_work=not owner.is_successor,
        )
    except StatsError as error:
        raise Stop(str(error)) from error
    if access_log is not None:
        wired.metrics.lost["access"] = lambda: access_log.lost
    obey = partial(_obey, wired, access_log, orders, owner.reload)
    beside = _Beside(orders)
    first_look = partial(wired.sources.wait_first_look, _FIRST_LOOK_S)
    wired.watch_if_needed()
    status = 0
    goes_on = not config.needs_docker or beside.wait(first_look, obey)
    if goes_on and owner.takes_over and config.needs_docker and (unheard := wired.sources.unheard):
        who = f"Docker {in_words(unheard)}" if len(config.asked_sources) > 1 else "Docker"
        log.error(
            "%s does not answer; see what `docker ps` says. The rgate that serves was not replaced", who
        )
        goes_on, status = False, 1
    if goes_on:
        engine = make_engine(options.engine, wired)
        engine.start(listeners, owner.beat)
        goes_on = owner.ready(wired.gateway)
        listeners_then = owner.ending(obey() if goes_on else signal.SIGTERM)
        wired.gateway.is_draining = True
        # Let what is under way end, for a while; a second signal ends it at once.
        has_drained = beside.wait(partial(engine.drain, options.drain, listeners_then), obey)
        status = 0 if goes_on and has_drained else 1
        engine.stop()
    closes_until_s = time.monotonic() + _CLOSE_WITHIN_S
    wired.close()
    if access_log is not None:
        access_log.close(max(_LAST_LINES_S, closes_until_s - time.monotonic()))
    return status


def _access_log(options: Namespace, *, must_open: bool) -> AccessLog | None:
    if options.access_log is None:
        return None
    line_of = json_line if options.log_format == "json" else text_line
    try:
        return AccessLog(options.access_log, line_of, must_open=must_open)
    except OSError as error:
        message = f"cannot write the access log {options.access_log}: {error.strerror}; name another file"
        raise Stop(message) from error


def process_of(options: Namespace, listeners: Sequence[socket.socket], timeline: Timeline) -> Process:
    """Return what a process that listens on *listeners* knows of itself."""
    return Process(
        timeline,
        Started(
            version=__version__,
            listen=", ".join(dict.fromkeys(map(shown, listeners))),
            engine=options.engine,
            workers=options.workers,
            config_path=options.config,
            url=url(listeners[0]),
            program="python rgate.py" if Path(sys.argv[0]).name == "rgate.py" else PROGRAM,
        ),
    )


def is_ready(process: Process) -> TimelineEvent:
    """Return that rgate is ready now."""
    about = process.started
    return started(time.time(), about.version, about.workers, about.listen)


def ready_text(options: Namespace, listeners: Sequence[socket.socket], gateway: Gateway) -> str:
    """Return what is said once the gateway is ready: one object with `--log-format json`."""
    urls = list(dict.fromkeys(map(url, listeners)))  # one address may have several listeners
    asked = shown_sources(gateway.config.asked_sources) if gateway.config.needs_docker else ""
    if options.log_format == "json":
        docker = {"docker": asked} if asked else {}
        told = json.dumps({"message": "listening", "urls": urls, **docker, "routes": _routes(gateway)})
        return told.replace("\x7f", "\\u007f")
    table = "\n".join(_table(gateway))
    docker_too = f"; containers by {in_one_line(asked)}" if asked else ""
    return f"rgate listening on {', '.join(urls)}{docker_too}\n{table}"


def say_ready(text: str) -> None:
    """Print *text* to standard output. Who reads slowly there is waited for for a moment, and has the rest
    later.
    """
    said = f"{text}\n".encode(sys.stdout.encoding, "backslashreplace")
    saying = threading.Thread(target=_say, args=(said,), name="rgate-ready", daemon=True)
    with contextlib.suppress(RuntimeError):  # the system gives no thread
        saying.start()
        saying.join(_SAID_WITHIN_S)


def _say(said: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads: the gateway runs all the same
        # One write: a line of the access log to the same output must not come between. And none by
        # `sys.stdout`, which would keep what cannot be written, and try again at the end; and which has a
        # lock, that a worker made meanwhile would find taken for ever.
        Destination(descriptor=sys.stdout.fileno()).write(said)


def _routes(gateway: Gateway) -> list[dict[str, Any]]:
    """Return the routes, each with its backend and the containers that were found."""
    views = [(route, gateway.views[route.backend]) for route in gateway.config.routes]
    return [
        {
            "route": route.name,
            "backend": route.backend,
            "containers": [candidate.name for candidate in view.candidates],
            "reason": view.reason.value if view.reason is not None else None,
        }
        for route, view in views
    ]


def _table(gateway: Gateway) -> list[str]:
    """Return the routes as lines for people. What files and labels say cannot steer a terminal."""
    rows = [("ROUTE", "BACKEND", "CONTAINERS")]
    for route in _routes(gateway):
        found = ", ".join(route["containers"]) or f"none ({route['reason']})"
        rows.append(
            (in_one_line(cut(route["route"])), in_one_line(cut(route["backend"])), in_one_line(found))
        )
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows]


def _obey(
    wired: Wired, access_log: AccessLog | None, orders: Orders, reload: Callable[[Config], Config | None]
) -> int:
    """Do as the orders say until one is to stop, or 0; return that one."""
    while (number := orders.get()) not in (0, signal.SIGTERM, signal.SIGINT, ENDED, REPLACED):
        if access_log is not None:
            access_log.reopen()
        if number == signal.SIGHUP:
            config = reload(wired.gateway.config)
            if config is not None:
                _put_in_force(wired, config)
    return number


def _put_in_force(wired: Wired, config: Config) -> None:
    try:
        wired.reload(config)
    except RuntimeError as error:  # no thread to be had for a source that was not watched before
        log.error("the new configuration is not in force as a whole; send SIGHUP again error=%r", str(error))


class _Beside:
    """A thread that waits for one thing after another while orders are obeyed: made before there is any need,
    as the system may give none just when rgate is to end.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._waits: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="rgate-wait", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._waits.get()()
            self._orders.tell_done()

    def wait(self, wait: Callable[[], object], obey: Callable[[], int]) -> bool:
        """Whether *wait* came to its end before an order to stop."""
        self._waits.put(wait)
        while (order := obey()) == REPLACED:
            pass  # that another serves on is no second order to stop
        return order == 0


def reloaded(
    file: str,
    tell: Callable[[TimelineEvent], object],
    old: Config,
    hand_over: Callable[[bytes], object] = lambda _: None,
) -> Config | None:
    """Return what *file* says now, and *tell* of it; None where it is wrong, and *old* stays in force.

    *hand_over* takes its text, where it is right.
    """
    try:
        text = config_text(file)
        config = config_of(text, file, is_used=True)
    except ConfigErrors as errors:
        tell(config_refused(time.time(), errors.errors))
        for error in errors.errors:
            log.error("%s", error)
        log.error("not reloaded; the old configuration stays in force")
        return None
    hand_over(text)
    tell(config_taken(time.time(), file, config_changes(old, config)))
    keys = needs_restart(old, config)
    log.info("reloaded %s%s", file, f"; {', '.join(keys)} changes at the next start" if keys else "")
    return config
