"""The command `serve`: its options, and its exit status."""

import logging
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from rgate.cli.config_file import load_config
from rgate.cli.listening import listen
from rgate.cli.running import is_ready, process_of, ready_text, reloaded, run, say_ready
from rgate.cli.signals import Signals
from rgate.cli.stop import Stop
from rgate.cli.workers import supervise
from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors
from rgate.core.gateway import Gateway
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
        config = load_config(options.config)
    except ConfigErrors as errors:
        if options.log_format == "json":
            for error in errors.errors:
                log.error("%s", error)
        else:
            print(errors, file=sys.stderr)
        return 2
    if options.workers > 1:
        return supervise(options, config)
    orders, listeners = Signals(), listen(options.host, options.port)
    process = process_of(options, listeners, Timeline(began=time.time()))
    owner = _Command(options, listeners, process)
    return run(options, config, listeners, orders, owner, Alone(), process)


class _Command:
    """The `Owner` of the only process there is: whoever gave the command, at a terminal perhaps."""

    def __init__(self, options: Namespace, listeners: Sequence[socket.socket], process: Process) -> None:
        self._options = options
        self._listeners = listeners
        self._process = process

    def ready(self, gateway: Gateway) -> bool:
        """Print the addresses, and the table of routes."""
        self._process.timeline.add(is_ready(self._process))
        say_ready(ready_text(self._options, self._listeners, gateway))
        return True

    def beat(self) -> None:
        """Note nothing: nobody is there to look after a single process."""

    def reload(self, config: Config) -> Config | None:
        return reloaded(self._options.config, self._process.timeline.add, config)

    def ending(self) -> None:
        """Tell nobody."""
