"""How a case says which clause it holds, and what an engine cannot carry."""

from enum import Enum

import pytest

CLAUSE = "clause"


class Capability(Enum):
    """Something that not every engine can carry. The value names it in the table below."""

    UPGRADES = "upgrades"
    INTERIM_RESPONSES = "interim responses"
    TRAILERS = "trailers"
    FULL_DUPLEX = "response before the end of the request"


LACKING: dict[str, dict[Capability, str]] = {
    "flask": {
        Capability.UPGRADES: "a WSGI application has no way to take over the connection",
    },
}
"""For each engine what it cannot carry, and why. Such a case must fail: one that passes is news."""


def clause(*sources: str, own_choice: str = "", needs: Capability | None = None) -> pytest.MarkDecorator:
    """Say that a case holds what *sources* demand: clauses of docs/behaviour.md by their ids, or RFCs.

    *own_choice*: why rgate does this where the RFCs leave it open, so that others may differ.
    *needs*: the capability without which an engine must fail the case.
    """
    return pytest.mark.clause(*sources, own_choice=own_choice, needs=needs)
