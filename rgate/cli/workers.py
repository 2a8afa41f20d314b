"""`serve --workers N`: processes that share one port, and one that looks after them.

Why it is built so: docs/decisions/005-workers.md. Each worker has a listening socket of its own on the
port (SO_REUSEPORT), which this process made and keeps: what waits to be accepted by a worker that died
is accepted by the one that takes its place.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from rgate.cli.config_file import load_config
from rgate.cli.serve import DRAIN_S, Stop, listen, ready_text, reloaded, run, say_ready
from rgate.cli.signals import Signals
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
# A worker that dies at once would otherwise be started some hundred times a second.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_SOUND_S: Final = 10.0
"""One that ran for so long begins anew with the first pause."""


@dataclass
class _Worker:
    """A place for one worker, and the process that has it."""

    number: int
    listener: socket.socket
    pid: int = 0
    control: socket.socket | None = None  # orders go out here, its readiness comes in
    started_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    again_at_s: float | None = None  # when the next process is to be started


def supervise(options: Namespace, config: Config) -> int:
    """Run the workers until a signal ends them; returns the exit status. Raises Stop."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise Stop("--workers needs SO_REUSEPORT, which this system does not have; leave the option out")
    workers = [_Worker(number, one) for number, one in enumerate(_listeners(options))]
    return _Supervisor(options, config, workers).run()


def _listeners(options: Namespace) -> list[socket.socket]:
    """Return a listening socket for each worker, all on one port."""
    # Without SO_REUSEPORT first: else a second rgate would share the port of the first unnoticed.
    with listen(options.host, options.port) as probe:
        port: int = probe.getsockname()[1]
    return [listen(options.host, port, shared=True) for _ in range(options.workers)]


