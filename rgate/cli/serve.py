"""The command `serve`: its options, and its exit status."""

import logging
import sys
import time
from argparse import Namespace
from functools import partial

from rgate.cli.config_file import load_config
from rgate.cli.listening import listen
from rgate.cli.running import process_of, reloaded, run, tell_ready
from rgate.cli.signals import Signals
from rgate.cli.stop import Stop
from rgate.cli.workers import supervise
from rgate.core.config_errors import ConfigErrors
from rgate.telling.log import tell_on_stderr
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
    timeline = Timeline(began=time.time())
    process = process_of(options, listeners, timeline)
    tell = partial(tell_ready, options, process)
    reload = partial(reloaded, options.config, timeline.add)
    return run(options, config, listeners, orders, tell, reload, Alone(), process)
