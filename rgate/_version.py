"""The version, in a file of its own: packaging reads it without importing what rgate stands on."""

__version__ = "0.1.0"
