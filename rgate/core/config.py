"""What `config.yml` may say: each key once, with its type, range and default, as frozen values.

`config_file.py` reads a file into them, and checks it by these types; whoever makes one in code is trusted.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Strict

from rgate.core.config_values import (
    Body,
    Database,
    DockerUrl,
    Endpoint,
    FileName,
    FurtherNames,
    Host,
    Labels,
    Name,
    NamesOfSources,
    Networks,
    OneHost,
    OrParts,
    Prefix,
    ResponseBody,
    Seconds,
    Share,
    SourceName,
    StatsPath,
    Urls,
    Whole,
    one_mapping,
    some_sources,
)
from rgate.core.knowledge import DEFAULT_SOURCE

_BODILESS: Final = (204, 205, 304)
_NO_ROUTE: Final = Body(b"No route matches this path.\n")


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
    """Paths that begin with *path_prefix*, asked of *host*, go to *backend*."""

    path_prefix: Prefix
    backend: Annotated[str, Strict()]
    match: Match = Match.PREFIX
    strip_prefix: Annotated[bool, Strict()] = False
    response_format: ResponseFormat = ResponseFormat.RAW
    host: Host = ""  # in lower case, perhaps after `*.`; "" for any

    @property
    def name(self) -> str:
        """What the route is called in figures, logs and pages: `shop.example/api`, or `/api`."""
        return self.host + self.path_prefix


@dataclass(frozen=True, slots=True)
class DefaultResponse:
    """What a path gets that no route matches."""

    body: ResponseBody = _NO_ROUTE
    status_code: Annotated[int, Whole(200, 599)] = 404


def _bodiless(response: DefaultResponse) -> DefaultResponse:
    """Return *response* without the default body where its status has none."""
    if response.status_code not in _BODILESS:
        return response
    if response.body.content and response.body is not _NO_ROUTE:
        status = response.status_code
        raise ValueError(f"a response {status} has no body: remove `body`, or use another status")
    return DefaultResponse(Body(b""), response.status_code)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: Seconds = 2.0
    response: Seconds = 30.0
    idle: Seconds = 60.0


@dataclass(frozen=True, slots=True)
class Backend:
    """Exactly one of *match_labels* and *urls* is not empty."""

    name: Name
    match_labels: Labels = ()
    urls: Urls = ()
    port: Annotated[int, Whole(1, 65535)] | None = None
    address: AddressKind = AddressKind.AUTO
    policy: Policy = Policy.RANDOM
    timeouts: Timeouts = Timeouts()
    sources: NamesOfSources = ()  # none: all


def _labels_or_urls(backend: Backend) -> Backend:
    if bool(backend.match_labels) == bool(backend.urls):
        raise ValueError("exactly one of `match_labels` and `urls` is required")
    if backend.urls and backend.sources:
        raise ValueError("`urls` are asked as they are, and are of no source: leave `sources` out")
    return backend


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for TLS with a daemon: who signed its certificate, and what rgate shows it itself."""

    ca: FileName
    cert: FileName = ""
    key: FileName = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who knows containers. Neither *docker* nor *swarm*: the Docker that the environment names.

    *address_host*: where its published ports are; "" for the host of its URL.
    """

    name: SourceName
    docker: DockerUrl = ""
    swarm: DockerUrl = ""
    tls: Tls | None = None
    address_host: OneHost = ""


def _docker_or_swarm(source: Source) -> Source:
    if bool(source.docker) == bool(source.swarm):
        raise ValueError("exactly one of `docker` and `swarm` is required")
    if source.tls is not None:
        if not (source.docker or source.swarm).startswith("tcp://"):
            raise ValueError("`tls` is for `tcp://` alone: leave it out")
        if bool(source.tls.cert) != bool(source.tls.key):
            raise ValueError("`tls.cert` and `tls.key` belong together: name both, or none")
    return source


ENVIRONMENT: Final = Source(DEFAULT_SOURCE)
"""The one source that is asked where none is configured."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Where the figures are kept, and shown."""

    database: Database = "sqlite:///rgate.db"
    path: StatsPath = "/stats"


@dataclass(frozen=True, slots=True)
class Admin:
    """Who may use the pages under `/_rgate/`."""

    allow: Networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    hosts: FurtherNames = ()  # in lower case


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients and backends may send, and of open connections."""

    header_bytes: Annotated[int, Whole(256, 16777216)] = 65536
    header_fields: Annotated[int, Whole(1, 100000)] = 100
    body_bytes: Annotated[int, Whole(0)] | None = None
    connections: Annotated[int, Whole(1, 1000000)] = 10000


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans go to, and of which share of the traces."""

    endpoint: Endpoint  # with its path
    sample: Share = 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # of all the values in it, too

    routes: tuple[Route, ...]
    backends: tuple[Annotated[Backend, AfterValidator(_labels_or_urls)], ...]
    default_response: Annotated[
        DefaultResponse, BeforeValidator(one_mapping), AfterValidator(_bodiless), OrParts()
    ] = DefaultResponse()
    trusted_proxies: Networks = ()
    stats: Stats = Stats()
    admin: Admin = Admin()
    limits: Limits = Limits()
    tracing: Tracing | None = None
    sources: Annotated[
        tuple[Annotated[Source, AfterValidator(_docker_or_swarm)], ...], AfterValidator(some_sources)
    ] = ()

    @property
    def asked_sources(self) -> tuple[Source, ...]:
        """Who is asked for containers, in the order of the file."""
        return self.sources or (ENVIRONMENT,)

    def sources_of(self, backend: Backend) -> tuple[str, ...]:
        """Return who is asked for the containers of *backend*, by name: nobody where its `urls` are fixed."""
        if not backend.match_labels:
            return ()
        return backend.sources or tuple(source.name for source in self.asked_sources)

    @property
    def needs_docker(self) -> bool:
        """Whether any backend is found by labels: fixed `urls` need no Docker."""
        return any(backend.match_labels for backend in self.backends)
