"""What leaves rgate under `/_rgate/` and at `stats.path`: a model of each document (behaviour 7, 8 and 9).

docs/http-pages.md is made from these. Nothing is decided here: values are put into the shape that is
promised.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from rgate.core.config import AddressKind, Match, Policy, ResponseFormat
from rgate.core.explain import Ending, Level
from rgate.core.health import Status
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.reasons import LeftOut, Reason
from rgate.core.record import Record
from rgate.core.story import (
    By,
    Story,
    ToldCandidate,
    by_whom,
    client_of,
    is_target_cut,
    shown_host,
    shown_method,
    shown_target,
)
from rgate.core.timeline import Kind, TimelineEvent
from rgate.core.verdict import Standing

if TYPE_CHECKING:  # commands that show documents need no database
    from rgate.stats.series import RouteSeries, Series


class Document(BaseModel):
    """What all documents have in common: keys that are not set are left out."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)

    @classmethod
    def of(cls, value: object) -> Self:
        """Return the document that says what *value* does, whose attributes are called as its keys are."""
        return cls.model_validate(value)

    def as_json(self) -> object:
        """Return what is sent, of JSON's own types."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


# The figures, at `stats.path`.


class RequestsCount(Document):
    """How many requests there were. An error is a status over 499, or a response that broke off."""

    success: int
    error: int


class Latency(Document):
    """Milliseconds, with at most 3 decimals; 0 where nothing was counted."""

    average: int | float
    p95: int | float
    p99: int | float


class FiguresDocument(Document):
    """The numbers of all requests, or of a group of them."""

    requests_count: RequestsCount
    latency_ms: Latency


class GroupedFiguresDocument(RootModel[dict[str, FiguresDocument]]):
    """With `?by=`: the numbers of each group, by its name."""


# The figures over time.


def _ms(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


Percentile = Annotated[float | None, BeforeValidator(_ms)]


class FrameDocument(Document):
    """Which buckets a window has: oldest first, and the last is running."""

    now: float = Field(description="Unix seconds")
    window_s: int
    step_s: int = Field(description="how long a bucket is")
    start: int = Field(description="when the first bucket begins, in Unix seconds")


class BucketsDocument(Document):
    """The numbers of each bucket. Null: rgate did not run; of percentiles also that there was no request."""

    requests: list[int | None]
    errors: list[int | None]
    own: list[int | None] = Field(description="of the errors: answered by rgate itself")
    p50: list[Percentile]
    p95: list[Percentile]
    p99: list[Percentile]
    total: FiguresDocument = Field(description="of all buckets together")

    @classmethod
    def of_series(cls, series: "Series") -> Self:
        """Return that of *series*."""
        return cls.model_validate(_buckets(series))


class SeriesDocument(BucketsDocument, FrameDocument):
    """The figures over time."""

    before: BucketsDocument = Field(description="the same of the window before")

    @classmethod
    def of_series(cls, series: "Series") -> Self:
        """Return that of *series*, which has a window before."""
        assert series.before is not None  # noqa: S101 - for the types alone
        before = BucketsDocument.of_series(series.before)
        return cls.model_validate(_frame(series) | _buckets(series) | {"before": before})


class RouteSeriesDocument(Document):
    """The numbers of one route."""

    requests: list[int | None]
    errors: list[int | None]
    total: FiguresDocument


class SeriesByRouteDocument(FrameDocument):
    """The figures of each route over time."""

    names: dict[str, RouteSeriesDocument] = Field(
        description="by the route's name; the empty one is the default response"
    )

    @classmethod
    def of_series(cls, series: "Series", routes: "Mapping[str, RouteSeries]") -> Self:
        """Return that of *routes*, in the frame of *series*."""
        names = {
            name: {"requests": one.requests, "errors": one.errors, "total": one.total.as_json()}
            for name, one in routes.items()
        }
        return cls.model_validate(_frame(series) | {"names": names})


class BucketDocument(Document):
    """The numbers of one bucket, as in the figures over time."""

    at: int = Field(alias="t", description="when it begins, in Unix seconds")
    requests: int | None
    errors: int | None
    own: int | None
    p50: Percentile
    p95: Percentile
    p99: Percentile


def _frame(series: "Series") -> dict[str, object]:
    return {name: getattr(series, name) for name in FrameDocument.model_fields}


def _buckets(series: "Series") -> dict[str, object]:
    numbers = {name: getattr(series, name) for name in BucketsDocument.model_fields if name != "total"}
    return numbers | {"total": series.total.as_json()}


# Whether it is well.


class HealthDocument(Document):
    """It runs."""

    status: Literal["ok"]


class KnowledgeDocument(Document):
    """How fresh what is known of a source's containers is."""

    source: str
    docker: Connection
    since: float = Field(description="when that began, in Unix seconds")
    last_list_s: float | None = Field(description="the age of the last full list in seconds; null: none came")
    events: Events
    generation: int = Field(description="grows with each change of what is known")