class _Supervisor:
    def __init__(self, options: Namespace, config: Config, workers: list[_Worker]) -> None:
        self._options = options
        self._config = config
        self._workers = workers
        self._stopping = False  # it was told to stop before all workers were ready
        self._signals = Signals(("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGCHLD"))

    def run(self) -> int:
        text = ""
        for worker in self._workers:
            self._start(worker)
            said = self._wait_ready(worker)
            if said is None:
                return self._stop() if self._stopping else self._give_up(worker)
            text = text or said
        say_ready(text)
        return self._look_after()

    def _start(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # No thread runs here, and nothing is open but sockets: what a fork needs to be safe.
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._be_worker(worker, theirs)
        theirs.close()
        worker.pid, worker.control, worker.again_at_s = pid, ours, None
        worker.started_s = time.monotonic()

    def _be_worker(self, worker: _Worker, control: socket.socket) -> NoReturn:
        """Serve, and end the process. The supervisor's sockets are closed: their ends tell of its end."""
        status = 1
        try:
            for other in self._workers:
                if other is not worker:
                    other.listener.close()
                if other.control is not None:
                    other.control.close()
            options = Namespace(**vars(self._options))
            if options.seed is not None:
                options.seed += worker.number  # else all would pick the same
            orders = _ControlledOrders(control)
            config = self._share(self._config)
            status = run(options, config, worker.listener, orders, orders.tell_ready, self._reload)
        except Stop as stop:
            print(f"rgate: {stop.message}", file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _share(self, config: Config) -> Config:
        """Return *config* with a worker's share of the limit on connections."""
        share = -(-config.limits.connections // len(self._workers))
        return replace(config, limits=replace(config.limits, connections=share))

    def _reload(self, _old: Config) -> Config | None:
        """Return what a worker is to put in force; the supervisor has checked and told of it."""
        try:
            return self._share(load_config(self._options.config))
        except ConfigErrors:  # changed again since
            return None

    def _wait_ready(self, worker: _Worker) -> str | None:
        """Return what a worker that just started says once it is ready; None where it ended instead."""
        assert worker.control is not None
        said = b""
        while not said.endswith(b"\0"):
            number = self._signals.wait([worker.control], None)
            if number in _STOPS:
                self._stopping = True
                return None
            if number is None:
                received = worker.control.recv(65536)
                if not received:
                    return None
                said += received
        return said[:-1].decode()

    def _give_up(self, failed: _Worker) -> int:
        """End all workers, as one could not start; returns its exit status."""
        for worker in self._workers:
            if worker.control is not None:
                worker.control.close()
        statuses = {worker.pid: _status(worker.pid) for worker in self._workers if worker.pid}
        return statuses[failed.pid]

    def _look_after(self) -> int:
        while True:
            number = self._signals.wait([], self._next_start_s())
            if number in _STOPS:
                return self._stop()
            if number == signal.SIGHUP:
                config = reloaded(self._options.config, self._config)
                if config is None:
                    continue
                self._config = config
            if number in (signal.SIGHUP, signal.SIGUSR1):
                self._order_all(number)
            self._notice_deaths()
            self._start_again()

    def _next_start_s(self) -> float | None:
        times = [worker.again_at_s for worker in self._workers if worker.again_at_s is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _notice_deaths(self) -> None:
        for worker in self._workers:
            if not worker.pid or not (ended := _ended(worker.pid)):
                continue
            now_s = time.monotonic()
            if now_s - worker.started_s > _SOUND_S:
                worker.pause_s = _FIRST_PAUSE_S
            print(
                f"rgate: worker {worker.pid} ended ({ended}); another starts in {worker.pause_s:g} s",
                file=sys.stderr,
                flush=True,
            )
            self._close_control(worker)
            worker.pid, worker.again_at_s = 0, now_s + worker.pause_s
            worker.pause_s = min(2 * worker.pause_s, _LONGEST_PAUSE_S)

    def _start_again(self) -> None:
        for worker in self._workers:
            if worker.again_at_s is not None and worker.again_at_s <= time.monotonic():
                self._start(worker)

    def _order_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.control is not None:
                with contextlib.suppress(OSError):  # it is dying: SIGCHLD tells
                    worker.control.send(bytes([number]))

    def _stop(self) -> int:
        """Let all end what is under way; a second signal ends them at once, with status 1."""
        self._order_all(signal.SIGTERM)
        for worker in self._workers:
            worker.listener.close()
        status, until_s = 0, time.monotonic() + DRAIN_S + 5
        while running := [worker for worker in self._workers if worker.pid and not _ended(worker.pid)]:
            for worker in self._workers:
                worker.pid = worker.pid if worker in running else 0
            if time.monotonic() >= until_s:
                for worker in running:
                    os.kill(worker.pid, signal.SIGKILL)
                    os.waitpid(worker.pid, 0)
                return 1
            if self._signals.wait([], max(0.0, until_s - time.monotonic())) in _STOPS and not status:
                status = 1
                self._order_all(signal.SIGTERM)
        return status

    @staticmethod
    def _close_control(worker: _Worker) -> None:
        if worker.control is not None:
            worker.control.close()
            worker.control = None


class _ControlledOrders:
    """The `Orders` of a worker: they come from its supervisor, whose end is an order to stop at once.

    Signals themselves are left to the supervisor: a terminal sends them to all of its processes.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._done, self._tell = socket.socketpair()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def get(self) -> int:
        ready, _, _ = select.select([self._control, self._done], [], [])
        if self._done in ready:
            return self._done.recv(1)[0]
        received = self._control.recv(1)
        return received[0] if received else signal.SIGTERM

    def tell_done(self) -> None:
        self._tell.send(b"\0")

    def tell_ready(self, listener: socket.socket, gateway: Gateway) -> None:
        """Tell the supervisor what to print."""
        self._control.sendall(ready_text(listener, gateway).encode() + b"\0")


def _ended(pid: int) -> str:
    """Return how the process *pid* ended; "" while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return ""
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def _status(pid: int) -> int:
    """Wait for the process *pid*; return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
