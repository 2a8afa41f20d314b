"""rgate: an HTTP gateway to Docker containers, found by their labels."""

__version__ = "0.1.0"
