"""The command `serve`: its options, and its exit status."""

import logging
import sys
from argparse import Namespace
from functools import partial

from rgate.cli.config_file import load_config
from rgate.cli.listening import listen
from rgate.cli.running import reloaded, run, tell_ready
from rgate.cli.signals import Signals
from rgate.cli.stop import Stop
from rgate.cli.workers import supervise
from rgate.core.config_errors import ConfigErrors
from rgate.telling.siblings import Alone


def serve(options: Namespace) -> int:
    """Run the gateway until a signal ends it. Returns the exit status."""
    _log_to_stderr(options.log_level)
    try:
        config = load_config(options.config)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    try:
        if options.workers > 1:
            return supervise(options, config)
        orders, listeners = Signals(), listen(options.host, options.port)
        reload = partial(reloaded, options.config)
        return run(options, config, listeners, orders, tell_ready, reload, Alone())
    except Stop as stop:
        print(f"rgate: {stop.message}", file=sys.stderr)
        return 1


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("rgate: %(message)s"))
    logger = logging.getLogger("rgate")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
