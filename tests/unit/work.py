"""Counts the work that a reader does, so that a test can bound it without a clock.

What is counted: *calls*, Python's and those into C, by `sys.setprofile`; *searched* bytes, which patterns and
methods of bytes looked at; and *copied* bytes. What is given to a reader is `Watched`, and so are its pieces;
the patterns of core/ are wrapped, as only they know how far they looked. Not seen is a pattern that goes back
and forth; what keeps them from that are possessive quantifiers.
"""

import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, NamedTuple, SupportsIndex

import pytest

from rgate.core import accept, content, fields, grammar, message, onward, ordinary, reading
from rgate.core.config import Limits

MODULES = (accept, content, fields, grammar, message, onward, ordinary, reading)


class Work(NamedTuple):
    """What was done."""

    calls: int = 0
    searched: int = 0
    copied: int = 0

    def __add__(self, other: Any) -> "Work":
        return Work(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def about_ms(self) -> float:
        """How long it takes where a call costs 60 ns, a searched byte 1 ns, and a copied one 0.05 ns."""
        return (60 * self.calls + self.searched + 0.05 * self.copied) / 1e6


class _Counter:
    calls = searched = copied = 0


_count = _Counter()


def _profile(frame: FrameType, event: str, arg: object) -> None:
    del frame, arg
    if event in ("call", "c_call"):
        _count.calls += 1


@contextmanager
def counted() -> Iterator[Callable[[], Work]]:
    """Count the work of the block; what is given tells of it."""
    before = Work(_count.calls, _count.searched, _count.copied)
    previous = sys.getprofile()
    gc.disable()  # who asked to be called by the collector would be counted too

    def done() -> Work:
        return Work(
            _count.calls - before.calls, _count.searched - before.searched, _count.copied - before.copied
        )

    sys.setprofile(_profile)
    try:
        yield done
    finally:
        sys.setprofile(previous)
        gc.enable()


class Watched(bytes):
    """Bytes that tell when they are searched and copied. Those made of them do, too."""

    __slots__ = ()

    def _copy(self, made: bytes) -> "Watched":
        _count.copied += len(made)
        return Watched(made)

    def _look(self, start: int, found: int) -> int:
        _count.searched += (found if found >= 0 else len(self)) - start
        return found

    def __getitem__(self, key: Any) -> Any:
        made = bytes.__getitem__(self, key)
        return self._copy(made) if isinstance(made, bytes) else made

    def __add__(self, other: Any) -> "Watched":
        return self._copy(bytes.__add__(self, other))

    def __radd__(self, other: bytes) -> "Watched":
        return self._copy(bytes.__add__(other, self))

    def __contains__(self, sought: Any) -> bool:
        return self._look(0, bytes.find(self, sought)) >= 0

    def find(self, sought: Any, start: Any = 0, end: Any = sys.maxsize) -> int:
        return self._look(start, bytes.find(self, sought, start, end))

    def index(self, sought: Any, start: Any = 0, end: Any = sys.maxsize) -> int:
        return self._look(start, bytes.index(self, sought, start, end))

    def partition(self, separator: Any) -> tuple[bytes, bytes, bytes]:
        before, between, behind = bytes.partition(self, separator)
        _count.searched += len(before)
        return self._copy(before), between, self._copy(behind)

    def split(self, separator: Any = None, most: SupportsIndex = -1) -> list[bytes]:
        _count.searched += len(self)
        _count.copied += len(self)
        return bytes.split(self, separator, most)

    def lower(self) -> bytes:
        return self._copy(bytes.lower(self))


class WatchedPattern:
    """A pattern that tells how far it looked; all the way, where it found nothing."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern

    def _told(self, found: re.Match[bytes] | None, string: bytes, start: int) -> re.Match[bytes] | None:
        _count.searched += (found.end() if found else len(string)) - start
        return found

    def match(self, string: bytes, start: int = 0) -> re.Match[bytes] | None:
        return self._told(self._pattern.match(string, start), string, start)

    def fullmatch(self, string: bytes) -> re.Match[bytes] | None:
        return self._told(self._pattern.fullmatch(string), string, 0)

    def search(self, string: bytes, start: int = 0, end: int = sys.maxsize) -> re.Match[bytes] | None:
        return self._told(self._pattern.search(string, start, end), string[:0] or string, start)

    def sub(self, replacement: bytes, string: bytes) -> bytes:
        _count.searched += len(string)
        _count.copied += len(string)
        return self._pattern.sub(replacement, string)


def _watched(value: Any) -> Any:
    """What takes the place of a pattern, or of a method of one."""
    if isinstance(value, re.Pattern):
        return WatchedPattern(value)
    owner = getattr(value, "__self__", None)
    if isinstance(owner, re.Pattern) and callable(value):
        return getattr(WatchedPattern(owner), value.__name__)
    return None


def _watch(module: ModuleType, patch: pytest.MonkeyPatch) -> None:
    for name, value in list(vars(module).items()):
        if (watched := _watched(value)) is not None:
            patch.setattr(module, name, watched)


def watch(patch: pytest.MonkeyPatch) -> reading.Reading:
    """Let the patterns of core/ count; return a Reading of such."""
    for module in MODULES:
        _watch(module, patch)
    made = reading.Reading(Limits(), upgrading=True)
    for name in ("strangers_lines", "proxied_lines", "response"):
        setattr(made, name, _watched(getattr(made, name)))
    return made
