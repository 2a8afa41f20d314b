"""`serve --workers N`: processes that share one port, and one that looks after them.

Why it is built so: docs/decisions/005-workers.md. Each worker has listening sockets of its own on the
port (SO_REUSEPORT), which this process made and keeps: what waits to be accepted by a worker that died
is accepted by the one that takes its place.
"""

import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import struct
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from rgate.cli.config_file import config_of
from rgate.cli.handed import Handed
from rgate.cli.running import is_ready, process_of, ready_text, reloaded, run, say_ready
from rgate.cli.signals import ENDED, REPLACED, Signals, held, leave_to_supervisor, readable
from rgate.cli.stop import Stop
from rgate.cli.succession import Succession
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway
from rgate.core.heartbeat import LOOK_S, SILENT_S, Watch
from rgate.core.succession import Listeners
from rgate.core.timeline import TimelineEvent, worker_ended, worker_hangs, worker_started
from rgate.telling.log import tell_on_stderr
from rgate.telling.siblings import Worker, meeting_places
from rgate.telling.timeline import Timeline

log = logging.getLogger("rgate")

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_ORDERS: Final = {
    Listeners.CLOSED: ENDED,
    Listeners.HELD: int(signal.SIGTERM),
    Listeners.SUCCEEDED: REPLACED,
}
"""How a supervisor tells its workers to end, by what becomes of their listeners."""
_LISTENERS_AFTER: Final = {order: listeners for listeners, order in _ORDERS.items()}
# What a worker has behind its drain, to store its figures: with the default of 8 s all have ended before
# `docker stop` kills, which is after 10 s.
_AFTER_DRAIN_S: Final = 1.8
_AT_ONCE_S: Final = 1.5
"""Who was told to end at once, and has not by then, hangs."""
# A worker that dies at once would otherwise be started some hundred times a second.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_SOUND_S: Final = 10.0
"""One that ran for so long begins anew with the first pause."""


@dataclass
class _Worker:
    """A place for one worker, and the process that has it."""

    number: int
    listeners: list[socket.socket]
    place: socket.socket  # where it answers the others
    pid: int = 0
    control: socket.socket | None = None  # orders go out here, its readiness comes in
    beats: memoryview = field(default_factory=lambda: memoryview(mmap.mmap(-1, 8)).cast("Q"))
    """How often the process has beaten: one number, in memory that it shares with the supervisor."""
    started_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    again_at_s: float | None = None  # when the next process is to be started

    def pause(self, now_s: float) -> None:
        """Let the next process start after a while, and the one after it after twice that."""
        self.again_at_s = now_s + self.pause_s
        self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)

    def close_listeners(self) -> None:
        for listener in self.listeners:
            listener.close()


def supervise(
    options: Namespace, config: Config, listeners: Sequence[list[socket.socket]], succession: Succession
) -> int:
    """Run the workers, each on its own of *listeners*, until a signal ends them; returns the exit status.

    Raises Stop.
    """
    signals = Signals(("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGCHLD"))
    with contextlib.ExitStack() as opened:
        try:
            places = opened.enter_context(meeting_places(options.workers))
        except OSError as error:
            raise Stop(
                f"cannot make the sockets of the workers: {error.strerror or error}; let TMPDIR name a "
                "directory with a short path that rgate may write to"
            ) from error
        workers = [_Worker(number, *of) for number, of in enumerate(zip(listeners, places, strict=True))]
        return _Supervisor(options, config, signals, workers, succession).run()


