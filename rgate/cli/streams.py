"""Standard output and error: what they cannot encode, or take. Nothing heavy is imported for them."""

import io
import sys
from typing import Any, TextIO


def writable(stream: TextIO) -> TextIO:
    """Return *stream*, which takes any text from now on, whatever it can encode."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class _Losing(io.FileIO):
    """Takes whatever is written: what cannot be told to a full disk, or to nobody, is lost."""

    def write(self, data: Any, /) -> int:
        """Return how much of *data* need not be written again."""
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def let_stderr_lose() -> None:
    """Let no message that is lost change the exit status, which tells the same."""
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:  # else whoever runs this has another there
        file = io.BufferedWriter(_Losing(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(file, sys.stderr.encoding, "backslashreplace", line_buffering=True)
