"""Whether anybody listens any more."""

import socket


def refuses(port: int) -> bool:
    """Whether a client of *port* is refused, or not told for now, as who comes at the very end."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.1).close()
    except OSError:
        return True
    return False