class _Supervisor:
    def __init__(
        self,
        options: Namespace,
        config: Config,
        signals: Signals,
        workers: list[_Worker],
        succession: Succession,
    ) -> None:
        self._options = options
        self._succession = succession
        self._config = config
        self._handed = Handed()
        self._workers = workers
        self._serves = False  # all workers were ready once
        self._stopping = False  # it was told to stop before that
        self._kept: list[int] = []  # what else it was told then
        self._signals = signals
        # What happened to all: a worker that starts later knows it by the fork, the others are told.
        self._timeline = Timeline()
        self._watch = Watch(time.monotonic(), {})

    def run(self) -> int:
        text = ""
        # What ends all shows in the first; the others need not wait for each other.
        for together in (self._workers[:1], self._workers[1:]):
            try:
                for worker in together:
                    self._start(worker)
            except OSError as error:
                self._end_all()
                raise Stop(_no_process(error)) from error
            for worker in together:
                said = self._wait_ready(worker)
                if said is None:
                    return self._stop() if self._stopping else self._give_up(worker)
                text = text or said
        try:
            self._succession.begin()
        except Stop as stop:
            log.error("%s", stop.message)
            self._stop()
            return 1
        self._serves = True
        say_ready(text)
        self._tell(is_ready(process_of(self._options, self._workers[0].listeners, self._timeline)))
        return self._look_after()

    def _tell(self, event: TimelineEvent) -> None:
        """Tell all workers of *event*, those too that are still to start."""
        self._timeline.add(event)
        message = told_event(event)
        for worker in self._workers:
            if worker.control is not None:
                # Nobody is waited for: one that does not read hangs, and tells nobody of anything either.
                with contextlib.suppress(OSError):
                    worker.control.send(message, socket.MSG_DONTWAIT)

    def _start(self, worker: _Worker) -> None:
        """Start a process in the place of *worker*. Raises OSError where the system gives none."""
        ours, theirs = socket.socketpair()
        worker.beats[0] = 0
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            # Else one to a worker that was just born would come here too, and count twice.
            with held():
                # No thread runs here, and nothing is open but sockets: what a fork needs to be safe.
                pid = os.fork()
                if pid == 0:
                    leave_to_supervisor()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._be_worker(worker, theirs)
        theirs.close()
        worker.pid, worker.control, worker.again_at_s = pid, ours, None
        worker.started_s = time.monotonic()

    def _be_worker(self, worker: _Worker, control: socket.socket) -> NoReturn:
        """Serve, and end the process whatever happens: the code behind this is the supervisor's.

        The supervisor's sockets are closed: their ends tell of its end.
        """
        status, told = 1, None
        try:
            told = tell_on_stderr(self._options.log_level, self._options.log_format, threads=True)
            others = [other.place.getsockname() for other in self._workers if other is not worker]
            for other in self._workers:
                if other is not worker:
                    other.close_listeners()
                    other.place.close()
                if other.control is not None:
                    other.control.close()
            for one in self._succession.sockets:
                one.close()
            siblings = Worker(worker.place, others)
            siblings.serve()
            options = Namespace(**vars(self._options))
            if options.seed is not None:
                options.seed += worker.number  # else all would pick the same
            if worker.number:  # all have the same Docker, and the same database: one tells how they go
                for name in ("rgate.docker", "rgate.database"):
                    logging.getLogger(name).setLevel(logging.ERROR)
            timeline = Timeline(self._timeline.newest()[::-1], began=time.time())
            orders = _ControlledOrders(control, timeline.add)
            process = process_of(options, worker.listeners, timeline)
            owner = _Supervised(
                options,
                worker,
                control,
                self._handed,
                takes_over=self._succession.takes_over,
                is_successor=self._serves,
            )
            status = run(options, self._config, worker.listeners, orders, owner, siblings, process)
        except Stop as stop:
            log.error("%s", stop.message)
        except Exception:
            log.exception("worker failed")
        finally:
            with contextlib.suppress(OSError):  # nobody reads
                if told is not None:  # there was a thread for it
                    told.close()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _wait_ready(self, worker: _Worker) -> str | None:
        """Return what a worker that just started says once it is ready; None where it ended instead."""
        assert worker.control is not None  # noqa: S101 - for the types alone
        said = b""
        while not said.endswith(b"\0"):
            number = self._signals.wait([worker.control], None)
            if number in _STOPS:
                self._stopping = True
                return None
            if number in (signal.SIGHUP, signal.SIGUSR1):
                self._kept.append(number)
            if number is None:
                received = worker.control.recv(65536)
                if not received:
                    return None
                said += received
        return said[:-1].decode()

    def _give_up(self, failed: _Worker) -> int:
        """End all workers, as one could not start, and told why; returns the exit status. Raises Stop."""
        if (status := self._end_all()[failed.pid]) < 0:
            raise Stop(
                f"a worker was ended by {signal.Signals(-status).name} before it was ready; see what did that"
            )
        return 1

    def _end_all(self) -> dict[int, int]:
        """End all workers at once, and those that do not by force; returns their exit statuses by their
        pids.
        """
        for worker in self._workers:
            self._close_control(worker)
        running = {worker.pid for worker in self._workers if worker.pid}
        statuses: dict[int, int] = {}
        until_s = time.monotonic() + _AT_ONCE_S
        while True:
            statuses |= {pid: status for pid in running if (status := _status(pid)) is not None}
            running -= statuses.keys()
            if not running:
                return statuses
            if (left_s := until_s - time.monotonic()) > 0:
                self._signals.wait([], left_s)
                continue
            for pid in running:
                os.kill(pid, signal.SIGKILL)
                statuses[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return statuses

    def _look_after(self) -> int:
        while True:
            asking = self._succession.sockets
            number = self._kept.pop(0) if self._kept else self._signals.wait(asking, self._next_look_s())
            is_replaced = number is None and readable(asking, 0) and self._succession.answer()
            if is_replaced:
                return self._stop()
            if number in _STOPS:
                return self._stop()
            if number == signal.SIGHUP:
                config = reloaded(self._options.config, self._tell, self._config, self._handed.put)
                if config is None:
                    continue
                self._config = config
            if number in (signal.SIGHUP, signal.SIGUSR1):
                self._order_all(number)
            self._notice_deaths()
            self._end_hanging()
            self._start_again()

    def _next_look_s(self) -> float:
        """Return when to look after the workers again, at the latest."""
        times = [worker.again_at_s for worker in self._workers if worker.again_at_s is not None]
        times.append(self._watch.looked_at_s + LOOK_S)
        return max(0.0, min(times) - time.monotonic())

    def _end_hanging(self) -> None:
        """End those that hang: their end is noticed as that of others, and brings another in their place."""
        beats = {worker.pid: worker.beats[0] for worker in self._workers if worker.pid}
        self._watch = self._watch.look(beats, time.monotonic())
        for pid in self._watch.hanging():
            event = worker_hangs(time.time(), pid, SILENT_S)
            log.error("%s", event.text)
            self._tell(event)
            os.kill(pid, signal.SIGKILL)  # a process that is stopped takes no other

    def _notice_deaths(self) -> None:
        for worker in self._workers:
            if not worker.pid or not (ended := _ended(worker.pid)):
                continue
            now_s = time.monotonic()
            if now_s - worker.started_s > _SOUND_S:
                worker.pause_s = _FIRST_PAUSE_S
            log.warning("worker %d ended (%s); another starts in %g s", worker.pid, ended, worker.pause_s)
            self._close_control(worker)
            self._tell(worker_ended(time.time(), worker.pid, ended, worker.pause_s))
            worker.pid = 0
            worker.pause(now_s)

    def _start_again(self) -> None:
        for worker in self._workers:
            if worker.again_at_s is not None and worker.again_at_s <= time.monotonic():
                try:
                    self._start(worker)
                except OSError as error:
                    log.error("%s; next try in %g s", _no_process(error), worker.pause_s)
                    worker.pause(time.monotonic())
                else:
                    self._tell(worker_started(time.time(), worker.pid))

    def _order_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.control is not None:
                with contextlib.suppress(OSError):  # it is dying: SIGCHLD tells
                    worker.control.send(bytes([number]))

    def _stop(self) -> int:
        """Let all end what is under way; a second signal ends them at once, with status 1."""
        self._order_all(_ORDERS[self._succession.end()])
        for worker in self._workers:
            worker.close_listeners()
        status, until_s = 0, time.monotonic() + self._options.drain + _AFTER_DRAIN_S
        while running := [worker for worker in self._workers if worker.pid and not _ended(worker.pid)]:
            for worker in self._workers:
                worker.pid = worker.pid if worker in running else 0
            if time.monotonic() >= until_s:
                for worker in running:
                    os.kill(worker.pid, signal.SIGKILL)
                    os.waitpid(worker.pid, 0)
                return 1
            if self._signals.wait([], max(0.0, until_s - time.monotonic())) in _STOPS and not status:
                status, until_s = 1, min(until_s, time.monotonic() + _AT_ONCE_S)
                self._order_all(signal.SIGTERM)
        return status

    @staticmethod
    def _close_control(worker: _Worker) -> None:
        if worker.control is not None:
            worker.control.close()
            worker.control = None


_EVENT: Final = b"\xff"  # the number of no signal
_LENGTH: Final = struct.Struct(">I")


def told_event(event: TimelineEvent) -> bytes:
    """Return *event* as a supervisor tells it to a worker, among the numbers of signals."""
    # Short enough for the kernel to take it whole, or not at all (unix(7)).
    text = json.dumps(event.shortened().as_json(), ensure_ascii=False).encode(errors="replace")
    return _EVENT + _LENGTH.pack(len(text)) + text


class _ControlledOrders:
    """The `Orders` of a worker: they come from its supervisor, whose end is an order to stop at once.

    *told* takes the events that it tells of.
    """

    def __init__(self, control: socket.socket, told: Callable[[TimelineEvent], object]) -> None:
        self._control = control
        self._told = told
        self._done, self._tell = socket.socketpair()

    def get(self) -> int:
        while True:
            if self._done in readable([self._control, self._done], None):
                return self._done.recv(1)[0]
            received = self._control.recv(1)
            if received != _EVENT:
                return received[0] if received else signal.SIGTERM
            self._take_event()

    def _take_event(self) -> None:
        """Take an event, which is behind its mark."""
        size = self._control.recv(_LENGTH.size, socket.MSG_WAITALL)
        if len(size) == _LENGTH.size:
            text = self._control.recv(_LENGTH.unpack(size)[0], socket.MSG_WAITALL)
            with contextlib.suppress(ValueError):  # the supervisor died while it told
                self._told(TimelineEvent.of_json(json.loads(text)))

    def tell_done(self) -> None:
        self._tell.send(b"\0")


class _Supervised:
    """The `Owner` of a worker: its supervisor."""

    def __init__(
        self,
        options: Namespace,
        worker: _Worker,
        control: socket.socket,
        handed: Handed,
        *,
        takes_over: bool,
        is_successor: bool,
    ) -> None:
        self.takes_over = takes_over
        self.is_successor = is_successor
        self._options = options
        self._worker = worker
        self._control = control
        self._handed = handed

    def ready(self, gateway: Gateway) -> bool:
        """Tell the supervisor what to print, unless it has: nobody would read that."""
        if not self.is_successor:
            text = ready_text(self._options, self._worker.listeners, gateway)
            self._control.sendall(text.encode() + b"\0")
        return True

    def beat(self) -> None:
        self._worker.beats[0] += 1

    def reload(self, _config: Config) -> Config | None:
        """Return what is to be put in force; the supervisor has checked and told of it."""
        text = self._handed.take()
        try:
            return None if text is None else config_of(text, self._options.config, is_used=True)
        except ConfigErrors:  # a certificate went since
            return None

    def ending(self, order: int) -> Listeners:
        """Tell nobody: the supervisor said so. One that died without a word may have passed them on."""
        return _LISTENERS_AFTER.get(order, Listeners.HELD)


def _no_process(error: OSError) -> str:
    return f"cannot start a worker: {error.strerror}; allow rgate more processes, or give fewer --workers"


def _ended(pid: int) -> str:
    """Return how the process *pid* ended; "" while it runs."""
    status = _status(pid)
    if status is None:
        return ""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _status(pid: int) -> int | None:
    """Return the exit status of the process *pid*; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None
