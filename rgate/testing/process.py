"""Starts and ends the gateway of a test: the real command, on a free port (behaviour 11)."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rgate.testing import GatewayError

__tracebackhide__ = True

_READY_WITHIN_S: Final = 60.0  # the first look at Docker alone may take 15
_ENDS_WITHIN_S: Final = 15.0
_MOST_TOLD: Final = 20
_ROOT: Final = str(Path(__file__).parents[2])
# This rgate, wherever the tests found it. Their own directories do not go with it: pytest puts them first,
# and a `queue.py` there would take the place of the library's.
_START: Final = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    "from rgate.testing.child import main; main(sys.argv.pop(1))"
)
_SERVE: Final = ("serve", "--port", "0")
_URL: Final = re.compile(rb'^\S.*?(http://[^\s,;"]+).*\n', re.MULTILINE)


class GatewayProcess:
    """A running `rgate serve` with these *options*, ready to be asked at `url`. *directory* has what it says.

    It is in a process group of its own: a Ctrl-C in the terminal is for who runs the tests, who then ends it.
    Raises GatewayError where it does not come to be ready.
    """

    def __init__(self, directory: Path, options: Sequence[str]) -> None:
        self._errors = directory / "stderr.txt"
        # Paths of sockets are short, those of tests are not.
        self._temporary = tempfile.mkdtemp(prefix="rgate-")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, no shell, and options of the test
                [sys.executable, "-P", "-c", _START, _ROOT, self._temporary, *_SERVE, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # Whoever starts the tests and waits to be told by it, waits for them and not for rgate.
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
                process_group=0,
            )
        try:
            self.url = self._wait_until_ready()
        except BaseException:  # Ctrl-C too
            self.kill()
            raise

    def _wait_until_ready(self) -> str:
        """Return the address that it prints."""
        assert self._process.stdout is not None  # noqa: S101 - for the types alone
        output, printed = self._process.stdout.fileno(), b""
        readable = select.poll()  # `select` knows no descriptor over 1,023
        readable.register(output, select.POLLIN)
        until_s = time.monotonic() + _READY_WITHIN_S
        while (found := _URL.search(printed)) is None:
            left_s = max(0.0, until_s - time.monotonic())
            if not readable.poll(left_s * 1000):
                raise GatewayError(f"rgate was not ready within {_READY_WITHIN_S:g} s{self._last_words()}")
            if not (piece := os.read(output, 65536)):
                self._process.wait()
                raise GatewayError(self.ended or "")
            printed += piece
        return found[1].decode()

    @property
    def ended(self) -> str | None:
        """How it ended, and what it said last; None: it runs."""
        status = self._process.poll()
        if status is None:
            return None
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"rgate {how}{self._last_words()}"

    def _last_words(self) -> str:
        """Return the end of what it said on standard error, behind a colon."""
        said = self._errors.read_text(errors="backslashreplace").splitlines()[-_MOST_TOLD:]
        return ":\n" + "\n".join(said) if said else ", and said nothing"

    def reload(self) -> None:
        """Let it read its configuration again."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it as its drain says, and wait for that; kill it if it takes too long. Twice is once."""
        self._process.terminate()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """End it and its workers at once, as a power cut would."""
        if self._process.poll() is None:  # else the group may be somebody else's by now
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            pipe.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
