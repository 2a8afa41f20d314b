"""rgate's own answers: status and title of each reason, as problem documents (RFC 9457) or pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from rgate.core.accept import prefers_html
from rgate.core.config import DefaultResponse
from rgate.core.escape import json_in_one_line
from rgate.core.message import Fields
from rgate.core.reasons import Reason

NO_SERVICE_URLS: Final = "Backend available but no Service URLs discovered"
ALLOWED_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOWED_TO_READ: Final = b"GET, HEAD"
"""The methods of rgate's own pages."""

CLIENT_CLOSED_REQUEST: Final = 499
"""The status that is counted, and never sent, for a client that went away (nginx's number)."""

PAGE_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of what is rgate's own: nothing inline, nothing of anybody else's (CSP 3)."""

OWN_FIELDS: Final[Fields] = (
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept"),  # where an error may be a page or a document
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Content-Security-Policy", PAGE_POLICY),
)
"""What all pages of rgate's own and its problems say. None is of CORS: no other site may read any of them."""

PAGE_FIELDS: Final[Fields] = ((b"Content-Type", b"text/html; charset=utf-8"),)

# Behaviour 6: the status and title of each reason.
ANSWERS: Final[Mapping[Reason, tuple[int, str]]] = MappingProxyType(
    {
        Reason.NO_CONTAINER: (503, NO_SERVICE_URLS),
        Reason.UNHEALTHY: (503, NO_SERVICE_URLS),
        Reason.NO_ADDRESS: (503, NO_SERVICE_URLS),
        Reason.DOCKER_UNAVAILABLE: (503, NO_SERVICE_URLS),
        Reason.CONNECT_FAILED: (503, "No container accepted a connection"),
        Reason.CLOSED_EARLY: (503, "The container closed the connection without a response"),
        Reason.BAD_RESPONSE: (502, "The container's response is not valid HTTP"),
        Reason.TIMEOUT: (504, "The container did not respond in time"),
        Reason.OVERLOADED: (503, "The gateway itself has no room left"),
        Reason.BAD_REQUEST: (400, "Bad request"),
        Reason.PATH_NOT_NORMALIZED: (400, "Path not normalized"),
        Reason.REQUEST_TIMEOUT: (408, "Request timeout"),
        Reason.BODY_TOO_LARGE: (413, "Body too large"),
        Reason.URI_TOO_LONG: (414, "URI too long"),
        Reason.FIELDS_TOO_LARGE: (431, "Fields too large"),
        Reason.VERSION_NOT_SUPPORTED: (505, "HTTP version not supported"),
        Reason.METHOD_NOT_ALLOWED: (405, "Method not allowed"),
        Reason.FORBIDDEN: (403, "Forbidden"),
        Reason.NOT_FOUND: (404, "Not found"),
        Reason.BAD_QUERY: (400, "Bad query"),
        Reason.NOT_IMPLEMENTED: (501, "Not implemented"),
        Reason.CLIENT_CLOSED: (CLIENT_CLOSED_REQUEST, "Client closed request"),
        Reason.INTERNAL_ERROR: (500, "Internal error"),
    }
)

# What strangers read where the detail names containers, their addresses or labels (behaviour 6).
_FOR_STRANGERS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NO_CONTAINER: "No running container has the labels that this backend asks for.",
        Reason.UNHEALTHY: "All containers of this backend fail their health check.",
        Reason.NO_ADDRESS: "No container of this backend has an address that can be used.",
        Reason.DOCKER_UNAVAILABLE: "The gateway cannot see which containers run.",
        Reason.CONNECT_FAILED: "No container of this backend accepted a connection.",
        Reason.CLOSED_EARLY: "The container accepted the connection and closed it without a response.",
        Reason.BAD_RESPONSE: "The container sent what is no HTTP response, or whose framing is in doubt.",
        Reason.TIMEOUT: "The container did not respond in time.",
    }
)

