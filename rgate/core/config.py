"""What `config.yml` may say, as frozen values. How it is read: `config_file.py`."""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network


class Match(Enum):
    """How a route's prefix is compared."""

    PREFIX = "prefix"
    SEGMENT = "segment"


class ResponseFormat(Enum):
    """What a client gets of a backend's response."""

    RAW = "raw"
    ENVELOPE = "envelope"


class AddressKind(Enum):
    """Which of a container's addresses is used."""

    AUTO = "auto"
    PUBLISHED = "published"
    CONTAINER = "container"


class Policy(Enum):
    """Who is picked among several candidates."""

    RANDOM = "random"
    ROUND_ROBIN = "round_robin"
    LEAST_INFLIGHT = "least_inflight"


@dataclass(frozen=True, slots=True)
class Route:
    """Paths that begin with *path_prefix* go to *backend*."""

    path_prefix: str
    backend: str
    match: Match = Match.PREFIX
    strip_prefix: bool = False
    response_format: ResponseFormat = ResponseFormat.RAW


@dataclass(frozen=True, slots=True)
class DefaultResponse:
    """Body already encoded: text/plain; charset=utf-8 or application/json."""

    body: bytes = b"No route matches this path.\n"
    content_type: str = "text/plain; charset=utf-8"
    status_code: int = 404


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 2.0
    response: float = 30.0
    idle: float = 60.0


@dataclass(frozen=True, slots=True)
class Backend:
    """Exactly one of *match_labels* and *urls* is not empty."""

    name: str
    match_labels: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    port: int | None = None
    address: AddressKind = AddressKind.AUTO
    policy: Policy = Policy.RANDOM
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Stats:
    """Where the figures are kept, and shown."""

    database: str = "sqlite:///rgate.db"
    path: str = "/stats"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients and backends may send, and of open connections."""

    header_bytes: int = 65536
    header_fields: int = 100
    body_bytes: int | None = None
    connections: int = 10000


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked."""

    routes: tuple[Route, ...]
    backends: tuple[Backend, ...]
    default_response: DefaultResponse = field(default_factory=DefaultResponse)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    stats: Stats = field(default_factory=Stats)
    admin_allow: tuple[IPv4Network | IPv6Network, ...] = (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
    )
    limits: Limits = field(default_factory=Limits)
