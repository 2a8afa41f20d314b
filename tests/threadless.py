"""A system that gives no thread."""

import threading


def gives_none(_thread: threading.Thread) -> None:
    """Stand for `threading.Thread.start` where the system refuses one."""
    raise RuntimeError("can't start new thread")
