"""Asks Docker once for all that rgate needs of it, and says what does not work (`doctor`, behaviour 9)."""

import contextlib
import threading
import time
from dataclasses import replace

from rgate.core.config import Source
from rgate.core.doctor import DockerFacts
from rgate.discovery.daemon import Daemon, daemon_of
from rgate.discovery.docker_client import CALL_TIMEOUT_S, DockerClients, Messages
from rgate.discovery.docker_errors import OF_THE_CONFIGURATION, shown_host
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
    with contextlib.closing(DockerClients(daemon)) as docker:
        before = time.time()
        try:
            with docker.foreign_errors():
                version = docker.asked_version()
        except SourceError as error:
            return DockerFacts(host, error=str(error), context=context)
        theirs = docker.answered_at()
        ahead_s = None
        if theirs is not None:  # it is of any moment of the call, and tells whole seconds
            ahead_s = theirs - min(max(float(theirs), before - 1.0), time.time())
        return DockerFacts(host, version, "", _events_error(docker), context, ahead_s)


def _events_error(docker: DockerClients) -> str:
    """Return why *docker* tells no events; "" where it does. An end that never comes is not waited for."""
    now = docker.answered_at() or int(time.time())
    asked, failed = list[Messages](), list[str]()

    def ask() -> None:
        try:
            with docker.foreign_errors(CALL_TIMEOUT_S):
                asked.append(docker.messages({}, until=now))
                with contextlib.closing(asked[0]) as messages:
                    for _ in messages:
                        pass
        except SourceError as error:
            failed.append(str(error))

    # The SDK waits for events without end, and cannot be told otherwise.
    asking = threading.Thread(target=ask, name="rgate-doctor-events", daemon=True)
    asking.start()
    asking.join(CALL_TIMEOUT_S)
    if failed:
        return failed[0]
    has_begun = any(messages.has_begun for messages in asked)
    return "" if has_begun else docker.sentence_for(TimeoutError(), CALL_TIMEOUT_S)
