"""rgate: an HTTP gateway to Docker containers, found by their labels."""

from typing import TYPE_CHECKING

from rgate._version import __version__

if TYPE_CHECKING:
    from flask import Flask

    from rgate.core.config import Config

__all__ = ["__version__", "create_app"]


def create_app(config: "Config | str" = "config.yml") -> "Flask":
    """Return the gateway as a WSGI application, for any WSGI server.

    *config* is a configuration, or the path of one. It looks at Docker in threads of its own, and
    counts into the configured database. Raises `ConfigErrors` and `StatsError`.
    """
    # Imported here, as importing rgate must not cost what only an application needs.
    from rgate.cli.wiring import create_app as wired_app

    return wired_app(config)