class ReadyDocument(Document):
    """Whether every backend has a candidate, and more requests are wanted."""

    status: Status
    backends_without_candidates: list[str] = Field(
        default=[], description="their names, for those in `admin.allow`; left out where there is none"
    )
    knowledge: list[KnowledgeDocument] = Field(default=[], description="for those in `admin.allow`")


# The backends.


def _shown(address: object) -> str | None:
    return None if address is None else str(address)


class DockerDocument(Document):
    """The Docker that is asked."""

    connected: bool
    version: str
    error: str
    events: Events
    last_list: float | None = Field(description="when the last full list was made; null: there was none")
    last_event: float | None = Field(description="when the last event came; null: there was none")
    away_since: float | None = Field(description="null where it answers")

    @classmethod
    def of_knowledge(cls, known: Knowledge, now: float) -> Self:
        """Return that of what is *known* at the time *now*."""
        connected = known.docker is Connection.CONNECTED
        return cls(
            connected=connected,
            version=known.version,
            error=known.error,
            events=known.events,
            last_list=now - known.last_list_s if known.last_list_s is not None else None,
            last_event=known.last_event,
            away_since=None if connected else known.since,
        )


class SourceDocument(DockerDocument):
    """One of several sources."""

    name: str


class ConfigStateDocument(Document):
    """The configuration file."""

    path: str = Field(description="empty where the configuration comes from code")
    loaded: float | None = Field(description="when what is in force was read")
    error: str = Field(description="why the file was not taken since; empty: it was")


class GatewayDocument(Document):
    """The running rgate. What another server has to say, as under WSGI, is empty."""

    version: str
    listen: str
    engine: str
    workers: int
    started: float | None
    in_flight: int = Field(description="requests that a container is asked for now, of all workers")


class CandidateDocument(Document):
    """A container that may be asked, or a fixed address."""

    name: str
    address: Annotated[str, BeforeValidator(_shown)]


class MissingLabelDocument(Document):
    """A label that a backend wants, and what a container has in its place."""

    key: str
    found: str | None = Field(description="null: no label of the container is near")
    wanted: str


class LabelsDocument(Document):
    """How many of a backend's labels a container has."""

    has: int
    labels: int = Field(alias="of", description="how many there are")
    missing: list[MissingLabelDocument]


Says = Annotated[str, Field(description="how well it stands, in a word or two")]
RestingUntil = Annotated[float | None, Field(description="until when others are asked first, as it refused")]
InFlight = Annotated[int, Field(description="requests that it is asked for now, of all workers")]
InWindow = Annotated[int, Field(description="in the window; left out without `window`")]
P95 = Annotated[
    float | None, Field(description="milliseconds, in the window; null where nothing was counted in it")
]


class AddressDocument(Document):
    """A fixed address."""

    address: str
    level: Level
    says: Says
    resting_until: RestingUntil
    in_flight: InFlight
    requests: InWindow = 0
    errors: InWindow = 0
    p95: P95 = None


class ContainerDocument(Document):
    """A container as a backend sees it."""

    name: str
    id: str = Field(description="the first 12 characters")
    state: str = Field(description="Docker's word, such as running")
    health: str = Field(description="Docker's word; none without a health check")
    address: Annotated[str | None, BeforeValidator(_shown)]
    candidate: bool
    left_out: LeftOut | None = Field(description="why it is no candidate")
    detail: str = Field(description="that in a sentence; empty for a candidate")
    level: Level
    says: Says
    since: float | None = Field(description="when it came in, or went out for that reason")
    resting_until: RestingUntil
    labels: LabelsDocument
    in_flight: InFlight
    requests: InWindow = 0
    errors: InWindow = 0
    p95: P95 = None