# The framing of these is in doubt, or their rest is not wanted: nothing behind them is read.
CLOSES_CONNECTION: Final = frozenset(
    {
        Reason.BAD_REQUEST,
        Reason.REQUEST_TIMEOUT,
        Reason.BODY_TOO_LARGE,
        Reason.URI_TOO_LONG,
        Reason.FIELDS_TOO_LARGE,
        Reason.VERSION_NOT_SUPPORTED,
        Reason.INTERNAL_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why rgate answers by itself. *detail*: one sentence a person can act on; it may name what is not for
    all.
    """

    reason: Reason
    detail: str
    backend: str = ""

    def detail_for(self, *, insider: bool) -> str:
        """Return the detail; without names and addresses of containers, and labels, for no *insider*."""
        return self.detail if insider else _FOR_STRANGERS.get(self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class OwnResponse:
    """A whole response of rgate's own. *fields* are without framing and Date, which engines add."""

    status: int
    fields: Fields
    body: bytes
    reason: Reason | None = None
    closes: bool = False  # the connection ends behind it


@dataclass(frozen=True, slots=True)
class OwnStream:
    """A response of rgate's own that goes on as long as there is something to tell (behaviour 10.live).

    *fields* as of an `OwnResponse`. *window_s*: which figures are told of, in seconds. *is_allowed*: whether
    who asked still may read it, as a reload may change that.
    """

    fields: Fields
    window_s: int
    is_allowed: Callable[[], bool] = field(default=lambda: True, compare=False)


def body_too_large(most_bytes: int) -> Problem:
    """Return the problem of content over `limits.body_bytes`."""
    return Problem(Reason.BODY_TOO_LARGE, f"The body is larger than `limits.body_bytes`, {most_bytes} bytes.")


@dataclass(frozen=True, slots=True)
class ToldProblem:
    """A problem, as it is told to one client. *insider*: as one who may know of containers."""

    reason: Reason
    detail: str
    backend: str  # "" without one
    request_id: str
    insider: bool

    @property
    def status(self) -> int:
        """The status of the answer."""
        return ANSWERS[self.reason][0]

    @property
    def title(self) -> str:
        """What happened, in some words."""
        return ANSWERS[self.reason][1]


PageOf = Callable[[ToldProblem], bytes]
"""What makes a page of a problem, in HTML (`PAGE_FIELDS`)."""


def problem_response(
    problem: Problem,
    *,
    request_id: str,
    accept: bytes = b"",
    insider: bool = False,
    page: PageOf | None = None,
) -> OwnResponse:
    """Return the answer that tells of *problem*: all of it to an *insider* (`admin.allow`).

    It is the *page* of it for a client whose *accept* prefers text/html, else application/problem+json.
    """
    reason, detail = problem.reason, problem.detail_for(insider=insider)
    told = ToldProblem(reason, detail, problem.backend, request_id, insider)
    if page is not None and prefers_html(accept):
        kind, body = PAGE_FIELDS, page(told)
    else:
        kind, body = ((b"Content-Type", b"application/problem+json"),), _document(told)
    fields = [
        *kind,
        *OWN_FIELDS,
        (b"X-Rgate-Reason", reason.value.encode()),
        (b"X-Request-ID", request_id.encode()),
    ]
    if told.status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append((b"Retry-After", b"1"))
    if reason is Reason.METHOD_NOT_ALLOWED:
        fields.append((b"Allow", ALLOWED_METHODS))
    return OwnResponse(told.status, tuple(fields), body, reason, reason in CLOSES_CONNECTION)


def _document(told: ToldProblem) -> bytes:
    document = {
        "type": f"urn:rgate:{told.reason.value}",
        "title": told.title,
        "status": told.status,
        "detail": told.detail,
        "reason": told.reason.value,
        **({"backend": told.backend} if told.backend else {}),
        "request_id": told.request_id,
    }
    return json_in_one_line(document).encode() + b"\n"


def page_problem(problem: Problem, *, request_id: str, accept: bytes, page: PageOf) -> OwnResponse:
    """Return the answer that tells of *problem* in place of a page of rgate's own, which are only read."""
    own = problem_response(problem, request_id=request_id, accept=accept, page=page)
    if problem.reason is not Reason.METHOD_NOT_ALLOWED:
        return own
    fields = tuple((name, ALLOWED_TO_READ if name == b"Allow" else value) for name, value in own.fields)
    return replace(own, fields=fields)


def default_response(configured: DefaultResponse, *, request_id: str) -> OwnResponse:
    """Return the configured answer for a path that no route matches."""
    fields = (
        (b"Content-Type", configured.body.media_type.encode()),
        (b"X-Request-ID", request_id.encode()),
    )
    return OwnResponse(configured.status_code, fields, configured.body.content)
