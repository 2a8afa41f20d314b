"""Reads the files that people write: the I/O around core/config_file.py and core/case_file.py."""

import errno
import os
import select
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.config_file import parse_config

MOST_BYTES: Final = 4 << 20
"""Of a configuration, or a file of cases."""

_WITHIN_S: Final = 1.0
"""What is no plain file may have a writer that says nothing: a signal would be heeded only behind it."""


def load_config(path: str, *, is_used: bool = False) -> Config:
    """Return the configuration in the file *path*. Raises ConfigErrors with all that is wrong.

    *is_used*: on this machine, so that the certificates that it names have to be there.
    """
    return config_of(config_text(path), path, is_used=is_used)


def config_text(path: str) -> bytes:
    """Return what the configuration's file *path* holds. Raises ConfigErrors where it cannot be read."""
    remedy = "" if os.path.lexists(path) else "`rgate init` makes one, or "
    return read_file(path, f"; {remedy}name another with --config")


def config_of(text: bytes, path: str, *, is_used: bool = False) -> Config:
    """Return the configuration that is *text*, of the file *path*; see `load_config`. Raises ConfigErrors."""
    return parse_config(text, path, lacking(), unreadable if is_used else lambda _: "")


def unreadable(path: str) -> str:
    """Return why the file *path* cannot be read; "" where it can."""
    try:
        _read(path, 1)
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


def read_file(path: str, remedy: str = "") -> bytes:
    """Return what the file *path* holds. Raises ConfigErrors, with *remedy*, where it cannot be read."""
    try:
        text = _read(path, MOST_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}{remedy}"
        raise ConfigErrors((ConfigError(path, 0, "", message),)) from error
    if len(text) > MOST_BYTES:
        message = f"has more than {MOST_BYTES} bytes, which nobody writes{remedy}"
        raise ConfigErrors((ConfigError(path, 0, "", message),))
    return text


def _read(path: str, most: int) -> bytes:
    """Return what the file *path* holds, and *most* bytes of it. A pipe that nobody writes to is empty.

    Raises OSError, also where its end does not come within `_WITHIN_S`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        until_s = time.monotonic() + _WITHIN_S
        text = b""
        while piece := _next_piece(descriptor, most - len(text), until_s):
            text += piece
        return text
    finally:
        os.close(descriptor)


def _next_piece(descriptor: int, most: int, until_s: float) -> bytes:
    """Return what comes next; nothing at the end. Raises OSError."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        try:
            return os.read(descriptor, most)
        except BlockingIOError as error:
            if not poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
                why = f"its end did not come within {_WITHIN_S:g} s: write it to a file"
                raise TimeoutError(errno.ETIMEDOUT, why) from error
