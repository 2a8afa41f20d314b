"""How long rgate waits, and how much it keeps while it does: one table for all engines (behaviour 5 and 6).

What the configuration says (`timeouts`, `limits`) is not here. Seconds and bytes.
"""

from typing import Final

HEAD_S: Final = 10.0
"""For a request's whole head, from its first byte. nginx's client_header_timeout is 60 s, HAProxy advises 5
to 10.
"""

IDLE_S: Final = 60.0
"""A kept connection without a request, on either side. nginx keeps clients for 75 s; Node ends its own after
5.
"""

CONNECTS: Final = 3
"""All tries of a request together wait so many times `timeouts.connect` for a connection."""

LINGER_S: Final = 30.0
"""A client is read from behind its answer for so long, else a reset would overtake it (nginx's
lingering_time),
"""

LINGER_BETWEEN_S: Final = 5.0
"""and for so long without a byte (nginx's lingering_timeout)."""

LAST_LINGER_S: Final = 1.0
"""That while rgate ends."""

STAYS_OPEN_S: Final = 0.1
"""A new connection to a container that has not answered yet has to stay open for so long before what may not
be sent twice is sent: Docker accepts at a published port before the application listens, and closes then.
"""

REST_S: Final = 0.1
"""An upstream's connection whose last answer announced content that it may not have is not used for so long.
"""

MOST_RESTING: Final = 64
"""So many of an address rest at a time; further ones are closed."""

LAST_MOMENT_S: Final = 0.1
"""At the end, an idle client's connection is closed so much later: a request may be on its way."""

HANDSHAKE_S: Final = 0.005
"""So much longer a listener takes those whom the kernel has answered, once it lets nobody new in."""

SUCCEEDED_MOMENT_S: Final = 2.0
"""That where another rgate serves on already: nobody waits for the end of this one."""

REPLAYABLE_BYTES: Final = 65536
"""What is kept of a request's content to send it again after a failure; larger ones are sent once."""

MOST_AHEAD: Final = 65536
"""What is read of a client ahead of its present request; then it is not read from."""

MOST_POOLED: Final = 128
"""Idle connections to one address, where their number is bounded by nothing else."""

PIECE_BYTES: Final = 65536
"""What blocking code reads at once."""
