"""`check`: whether a configuration is right, without starting anything."""

import sys
from argparse import Namespace
from typing import Final

from rgate.cli.config_file import load_config
from rgate.cli.streams import writable
from rgate.core.config_errors import ConfigErrors, cut
from rgate.core.config_warnings import warnings
from rgate.core.escape import in_one_line

_LONGEST_WARNING: Final = 1000


def check(options: Namespace) -> int:
    """Print what is wrong or doubtful. Returns the exit status: 0, or 2 where there are errors."""
    try:
        config = load_config(options.config, is_used=True)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    output = writable(sys.stdout)
    for warning in warnings(config):
        print(in_one_line(cut(f"{options.config}: warning: {warning}", _LONGEST_WARNING)), file=output)
    told = f"{options.config}: ok: {len(config.routes)} routes, {len(config.backends)} backends"
    print(in_one_line(told), file=output)
    return 0
