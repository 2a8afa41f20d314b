"""What an engine tells of too little room: when it begins, and when it is over (behaviour 2.limits)."""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from rgate.core.reasons import Failure
from rgate.core.room import Spell

log = logging.getLogger("rgate")

_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_OVER: Final = {
    "limit": "no connection was closed for a new one any more",
    "full": "new connections are accepted again",
    "descriptors": "the system gives descriptors again",
    "threads": "the system gives threads again",
}
"""What comes and goes, and what is told when it is over."""


def is_lack(error: OSError) -> bool:
    """Whether *error* tells that this process, or its machine, has no descriptor or memory left."""
    return error.errno in _LACKS


def _lack_behind(error: BaseException) -> OSError | None:
    """Return the lack that *error* is due to, if any. A name that could not be looked up may be one: the
    resolver does not say that it got no descriptor.
    """
    if isinstance(error, socket.gaierror):
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as lack:
            error = lack
    return error if isinstance(error, OSError) and is_lack(error) else None


class Crowd:
    """What is noticed of too little room. Any thread may tell.

    *now* gives seconds; two threads that notice at once may both tell, which the log folds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spells = dict.fromkeys(_OVER, Spell())

    def makes_way(self, most: int) -> None:
        """Take it that a connection was closed for a new one, at a limit of *most*."""
        self._notice(
            "limit",
            "the limit on connections is reached: those idle longest are closed for new ones limit=%d",
            most,
        )

    def full(self, most: int) -> None:
        """Take it that no connection could be closed: all have a request under way."""
        self._notice(
            "full",
            "every connection has a request under way: no new one is accepted before that ends limit=%d",
            most,
        )

    def not_accepted(self, error: OSError) -> None:
        """Take it that no connection could be accepted, for *error*."""
        if is_lack(error):
            self.lacks(error)
        else:
            log.warning("accept failed error=%r", str(error))

    def lacks(self, error: OSError) -> None:
        """Take it that the system gave no descriptor."""
        self._notice(
            "descriptors",
            "the system gives no descriptor: raise the limit on open files, or lower limits.connections "
            "error=%r",
            error.strerror,
        )

    def threadless(self) -> None:
        """Take it that the system gave no thread for a request."""
        self._notice(
            "threads",
            "the system gives no more threads: raise the limit on processes, or lower limits.connections",
        )

    def refused(self, error: BaseException) -> Failure:
        """Return what a connection to a container that could not be made for *error* comes to."""
        lack = _lack_behind(error)
        if lack is None:
            return Failure.REFUSED
        self.lacks(lack)
        return Failure.OVERLOADED

    def look(self) -> None:
        """Tell what is over. To be called now and then."""
        now_s = self._now()
        for what, text in _OVER.items():
            if self._spells[what].is_over(now_s):
                self._spells[what] = Spell()
                log.info(text)

    def _notice(self, what: str, text: str, *arguments: object) -> None:
        """Tell *text* where *what* begins, and note that it goes on."""
        if not self._spells[what].is_on:
            log.warning(text, *arguments)
        self._spells[what] = self._spells[what].noticed(self._now())
