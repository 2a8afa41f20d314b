"""Asks Docker once for all that rgate needs of it, and says what does not work (`doctor`, behaviour 9)."""

import contextlib
import time
from typing import Any

from rgate.core.doctor import DockerFacts
from rgate.discovery.daemon import Daemon, which_daemon
from rgate.discovery.docker_errors import FOREIGN, NOT_UNDERSTOOD, sentence_for, shown_host
from rgate.discovery.docker_source import CALL_TIMEOUT_S, DockerSource, make_client
from rgate.discovery.source import SourceError

_NAMED_OUTRIGHT = "DOCKER_HOST"


def check_up() -> DockerFacts:
    """Return how Docker answers now."""
    daemon = which_daemon()
    host = shown_host(daemon.host)
    is_far = daemon.said_by != _NAMED_OUTRIGHT and bool(daemon.published_host)
    context = f"{daemon.said_by} ({host})" if is_far else ""
    with contextlib.closing(DockerSource(daemon)) as source:
        before = time.time()
        try:
            version = source.ping()
        except SourceError as error:
            return DockerFacts(host, error=str(error), context=context)
        theirs = source.answered_at()
        ahead_s = None
        if theirs is not None:  # it is of any moment of the call, and tells whole seconds
            ahead_s = theirs - min(max(float(theirs), before - 1.0), time.time())
    return DockerFacts(host, version, "", _events_error(daemon, theirs), context, ahead_s)


def _events_error(daemon: Daemon, at: int | None) -> str:
    """Return why *daemon* tells no events; "" where it does. *at*: by its own clock."""
    now = at if at is not None else int(time.time())
    try:
        client: Any = make_client(daemon, CALL_TIMEOUT_S, "auto")
        with contextlib.closing(client):
            for _ in client.api.events(since=now, until=now, decode=True):
                pass
    except (*FOREIGN, *NOT_UNDERSTOOD) as error:
        return sentence_for(error, shown_host(daemon.host), CALL_TIMEOUT_S, daemon.said_by)
    return ""
