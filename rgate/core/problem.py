"""rgate's own answers: status and title of each reason, as problem documents (RFC 9457) or pages."""

import html
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from rgate.core.accept import prefers_html
from rgate.core.config import DefaultResponse
from rgate.core.message import Fields
from rgate.core.reasons import Reason

NO_SERVICE_URLS: Final = "Backend available but no Service URLs discovered"
ALLOWED_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOWED_TO_READ: Final = b"GET, HEAD"
"""The methods of rgate's own pages."""

CLIENT_CLOSED_REQUEST: Final = 499
"""The status that is counted, and never sent, for a client that went away (nginx's number)."""

OWN_FIELDS: Final[Fields] = (
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept"),  # where an error may be a page or a document
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)
"""What all pages of rgate's own and its problems say. None is of CORS: no other site may read any of them."""

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


def body_too_large(most_bytes: int) -> Problem:
    """Return the problem of content over `limits.body_bytes`."""
    return Problem(Reason.BODY_TOO_LARGE, f"The body is larger than `limits.body_bytes`, {most_bytes} bytes.")


def problem_response(
    problem: Problem, *, request_id: str, accept: bytes = b"", insider: bool = False
) -> OwnResponse:
    """Return the answer that tells of *problem*: all of it to an *insider* (`admin.allow`).

    A page for a client whose *accept* prefers text/html, else application/problem+json.
    """
    reason, backend, detail = problem.reason, problem.backend, problem.detail_for(insider=insider)
    status, title = ANSWERS[reason]
    document = {
        "type": f"urn:rgate:{reason.value}",
        "title": title,
        "status": status,
        "detail": detail,
        "reason": reason.value,
        **({"backend": backend} if backend else {}),
        "request_id": request_id,
    }
    kind, body = _as_page(document) if prefers_html(accept) else _as_document(document)
    fields = [
        *kind,
        *OWN_FIELDS,
        (b"X-Rgate-Reason", reason.value.encode()),
        (b"X-Request-ID", request_id.encode()),
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append((b"Retry-After", b"1"))
    if reason is Reason.METHOD_NOT_ALLOWED:
        fields.append((b"Allow", ALLOWED_METHODS))
    return OwnResponse(status, tuple(fields), body, reason, reason in CLOSES_CONNECTION)


def page_problem(problem: Problem, *, request_id: str, accept: bytes = b"") -> OwnResponse:
    """Return the answer that tells of *problem* in place of a page of rgate's own, which are only read."""
    own = problem_response(problem, request_id=request_id, accept=accept)
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


_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 15vh auto 0; padding: 0 1rem;
  color-scheme: light dark }
h1 { font-size: 1.4rem } dt { color: gray } dd { margin: 0 0 .5rem; font-family: monospace }
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title}</title>
<style>{style}</style>
</head>
<body>
<h1>{status} {title}</h1>
<p>{detail}</p>
<dl>{facts}</dl>
<p><small>Answered by rgate.</small></p>
</body>
</html>
"""
# Nothing is loaded and nothing runs, whatever a detail may hold; only this very style is applied (CSP 3).
_PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
).encode()


def _as_document(document: Mapping[str, str | int]) -> tuple[Fields, bytes]:
    """Return the fields that say what it is, and the content."""
    fields = ((b"Content-Type", b"application/problem+json"),)
    return fields, json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _as_page(document: Mapping[str, str | int]) -> tuple[Fields, bytes]:
    """Return the same of a page."""
    shown = {key: html.escape(str(value)) for key, value in document.items()}
    facts = "".join(
        f"<dt>{key.replace('_', ' ')}</dt><dd>{shown[key]}</dd>"
        for key in ("reason", "backend", "request_id")
        if key in shown
    )
    content = _PAGE.format(
        status=shown["status"], title=shown["title"], detail=shown["detail"], facts=facts, style=_STYLE
    )
    fields = ((b"Content-Type", b"text/html; charset=utf-8"), (b"Content-Security-Policy", _PAGE_POLICY))
    return fields, content.encode()
