"""rgate: an HTTP gateway to Docker containers, found by their labels."""

from rgate._version import __version__

__all__ = ["__version__"]
