"""Tests of what stands behind a gateway: the pytest plugin, and what it raises (behaviour 11).

docs/testing.md tells how to use it.
"""

__all__ = ["ConfigError", "GatewayError", "NotReady"]


class GatewayError(Exception):
    """A gateway of a test did not start, has ended, or does not tell what it is asked. `str` says why."""


class ConfigError(GatewayError):
    """The configuration is wrong. `str` is what `rgate check` says: a line an error."""


class NotReady(GatewayError):
    """What was waited for did not come. `str` says what is there in its place."""
