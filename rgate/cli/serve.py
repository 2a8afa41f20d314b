"""`serve`: from the listener to the last byte (behaviour 1 and 8)."""

import contextlib
import logging
import signal
import socket
import sys
import threading
from argparse import Namespace
from dataclasses import dataclass
from types import FrameType
from typing import Final

from rgate.cli.config_file import load_config
from rgate.cli.wiring import Engine, Wired, make_engine, needs_docker, wire
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway
from rgate.stats import StatsError
from rgate.stats.access_log import AccessLog, json_line, text_line

DRAIN_S: Final = 10.0
_FIRST_LOOK_S: Final = 15.0
_BACKLOG: Final = 1024


class _Signals:
    """The signals that came, in order; 0 stands for "drained".

    Through Python's wake-up descriptor, which the C handler writes to in whatever thread the kernel
    chose: a main thread that waits on a lock would not notice one that another thread took.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
            if number := getattr(signal, name, None):
                signal.signal(number, _noted_by_descriptor)
        signal.set_wakeup_fd(self._sender.fileno())

    def get(self) -> int:
        """Wait for the next."""
        return self._receiver.recv(1)[0]

    def tell_drained(self) -> None:
        """Give 0 to whoever waits."""
        self._sender.send(b"\0")


def _noted_by_descriptor(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: without a handler of Python's, the default action would end the process."""


@dataclass(frozen=True, slots=True)
class _Stop(Exception):
    """rgate cannot run. *message* is one line, and says what to do."""

    message: str


def serve(options: Namespace) -> int:
    """Run the gateway until a signal ends it. Returns the exit status."""
    _log_to_stderr()
    try:
        config = load_config(options.config)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    signals = _Signals()
    try:
        return _run(options, config, signals)
    except _Stop as stop:
        print(f"rgate: {stop.message}", file=sys.stderr)
        return 1


def _run(options: Namespace, config: Config, signals: _Signals) -> int:
    listener = _listen(options.host, options.port)
    access_log = _access_log(options)
    try:
        wired = wire(
            config,
            database=options.db,
            seed=options.seed,
            logs=[access_log] if access_log is not None else [],
        )
    except StatsError as error:
        raise _Stop(str(error)) from error
    wired.watch_if_needed()
    if needs_docker(config):
        wired.watcher.wait_first_look(_FIRST_LOOK_S)
    engine = make_engine(options.engine, wired)
    engine.start(listener)
    _tell_ready(listener.getsockname(), wired.gateway)
    status = _until_stopped(options, wired, engine, access_log, signals)
    wired.close()
    if access_log is not None:
        access_log.close()
    return status


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("rgate: %(message)s"))
    logger = logging.getLogger("rgate")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        remedy = "choose another with --port, or end what listens there"
        reason = getattr(error, "strerror", None) or error
        raise _Stop(f"cannot listen on {host}:{port}: {reason}; {remedy}") from error


def _access_log(options: Namespace) -> AccessLog | None:
    if options.access_log is None:
        return None
    try:
        return AccessLog(options.access_log, json_line if options.log_format == "json" else text_line)
    except OSError as error:
        message = f"cannot write the access log {options.access_log}: {error.strerror}; name another file"
        raise _Stop(message) from error


def _tell_ready(address: tuple[str, int], gateway: Gateway) -> None:
    host, port = address[0], address[1]
    shown = f"[{host}]" if ":" in host else host
    lines = [f"rgate listening on http://{shown}:{port}", *_table(gateway)]
    with contextlib.suppress(OSError):  # nobody reads: the gateway runs all the same
        print("\n".join(lines), flush=True)


def _table(gateway: Gateway) -> list[str]:
    """Return the routes, each with its backend and the containers that were found."""
    rows = [("ROUTE", "BACKEND", "CONTAINERS")]
    for route in gateway.config.routes:
        view = gateway.views[route.backend]
        found = ", ".join(candidate.name for candidate in view.candidates)
        reason = f"none ({view.reason.value})" if view.reason is not None else ""
        rows.append((route.path_prefix, route.backend, found or reason))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows]


def _until_stopped(
    options: Namespace, wired: Wired, engine: Engine, access_log: AccessLog | None, signals: _Signals
) -> int:
    while (number := signals.get()) not in (signal.SIGTERM, signal.SIGINT):
        if access_log is not None:
            access_log.reopen()
        if number == signal.SIGHUP:
            _reload(options, wired)
    return _drain(engine, signals)


def _reload(options: Namespace, wired: Wired) -> None:
    try:
        config = load_config(options.config)
    except ConfigErrors as errors:
        print(f"{errors}\nrgate: not reloaded; the old configuration stays in force", file=sys.stderr)
        return
    old = wired.gateway.config
    wired.reload(config)
    note = "" if config.stats.database == old.stats.database else "; stats.database changes at the next start"
    print(f"rgate: reloaded {options.config}{note}", file=sys.stderr)


def _drain(engine: Engine, signals: _Signals) -> int:
    """Let what is under way end, for a while; a second signal ends it at once, with status 1."""

    def drain() -> None:
        engine.drain(DRAIN_S)
        signals.tell_drained()

    threading.Thread(target=drain, name="rgate-drain", daemon=True).start()
    again = signals.get()
    while again not in (0, signal.SIGTERM, signal.SIGINT):
        again = signals.get()
    engine.stop()
    return 1 if again else 0
