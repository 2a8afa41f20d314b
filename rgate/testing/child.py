"""The gateway's process: the command, which is told to end when whoever started it is gone, however.

Standard input is a pipe that the parent holds and nobody writes to. When its last writer is gone, the kernel
sends a signal (fcntl(2), `F_SETSIG`). Unlike a thread that reads it, that leaves forking workers safe; unlike
`PR_SET_PDEATHSIG`, it does not take the end of the thread that started this for that of the process.
"""

import os
import select
import shutil
import signal
import sys
import tempfile

from rgate.cli.main import run


def end_with_parent() -> None:
    """Let SIGTERM come once nobody holds the other end of standard input. Only Linux can."""
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        pipe = select.poll()
        pipe.register(0, 0)  # POLLHUP alone
        if pipe.poll(0):
            sys.exit()  # it was gone before


def main(temporary: str) -> None:
    """Run the command line. Its sockets are in the directory *temporary*, which goes with it."""
    end_with_parent()
    tempfile.tempdir = temporary
    try:
        run()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
