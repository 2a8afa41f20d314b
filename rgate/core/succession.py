"""How one rgate takes the place of another, by messages between both (behaviour 8).

    new: LISTENERS ─▶  ◀─ HERE, and the descriptors        the new one looks at Docker meanwhile, on them
    new: LEAVE     ─▶  ◀─ LEAVING                          it accepts already
    new: GO        ─▶                                      the old one ends, as at SIGTERM

Until GO the old one goes on whatever happens, and behind it the new one does: where a message is lost, both
serve, and never nobody. A message is one packet.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

PROTOCOL: Final = 1
"""It grows where a message means something else; who speaks another is not talked to."""

LONGEST: Final = 4096
"""In bytes; what is longer is no message of ours."""

DESCRIPTORS: Final = 250
"""So many go with one packet; the kernel takes 253 (SCM_MAX_FD)."""

MOST_LISTENERS: Final = 65536
"""More than any rgate has: it has at most 256 workers, and an address is no more than a host's."""


class Listeners(Enum):
    """What becomes of the listeners of a process that accepts no more."""

    CLOSED = "closed"  # nobody else holds them
    HELD = "held"  # who started this rgate does, or the next one may, and accepts there one day
    SUCCEEDED = "succeeded"  # another rgate accepts on them


class What(Enum):
    """What a message says. The value is what is sent."""

    LISTENERS = "listeners"  # give yours
    HERE = "here"  # so many follow, in packets of their own
    LEAVE = "leave"  # are you there still, to be told to?
    LEAVING = "leaving"  # tell me
    GO = "go"


@dataclass(frozen=True, slots=True)
class Message:
    """One of them. *number*: of listeners, with HERE."""

    what: What
    number: int = 0


def packet(message: Message) -> bytes:
    """Return *message* as it is sent."""
    told = {"rgate": PROTOCOL, "what": message.what.value, "number": message.number}
    return json.dumps(told).encode("ascii")


def message_of(data: bytes) -> Message:
    """Return what was sent. Raises ValueError with half a sentence, such as `ended in the middle`."""
    if not data:
        raise ValueError("ended in the middle")
    try:
        told = json.loads(data)
        protocol = told["rgate"]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("said what no rgate says") from None
    if protocol != PROTOCOL:
        raise ValueError(
            "is of another version, which hands over in another way; stop it, and start this one"
        )
    try:
        message = Message(What(told["what"]), told["number"])
    except (ValueError, TypeError, LookupError):
        raise ValueError("said what no rgate says") from None
    if type(message.number) is not int or not 0 <= message.number <= MOST_LISTENERS:
        raise ValueError("said what no rgate says")
    return message


def packets_for(number: int) -> list[range]:
    """Return which of *number* descriptors go with each packet."""
    return [range(first, min(first + DESCRIPTORS, number)) for first in range(0, number, DESCRIPTORS)]


def why_not_these(asked: Sequence[str], got: Sequence[str | None]) -> str | None:
    """Return why listeners that listen at *got* are not those for the addresses *asked*; None where they are.

    None among *got* is no listener on TCP at all. Each may stand several times: one a worker.
    """
    if None in got:
        return "gave what is no listener on TCP"
    given = {address for address in got if address is not None}
    if given != set(asked):
        return f"listens on {', '.join(sorted(given)) or 'nothing'} and not on {', '.join(asked)}"
    return None


def shares(addresses: Sequence[str], workers: int) -> list[list[int]]:
    """Return which of the listeners at *addresses* each worker accepts from, by their indexes.

    All are accepted from, as a connection may wait in each. Every worker has one of each address at least:
    where there are fewer, several have the same.
    """
    of_address: dict[str, list[int]] = {}
    for index, address in enumerate(addresses):
        of_address.setdefault(address, []).append(index)
    return [
        [
            index
            for indexes in of_address.values()
            for index in (indexes[worker::workers] or [indexes[worker % len(indexes)]])
        ]
        for worker in range(workers)
    ]