class BackendDocument(Document):
    """A backend, and who may be asked for it."""

    candidates: list[CandidateDocument]
    reason: Reason | None = Field(description="why there is no candidate")
    detail: str = Field(description="that in a sentence; empty where there is one")
    containers: list[ContainerDocument] = Field(description="candidates, those left out, and near misses")
    urls: list[str] = Field(default=[], description="the fixed addresses; left out where there are none")
    addresses: list[AddressDocument] = Field(default=[], description="the same, with what is asked of them")
    match_labels: list[str] = Field(default=[], description="`key=value`; left out where addresses are fixed")
    policy: Policy
    routes: list[str]


class BackendsDocument(Document):
    """All backends, by name."""

    now: float
    missing_workers: int = Field(description="so many workers did not answer in time")
    generation: int = Field(description="grows with each change of what is known")
    knowledge: list[KnowledgeDocument]
    docker: DockerDocument = Field(
        description="of several sources the first that does not answer, or the first"
    )
    sources: list[SourceDocument] = Field(default=[], description="left out where there is one")
    config: ConfigStateDocument
    gateway: GatewayDocument
    backends: dict[str, BackendDocument]


# Is it well?


class FactDocument(Document):
    """One step of a decision, in a sentence. Names, paths and addresses in it stand between backticks."""

    level: Level
    about: str = Field(alias="is", description="what it is about, in a word or two")
    text: str
    at: float | None = Field(description="Unix seconds")


class ShowDocument(Document):
    """Which failures at `/_rgate/requests?failed=1` a finding is about; null: not told apart by that."""

    reason: str | None
    container: str | None
    backend: str | None


class FindingDocument(Document):
    """Something to know or do. Names, labels and addresses in it stand between backticks."""

    level: Level
    text: str
    do: str
    command: str = Field(description="to copy into a shell; empty for none")
    show: ShowDocument | None


class VerdictDocument(Document):
    """Whether all is well, of all workers; if not, why, and what to do."""

    level: Standing
    word: str = Field(description="the level, for people")
    window_s: int = Field(description="of what was counted")
    headline: str
    findings: list[FindingDocument]
    freshness: list[FactDocument] = Field(
        description="of Docker, its full list, its events and the configuration; `{ago}` is the age of `at`"
    )


# What happened.


class TimelineEventDocument(Document):
    """Something that happened. Names and addresses in it stand between backticks."""

    at: float = Field(description="when, the last time")
    kind: Kind
    level: Level
    backend: str = Field(description="empty where it is of none, or of several")
    text: str
    why: str
    times: int = Field(description="how often, where it happened again: it is told in one line")
    since: float = Field(description="when it happened first, of these times")

    @classmethod
    def of_event(cls, event: TimelineEvent) -> Self:
        """Return that of *event*."""
        return cls(
            at=event.at,
            kind=event.kind,
            level=event.level,
            backend=event.backend,
            text=event.text,
            why=event.told_why,
            times=event.times,
            since=event.first_at,
        )


class TimelineDocument(Document):
    """What discovery and rgate itself did, newest first."""

    now: float
    missing_workers: int = Field(description="so many workers did not answer in time")
    events: list[TimelineEventDocument]


# What open pages are told.


class TickDocument(Document):
    """What open pages are told each second."""

    now: float
    freshness: list[FactDocument] = Field(description="as in `/_rgate/verdict`")
    bucket: BucketDocument = Field(description="the running one")
    total: FiguresDocument = Field(description="of the window")

    @classmethod
    def of_series(cls, series: "Series", freshness: list[object]) -> Self:
        """Return that of *series*, whose last bucket is running."""
        names = BucketDocument.model_fields.keys() - {"at"}
        start = series.start + series.step_s * (len(series.requests) - 1)
        return cls.model_validate(
            {
                "now": series.now,
                "freshness": freshness,
                "bucket": {"t": start, **{name: getattr(series, name)[-1] for name in names}},
                "total": series.total.as_json(),
            }
        )


class MoreDocument(Document):
    """There were more failures, or events, in a second than are told one by one."""

    more: int = Field(description="how many")


class FullDocument(Document):
    """As many pages are open as are told of what happens: this one has to ask by itself."""

    most: int
    detail: str


# What becomes of a request.


class RouteDocument(Document):
    """A route, as the configuration has it."""

    path_prefix: str
    host: str = Field(description="empty for any")
    match: Match
    strip_prefix: bool
    backend: str


