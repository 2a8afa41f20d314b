"""`health`: whether an rgate answers, for images without a shell or a client (behaviour 8).

Whoever restarts it asks every few seconds: so nothing is imported here but the standard library.
"""

import sys
from argparse import Namespace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from rgate.cli.fetching import fetch

_WITHIN_S: Final = 5.0
_PATH: Final = "/_rgate/healthz"


def health(options: Namespace) -> int:
    """Ask `healthz`, and print a line. Returns the exit status: 0 if it says 200, else 1."""
    shown = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{shown}:{options.port}{_PATH}"
    try:
        connection = HTTPConnection(options.host, options.port)
        status, _ = fetch(connection, _PATH, within_s=_WITHIN_S, most_bytes=0, headers={})
    except (OSError, HTTPException, ValueError) as error:  # ValueError: it can be no host's name
        why = " ".join(f"{getattr(error, 'strerror', None) or error}".split()) or type(error).__name__
        print(f"rgate: {url} does not answer: {why}; see that it runs there", file=sys.stderr)
        return 1
    if status != HTTPStatus.OK:
        print(f"rgate: {url} answers {status}; see that it is rgate that runs there", file=sys.stderr)
        return 1
    print(f"{url}: ok")
    return 0
