"""Reads the files that people write: the I/O around core/config_file.py and core/case_file.py."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.config_file import parse_config

_MOST_BYTES: Final = 4 << 20


def load_config(path: str) -> Config:
    """Return the configuration in the file *path*. Raises ConfigErrors with all that is wrong."""
    remedy = "" if os.path.lexists(path) else "`rgate init` makes one, or "
    return parse_config(read_file(path, f"; {remedy}name another with --config"), path, lacking())


def lacking() -> Mapping[str, str]:
    """Return the keys that need what is not installed, and how it gets there."""
    try:
        is_there = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ImportError:  # not even what is above it
        is_there = False
    return (
        {} if is_there else {"tracing": "needs OpenTelemetry, which is not here: pip install 'rgate[otel]'"}
    )


def _not_waiting(path: str, flags: int) -> int:
    """Open the file *path*. A pipe that nobody writes to is empty: to wait for somebody would keep signals
    waiting.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def read_file(path: str, remedy: str = "") -> bytes:
    """Return what the file *path* holds. Raises ConfigErrors, with *remedy*, where it cannot be read."""
    try:
        with open(path, "rb", opener=_not_waiting) as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            message = f"has more than {_MOST_BYTES} bytes, which nobody writes{remedy}"
            raise ConfigErrors((ConfigError(path, 0, "", message),))
        return text
    except OSError as error:
        message = f"cannot be read: {error.strerror}{remedy}"
        raise ConfigErrors((ConfigError(path, 0, "", message),)) from error
