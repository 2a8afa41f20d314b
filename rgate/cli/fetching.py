"""One GET, with an end: whoever answers, and whatever, it takes no longer in all than it may.

The time limit of a socket is for each read of its own: who sends a byte now and then, or interim responses
without end, would keep whoever asks for ever. Only the standard library is used, as `health` is run every few
seconds.
"""

import contextlib
import queue
import threading
from collections.abc import Mapping
from http.client import HTTPConnection


def fetch(
    connection: HTTPConnection, target: str, *, within_s: float, most_bytes: int, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Return the status that is answered on *connection* to GET *target*, and so much of the content.

    No proxy is asked, and no redirect followed. Raises OSError (TimeoutError where *within_s* is over),
    HTTPException for what is no HTTP, and ValueError for what can be no host's name.
    """
    outcome = queue.SimpleQueue[tuple[int, bytes] | Exception]()

    def ask() -> None:
        try:
            with contextlib.closing(connection):
                connection.request("GET", target, headers={**headers, "Connection": "close"})
                response = connection.getresponse()
                outcome.put((response.status, response.read(most_bytes)))
        except Exception as error:
            outcome.put(error)

    connection.timeout = within_s
    # A thread, as nothing else ends what sends on and on; it keeps no process from its end.
    threading.Thread(target=ask, name="rgate-fetch", daemon=True).start()
    try:
        found = outcome.get(timeout=within_s)
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(found, Exception):
        raise found
    return found
