"""A system that gives no thread."""

import threading

THREADLESS = """
import pathlib, threading
start = threading.Thread.start
def few(thread):
    if pathlib.Path("threadless").exists():
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = few
"""
"""The `sitecustomize` of a gateway that gets no more threads once `threadless` is in its directory."""


def gives_none(_thread: threading.Thread) -> None:
    """Stand for `threading.Thread.start` where the system refuses one."""
    raise RuntimeError("can't start new thread")
