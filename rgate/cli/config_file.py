"""Reads the files that people write: the I/O around core/config_file.py and core/case_file.py."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.config_file import parse_config

_MOST_BYTES: Final = 4 << 20


def load_config(path: str, *, is_used: bool = False) -> Config:
    """Return the configuration in the file *path*. Raises ConfigErrors with all that is wrong.

    *is_used*: on this machine, so that the certificates that it names have to be there.
    """
    remedy = "" if os.path.lexists(path) else "`rgate init` makes one, or "
    text = read_file(path, f"; {remedy}name another with --config")
    return parse_config(text, path, lacking(), unreadable if is_used else lambda _: "")


def unreadable(path: str) -> str:
    """Return why the file *path* cannot be read; "" where it can."""
    try:
        with open(path, "rb", opener=_not_waiting) as file:
            file.read(1)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "no file can be called so"
    return ""


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
