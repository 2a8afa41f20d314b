"""Asks Docker once for all that rgate needs of it, and says what does not work (`doctor`, behaviour 9)."""

import contextlib
import threading
import time
from dataclasses import replace
from typing import Any

from rgate.core.config import Source
from rgate.core.doctor import DockerFacts
from rgate.discovery.daemon import Daemon, daemon_of
from rgate.discovery.docker_client import CALL_TIMEOUT_S, make_client, not_refused
from rgate.discovery.docker_errors import (
    FOREIGN,
    NOT_UNDERSTOOD,
    OF_THE_CONFIGURATION,
    sentence_for,
    shown_host,
)
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError

_NAMED_OUTRIGHT = "DOCKER_HOST"


def check_up(source: Source, *, is_only: bool = True) -> DockerFacts:
    """Return how *source* answers now. *is_only*: it is the only one."""
    return replace(_checked(daemon_of(source)), source="" if is_only else source.name)


def _checked(daemon: Daemon) -> DockerFacts:
    host = shown_host(daemon.host)
    is_meant = daemon.said_by == _NAMED_OUTRIGHT or daemon.said_by.startswith(OF_THE_CONFIGURATION)
    is_far = not is_meant and bool(daemon.published_host)
    context = f"{daemon.said_by} ({host})" if is_far else ""
    with contextlib.closing(DockerSource(daemon)) as asked:
        before = time.time()
        try:
            version = asked.ping()
        except SourceError as error:
            return DockerFacts(host, error=str(error), context=context)
        theirs = asked.answered_at()
        ahead_s = None
        if theirs is not None:  # it is of any moment of the call, and tells whole seconds
            ahead_s = theirs - min(max(float(theirs), before - 1.0), time.time())
    return DockerFacts(host, version, "", _events_error(daemon, theirs), context, ahead_s)


def _events_error(daemon: Daemon, at: int | None) -> str:
    """Return why *daemon* tells no events; "" where it does, or does so without end, which is not waited for.

    *at*: by its own clock.
    """
    now = at if at is not None else int(time.time())
    has_begun, failed = threading.Event(), list[BaseException]()

    def ask() -> None:
        try:
            client: Any = make_client(daemon, CALL_TIMEOUT_S, "auto")
            with contextlib.closing(client):
                client.api.hooks = {"response": [not_refused]}
                events = client.api.events(since=now, until=now, decode=True)
                has_begun.set()
                for _ in events:
                    pass
        except (*FOREIGN, *NOT_UNDERSTOOD) as error:
            failed.append(error)

    # The SDK waits for events without end, and cannot be told otherwise.
    asking = threading.Thread(target=ask, name="rgate-doctor-events", daemon=True)
    asking.start()
    asking.join(CALL_TIMEOUT_S)
    if not failed and not has_begun.is_set():
        failed.append(TimeoutError())
    host = shown_host(daemon.host)
    return sentence_for(failed[0], host, CALL_TIMEOUT_S, daemon.said_by) if failed else ""
