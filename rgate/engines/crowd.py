"""What an engine tells of too little room: when it begins, and when it is over (behaviour 2.limits)."""

import errno
import logging
import time
from collections.abc import Callable
from typing import Final

from rgate.core.reasons import Failure
from rgate.core.room import Spell

log = logging.getLogger("rgate")

_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def is_lack(error: OSError) -> bool:
    """Whether *error* tells that this process, or its machine, has no descriptor or memory left."""
    return error.errno in _LACKS


class Crowd:
    """What is noticed of too little room. Any thread may tell.

    *now* gives seconds; two threads that notice at once may both tell, which the log folds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._at_limit = self._full = self._lacking = self._threadless = Spell()

    def makes_way(self, most: int) -> None:
        """Take it that a connection was closed for a new one, at a limit of *most*."""
        if not self._at_limit.is_on:
            log.warning(
                "the limit on connections is reached: those idle longest are closed for new ones limit=%d",
                most,
            )
        self._at_limit = self._at_limit.noticed(self._now())

    def full(self, most: int) -> None:
        """Take it that no connection could be closed: all have a request under way."""
        if not self._full.is_on:
            log.warning(
                "every connection has a request under way: no new one is accepted before that ends limit=%d",
                most,
            )
        self._full = self._full.noticed(self._now())

    def not_accepted(self, error: OSError) -> None:
        """Take it that no connection could be accepted, for *error*."""
        if is_lack(error):
            self.lacks(error)
        else:
            log.warning("accept failed error=%r", str(error))

    def lacks(self, error: OSError) -> None:
        """Take it that the system gave no descriptor."""
        if not self._lacking.is_on:
            log.warning(
                "the system gives no descriptor: raise the limit on open files, or lower limits.connections "
                "error=%r",
                error.strerror,
            )
        self._lacking = self._lacking.noticed(self._now())

    def threadless(self) -> None:
        """Take it that the system gave no thread for a request."""
        if not self._threadless.is_on:
            log.warning(
                "the system gives no more threads: raise the limit on processes, or lower limits.connections"
            )
        self._threadless = self._threadless.noticed(self._now())

    def refused(self, error: BaseException) -> Failure:
        """Return what a connection to a container that could not be made for *error* comes to."""
        if not isinstance(error, OSError) or not is_lack(error):
            return Failure.REFUSED
        self.lacks(error)
        return Failure.OVERLOADED

    def look(self) -> None:
        """Tell what is over. To be called now and then."""
        now_s = self._now()
        if self._at_limit.is_over(now_s):
            self._at_limit = Spell()
            log.info("no connection was closed for a new one any more")
        if self._full.is_over(now_s):
            self._full = Spell()
            log.info("new connections are accepted again")
        if self._lacking.is_over(now_s):
            self._lacking = Spell()
            log.info("the system gives descriptors again")
        if self._threadless.is_over(now_s):
            self._threadless = Spell()
            log.info("the system gives threads again")
