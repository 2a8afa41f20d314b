"""What a supervisor hands to its workers."""

import hashlib
import mmap
import struct
from typing import Final

from rgate.cli.config_file import MOST_BYTES

_DIGEST_BYTES: Final = 16
_HEAD: Final = struct.Struct(f">I{_DIGEST_BYTES}s")


class Handed:
    """The text of the configuration, as its supervisor hands it to workers: the file may be another for each
    that reads it. It is in memory that they share, of which only what is written takes room.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + MOST_BYTES)

    def put(self, text: bytes) -> None:
        """Hand over *text*. To be told to the workers behind this."""
        self._memory[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, 0, len(text), _digest(text))

    def take(self) -> bytes | None:
        """Return what was handed over last; None where another is being put, of which one is told next."""
        size, digest = _HEAD.unpack_from(self._memory, 0)
        text = self._memory[_HEAD.size : _HEAD.size + size]
        return text if _digest(text) == digest else None


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
