"""What selection hands to the exchange: where a backend's requests may go, and why not elsewhere."""

from dataclasses import dataclass

from rgate.core.near_misses import NearMiss
from rgate.core.reasons import LeftOut, Reason


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect: an IP address or host name, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, with IPv6 addresses in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One upstream that may be tried. Equal candidates share what is known of their failures.

    *revision* grows with each change that Docker reports of the container, so that a restarted
    container is a new candidate: earlier failures no longer count against it.
    """

    name: str  # the container's name; `host:port` for fixed `urls`
    container_id: str  # "" for fixed `urls`
    address: Address
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container as a backend sees it, for people: candidate or not, and why not."""

    name: str
    container_id: str
    state: str  # Docker's word, such as "running"
    health: str  # Docker's word; "none" without a health check
    address: Address | None
    left_out: LeftOut | None  # None: it is a candidate
    detail: str  # one sentence a person can act on; "" for nearly all candidates
    address_from: str = ""  # how the address was chosen, for people; "" without one
    is_service: bool = False  # it is a Swarm's service, behind which Swarm balances
    is_task: bool = False  # it is of a task of such a service, which Docker calls otherwise


@dataclass(frozen=True, slots=True)
class BackendView:
    """All that is known of one backend at one moment. Immutable: swapped whole.

    Exactly one of *candidates* and *reason* is set.
    """

    name: str
    candidates: tuple[Candidate, ...]
    reason: Reason | None = None  # one of the first four, where there is no candidate
    detail: str = ""  # why, in one sentence a person can act on
    containers: tuple[ContainerView, ...] = ()  # candidates, left out, and near misses
    near_misses: tuple[NearMiss, ...] = ()  # best first
    stale: str = ""  # a sentence, where what is known may not be so any more; "" where it is fresh
