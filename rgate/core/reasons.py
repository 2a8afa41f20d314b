"""The names of everything that rgate refuses, and of what can go wrong with an upstream.

One vocabulary for the log, `X-Rgate-Reason`, `/_rgate/backends`, the docs and the tests.
"""

from enum import Enum


class Reason(Enum):
    """Why rgate answered by itself. The value is what users read in `X-Rgate-Reason`."""

    # No container could be asked: 503, all with one title.
    NO_CONTAINER = "no_container"
    UNHEALTHY = "unhealthy"
    NO_ADDRESS = "no_address"
    DOCKER_UNAVAILABLE = "docker_unavailable"
    # A container was asked.
    CONNECT_FAILED = "connect_failed"
    CLOSED_EARLY = "closed_early"
    BAD_RESPONSE = "bad_response"
    TIMEOUT = "timeout"
    # rgate itself lacks what a connection to a container needs.
    OVERLOADED = "overloaded"
    # The client is at fault.
    BAD_REQUEST = "bad_request"
    PATH_NOT_NORMALIZED = "path_not_normalized"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    URI_TOO_LONG = "uri_too_long"
    FIELDS_TOO_LARGE = "fields_too_large"
    VERSION_NOT_SUPPORTED = "version_not_supported"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BAD_QUERY = "bad_query"
    # What the engine in use cannot carry.
    NOT_IMPLEMENTED = "not_implemented"
    # Not an answer: the client went away before it could get one (counted as 499).
    CLIENT_CLOSED = "client_closed"
    # Nor this: rgate ended before the response did, and cut it.
    STOPPED = "stopped"
    # A defect of rgate's own.
    INTERNAL_ERROR = "internal_error"


class Failure(Enum):
    """What went wrong with one attempt at one upstream, before any byte of its response went on."""

    REFUSED = "refused"  # refused, unreachable, or not accepted in `connect` seconds
    STALE = "stale"  # a pooled connection turned out closed before one byte of a response
    NOISE = "noise"  # what came on a pooled connection first was not meant for this request
    CLOSED_EARLY = "closed_early"  # a new connection, closed without one byte of a response
    BAD_RESPONSE = "bad_response"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"  # no fault of its: rgate itself had no descriptor or memory for a connection
    UNREAD = "unread"  # it took nothing of the request for `idle` seconds


class LeftOut(Enum):
    """Why a container that runs under the right labels is no candidate, or one that nearly is."""

    LABELS = "labels"  # it lacks some of the labels: a near miss
    NOT_RUNNING = "not_running"  # created, exited, paused, restarting, dead, removing
    STOPPING = "stopping"  # Docker has sent its stop signal
    UNHEALTHY = "unhealthy"
    NOT_INSPECTED = "not_inspected"  # Docker does not tell all that is to be known of it
    STARTING = "starting"  # a healthy one is there, so it is not used yet
    NO_ADDRESS = "no_address"