class ExplainedCandidateDocument(Document):
    """A container that might be asked, or a fixed address."""

    name: str
    address: str
    address_from: str = Field(description="how that was chosen, for people")
    source: str = Field(description="empty for fixed addresses")


class LeftOutDocument(Document):
    """A container that would not be asked, and why."""

    name: str
    reason: LeftOut
    detail: str


class NearMissDocument(Document):
    """A container that nearly carries a backend's labels."""

    name: str
    has: int = Field(description="how many of the labels it has")
    labels: int = Field(alias="of", description="how many there are")
    missing: list[MissingLabelDocument]
    detail: str


class ForwardedDocument(Document):
    """The head that a candidate would get. A request id that would be made is `<made>`."""

    method: str
    target: str
    fields: list[tuple[str, str]] = Field(description="names and values, in order")


class ExplanationDocument(Document):
    """What becomes of a request, and why. A byte that is no UTF-8 stands as a backslash, x and two digits."""

    method: str
    target: str
    host: str
    outcome: Ending
    status: int | None = Field(description="null where a container or a page of rgate's own decides")
    reason: Reason | None = Field(description="X-Rgate-Reason, where rgate itself would answer with one")
    detail: str = Field(description="that in a sentence, as those in `admin.allow` read it")
    route: RouteDocument | None
    shadowed: list[str] = Field(description="other routes that match too, best first")
    backend: str | None
    candidates: list[ExplainedCandidateDocument]
    left_out: list[LeftOutDocument]
    near_misses: list[NearMissDocument] = Field(description="best first")
    forwarded: ForwardedDocument | None = Field(description="null where no container would be asked")
    knowledge: list[KnowledgeDocument]
    facts: list[FactDocument] = Field(description="the same, step by step; the answer last")

    @property
    def is_yes(self) -> bool:
        """Whether a container would answer, or a page of rgate's own."""
        return self.outcome in (Ending.FORWARD, Ending.OWN)


# The configuration.


class ConfigRouteDocument(Document):
    """A route. `host` is left out where it is for any."""

    path_prefix: str
    backend: str
    match: Match
    strip_prefix: bool
    response_format: ResponseFormat
    host: str = ""


class DefaultResponseDocument(Document):
    """What a path gets that no route matches. A `body` that is an object is sent as JSON."""

    body: str | dict[str, Any]
    status_code: int


class TimeoutsDocument(Document):
    """Seconds."""

    connect: float
    response: float
    idle: float


class ConfigBackendDocument(Document):
    """A backend, with one of `match_labels` and `urls`; the other is left out.

    Labels are `key=value`, or an object where a key holds a `=`.
    """

    name: str
    match_labels: list[str] | dict[str, str] = []
    urls: list[str] = []
    port: int | None
    address: AddressKind
    policy: Policy
    timeouts: TimeoutsDocument


class StatsDocument(Document):
    """Where the figures are kept, and shown. `***` stands for a password."""

    database: str
    path: str


class AdminDocument(Document):
    """Who may use the pages under `/_rgate/`."""

    allow: list[str]
    hosts: list[str]


class LimitsDocument(Document):
    """Bounds of what clients and backends may send, and of open connections."""

    header_bytes: int
    header_fields: int
    body_bytes: int | None
    connections: int


class TracingDocument(Document):
    """Where spans go to, and of which share of the traces."""

    endpoint: str
    sample: float


class ConfigDocument(Document):
    """The configuration in force, without secrets, by the keys of its file and with all defaults."""

    routes: list[ConfigRouteDocument]
    backends: list[ConfigBackendDocument]
    default_response: DefaultResponseDocument
    trusted_proxies: list[str]
    stats: StatsDocument
    admin: AdminDocument
    limits: LimitsDocument
    tracing: TracingDocument | None


# The requests that have been.


