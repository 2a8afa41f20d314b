"""The command `serve`: its options, and its exit status."""

import logging
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial

from rgate.cli.config_file import load_config
from rgate.cli.descriptors import raise_limit, tell_room
from rgate.cli.listening import TakenError, addresses, listen_for, shown
from rgate.cli.running import is_ready, process_of, ready_text, reloaded, run, say_ready
from rgate.cli.signals import REPLACED, Signals
from rgate.cli.starter import Starter
from rgate.cli.stop import Stop
from rgate.cli.succession import Predecessor, Succession, predecessor
from rgate.cli.workers import supervise
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway
from rgate.core.succession import Listeners, shares
from rgate.telling.log import tell_on_stderr
from rgate.telling.process import Process
from rgate.telling.siblings import Alone
from rgate.telling.timeline import Timeline

log = logging.getLogger("rgate")


def serve(options: Namespace) -> int:
    """Run the gateway until a signal ends it. Returns the exit status."""
    # No thread in a process that forks workers.
    told = tell_on_stderr(options.log_level, options.log_format, threads=options.workers == 1)
    try:
        return _serve(options)
    except Stop as stop:
        log.error("%s", stop.message)
        return 1
    finally:
        told.close()


def _serve(options: Namespace) -> int:
    try:
        config = load_config(options.config, is_used=True)
    except ConfigErrors as errors:
        if options.log_format == "json":
            for error in errors.errors:
                log.error("%s", error)
        else:
            print(errors, file=sys.stderr)
        return 2
    descriptors = raise_limit()
    starter = Starter()
    replaced = _predecessor(options, starter)
    listeners = _listeners(options, starter, replaced)
    tell_room(config, options.workers, descriptors)
    succession = Succession([one for some in listeners for one in some], replaced, starter)
    if options.workers > 1:
        return supervise(options, config, listeners, succession)
    orders = Signals()
    process = process_of(options, listeners[0], Timeline(began=time.time()))
    owner = _Command(options, listeners[0], process, succession, partial(orders.tell, REPLACED))
    return run(options, config, listeners[0], orders, owner, Alone(), process)


def _predecessor(options: Namespace, starter: Starter) -> Predecessor | None:
    """Return the rgate whose place this one is to take; None: there is none. Raises Stop."""
    if not options.replace or not options.port:
        return None
    if starter.listeners:
        raise Stop("LISTEN_FDS passes listeners on, and --replace takes others; leave one of both out")
    return predecessor(addresses(options.host, options.port))


def _listeners(
    options: Namespace, starter: Starter, replaced: Predecessor | None
) -> list[list[socket.socket]]:
    """Return the listeners of each worker: those passed on, or taken over, or new ones. Raises Stop."""
    given = replaced.listeners if replaced is not None else starter.listeners
    if given:
        shared = shares(list(map(shown, given)), options.workers)
        for listener in given:
            # One flag for all who hold the socket: `dup` would have the rgate that still accepts there wait
            # for ever, for a client that this one has accepted.
            listener.setblocking(False)
        listeners = [[given[index].dup() for index in indexes] for indexes in shared]
        for one in given:
            one.close()
        return listeners
    try:
        return listen_for(options.host, options.port, options.workers)
    except TakenError as taken:
        if not options.replace:
            raise
        raise Stop(
            f"{taken.message}; it is no rgate of this user on just these addresses, "
            "or one that is not ready yet or ends, so it was not replaced"
        ) from taken


class _Command:
    """The `Owner` of the only process there is: whoever gave the command, at a terminal perhaps.

    *replaced* is called, in any thread, once another rgate has taken the place of this one.
    """

    def __init__(
        self,
        options: Namespace,
        listeners: Sequence[socket.socket],
        process: Process,
        succession: Succession,
        replaced: Callable[[], object],
    ) -> None:
        self._options = options
        self._listeners = listeners
        self._process = process
        self._succession = succession
        self._replaced = replaced

    @property
    def takes_over(self) -> bool:
        return self._succession.takes_over

    @property
    def is_successor(self) -> bool:
        return False

    def ready(self, gateway: Gateway) -> bool:
        """Print the addresses, and the table of routes."""
        try:
            self._succession.begin()
        except Stop as stop:
            log.error("%s", stop.message)
            return False
        self._succession.answer_beside(self._replaced)
        self._process.timeline.add(is_ready(self._process))
        say_ready(ready_text(self._options, self._listeners, gateway))
        return True

    def beat(self) -> None:
        """Note nothing: nobody is there to look after a single process."""

    def reload(self, config: Config) -> Config | None:
        return reloaded(self._options.config, self._process.timeline.add, config)

    def ending(self, _order: int) -> Listeners:
        return self._succession.end()
