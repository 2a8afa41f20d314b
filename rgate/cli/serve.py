"""`serve`: from the listener to the last byte (behaviour 1 and 8)."""

import contextlib
import logging
import signal
import socket
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from rgate.cli.config_file import load_config
from rgate.cli.signals import Orders, Signals
from rgate.cli.wiring import Wired, make_engine, needs_docker, wire
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway
from rgate.stats import StatsError
from rgate.stats.access_log import AccessLog, json_line, text_line

DRAIN_S: Final = 10.0
_FIRST_LOOK_S: Final = 15.0
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Stop(Exception):
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
    try:
        if options.workers > 1:
            from rgate.cli.workers import supervise

            return supervise(options, config)
        listener, orders = listen(options.host, options.port), Signals()
        return run(options, config, listener, orders, tell_ready, partial(reloaded, options.config))
    except Stop as stop:
        print(f"rgate: {stop.message}", file=sys.stderr)
        return 1


def run(
    options: Namespace,
    config: Config,
    listener: socket.socket,
    orders: Orders,
    tell: Callable[[socket.socket, Gateway], None],
    reload: Callable[[Config], Config | None],
) -> int:
    """Serve on *listener* until *orders* end it; returns the exit status.

    *tell* is called once, when it is ready. *reload* takes the configuration in force, and returns the
    one to put in its place, if any. Raises Stop.
    """
    access_log = _access_log(options)
    try:
        wired = wire(
            config,
            database=options.db,
            seed=options.seed,
            logs=[access_log] if access_log is not None else [],
        )
    except StatsError as error:
        raise Stop(str(error)) from error
    obey = partial(_obey, wired, access_log, orders, reload)
    first_look = partial(wired.watcher.wait_first_look, _FIRST_LOOK_S)
    wired.watch_if_needed()
    status = 0
    if not needs_docker(config) or _beside(first_look, orders, obey):
        engine = make_engine(options.engine, wired)
        engine.start(listener)
        tell(listener, wired.gateway)
        obey()
        # Let what is under way end, for a while; a second signal ends it at once.
        status = 0 if _beside(partial(engine.drain, DRAIN_S), orders, obey) else 1
        engine.stop()
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


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens; *shared*: with SO_REUSEPORT, beside others of its kind. Raises Stop."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG, reuse_port=shared)
    except (OSError, OverflowError) as error:
        remedy = "choose another with --port, or end what listens there"
        reason = getattr(error, "strerror", None) or error
        raise Stop(f"cannot listen on {host}:{port}: {reason}; {remedy}") from error


def _access_log(options: Namespace) -> AccessLog | None:
    if options.access_log is None:
        return None
    try:
        return AccessLog(options.access_log, json_line if options.log_format == "json" else text_line)
    except OSError as error:
        message = f"cannot write the access log {options.access_log}: {error.strerror}; name another file"
        raise Stop(message) from error


def tell_ready(listener: socket.socket, gateway: Gateway) -> None:
    """Print the address, and the table of routes."""
    say_ready(ready_text(listener, gateway))


def ready_text(listener: socket.socket, gateway: Gateway) -> str:
    """Return what is said once the gateway is ready."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return "\n".join([f"rgate listening on http://{shown}:{port}", *_table(gateway)])


def say_ready(text: str) -> None:
    """Print *text* to standard output."""
    with contextlib.suppress(OSError):  # nobody reads: the gateway runs all the same
        # One write: a line of the access log to the same output must not come between.
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


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


def _obey(
    wired: Wired, access_log: AccessLog | None, orders: Orders, reload: Callable[[Config], Config | None]
) -> int:
    """Do as the orders say until one is to stop, or 0; return that one."""
    while (number := orders.get()) not in (0, signal.SIGTERM, signal.SIGINT):
        if access_log is not None:
            access_log.reopen()
        if number == signal.SIGHUP:
            config = reload(wired.gateway.config)
            if config is not None:
                wired.reload(config)
    return number


def _beside(wait: Callable[[], object], orders: Orders, obey: Callable[[], int]) -> bool:
    """Whether *wait* came to its end, in a thread of its own, before an order to stop."""

    def wait_and_tell() -> None:
        wait()
        orders.tell_done()

    threading.Thread(target=wait_and_tell, name="rgate-wait", daemon=True).start()
    return obey() == 0


def reloaded(file: str, old: Config) -> Config | None:
    """Return what *file* says now, and tell of it; None where it is wrong, and *old* stays in force."""
    try:
        config = load_config(file)
    except ConfigErrors as errors:
        print(f"{errors}\nrgate: not reloaded; the old configuration stays in force", file=sys.stderr)
        return None
    note = "" if config.stats.database == old.stats.database else "; stats.database changes at the next start"
    print(f"rgate: reloaded {file}{note}", file=sys.stderr)
    return config
