"""Connections that met themselves, and no server: TCP's simultaneous open (RFC 9293 3.5)."""


def is_itself(here: object, there: object) -> bool:
    """Whether a connection has its own address, *here*, at its other end too; None: it is not known.

    Nobody listens there, then: of the ports that it gives, the system gave it the very one that it asked for
    (those that Docker publishes are among them). It would read its own request as the response.
    """
    return here is not None and here == there
