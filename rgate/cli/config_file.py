"""Reads the configuration's file: the I/O around core/config_file.py."""

from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.config_file import parse_config


def load_config(path: str) -> Config:
    """Return the configuration in the file *path*. Raises ConfigErrors with all that is wrong."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name another with --config"
        raise ConfigErrors((ConfigError(path, 0, "", message),)) from error
    return parse_config(text, path)
