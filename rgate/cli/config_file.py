"""Reads the files that people write: the I/O around core/config_file.py and core/case_file.py."""

from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.config_file import parse_config


def load_config(path: str) -> Config:
    """Return the configuration in the file *path*. Raises ConfigErrors with all that is wrong."""
    return parse_config(read_file(path, "; name another with --config"), path)


def read_file(path: str, remedy: str = "") -> bytes:
    """Return what the file *path* holds. Raises ConfigErrors, with *remedy*, where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        message = f"cannot be read: {error.strerror}{remedy}"
        raise ConfigErrors((ConfigError(path, 0, "", message),)) from error
