"""Stands in for a uvloop that is not installed, where this directory is first in PYTHONPATH."""

raise ImportError("not installed, for a test")