class RequestDocument(Document):
    """A request that has been, in a line."""

    id: str = Field(description="X-Request-ID")
    at: float = Field(description="when its first byte came, in Unix seconds")
    method: str = Field(description="empty where what came was no request")
    target: str = Field(description="as it came")
    target_cut: bool = Field(description="whether it was longer than 2,048 bytes, and is cut")
    host: str = Field(description="of the target or of the Host field, as it came")
    status: int = Field(description="what the client got; 499: it went away first")
    reason: str | None = Field(description="as in X-Rgate-Reason; cut: the response broke off; null: neither")
    by: By = Field(description="who made the answer; client: nobody, as it went away")
    route: str = Field(description="empty without one")
    backend: str
    container: str = Field(description="the one that was asked last, or its fixed address")
    tries: int = Field(description="how many attempts there were")
    ms: float = Field(description="from the first byte of the request to the last of the response")
    bytes: int = Field(description="of the response's content")

    @classmethod
    def of_record(cls, record: Record, **more: object) -> Self:
        """Return that of *record*, with what subclasses tell *more*."""
        return cls.model_validate(
            {
                "id": record.request_id,
                "at": round(record.began_at_s, 6),
                "method": shown_method(record),
                "target": shown_target(record),
                "target_cut": is_target_cut(record),
                "host": shown_host(record),
                "status": record.status,
                "reason": record.reason_or_cut or None,
                "by": by_whom(record),
                "route": record.route,
                "backend": record.backend,
                "container": record.container,
                "tries": len(record.tries),
                "ms": round(record.latency_ns / 1e6, 3),
                "bytes": record.bytes_sent,
                **more,
            }
        )

    @property
    def ended_at(self) -> float:
        """When it ended, in Unix seconds."""
        return self.at + self.ms / 1000


class RequestsDocument(Document):
    """The last requests, newest first."""

    now: float = Field(description="Unix seconds")
    failed: bool = Field(description="whether only those that failed were asked for")
    missing_workers: int = Field(description="so many workers did not answer in time")
    requests: Sequence[RequestDocument]


class CandidateThenDocument(Document):
    """A container of the backend, as it was known when the request was served."""

    name: str
    address: str | None
    is_in: bool = Field(alias="in", description="whether it was a candidate")
    picked: int | None = Field(description="the number of its first attempt; null: it was not asked")
    why: str

    @classmethod
    def of_told(cls, told: ToldCandidate) -> Self:
        """Return that of *told*."""
        then = told.then
        return cls.model_validate(
            {
                "name": then.name,
                "address": then.address or None,
                "in": then.is_in,
                "picked": told.picked,
                "why": then.why,
            }
        )


class AttemptDocument(Document):
    """One attempt at one candidate."""

    number: int = Field(alias="n")
    container: str
    address: str
    reused: bool = Field(description="whether it went over a connection that was there")
    start_ms: float = Field(description="since the request's first byte")
    phases: list[tuple[str, float]] = Field(
        description="connect, wait (for the head of a response) and receive, with their milliseconds"
    )
    end: str = Field(description="response, cut, client_closed, stopped, a failure, or why rgate ended it")
    text: str


class StoryDocument(RequestDocument):
    """The story of one request."""

    client: str = Field(description="the TCP peer's address and port")
    generation: int = Field(
        description="the number of what it was served by, counted from rgate's start; 0: it came to no route"
    )
    docker_age_s: float | None = Field(
        description="how old the last full list of containers was; null: unknown"
    )
    told: str = Field(description="what happened")
    do: str = Field(description="what to do about it")
    command: str = Field(description="to copy into a shell; empty for none")
    candidates: list[CandidateThenDocument]
    attempts: list[AttemptDocument]
    facts: list[FactDocument] = Field(description="the answer and the client last")

    @classmethod
    def of_story(cls, story: Story) -> Self:
        """Return that of *story*."""
        record, age_s = story.record, story.docker_age_s
        return cls.of_record(
            record,
            client=client_of(record),
            generation=record.generation,
            docker_age_s=round(age_s, 1) if age_s is not None else None,
            told=story.told,
            do=story.do,
            command=story.command,
            candidates=[CandidateThenDocument.of_told(one) for one in story.candidates],
            attempts=[AttemptDocument.of(one) for one in story.attempts],
            facts=[FactDocument.of(one) for one in story.facts],
        )


class StoriesDocument(RequestsDocument):
    """The last requests, newest first, each with its story."""

    requests: Sequence[StoryDocument]


# What goes wrong.


class ProblemDocument(Document):
    """Why rgate answers itself (RFC 9457): `application/problem+json`, or a page for browsers."""

    type: str = Field(description="urn:rgate: and the reason")
    title: str
    status: int
    detail: str = Field(description="what happened, and what to do, in a sentence")
    reason: Reason = Field(description="as in X-Rgate-Reason")
    backend: str = Field(default="", description="left out where there is none")
    request_id: str
