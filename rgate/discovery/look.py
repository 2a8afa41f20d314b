"""One look at a source, for who does not follow it."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rgate.core.containers import Container, Details
from rgate.core.known import Known
from rgate.core.watching import INSPECTS
from rgate.discovery.source import ContainerSource, SourceError


def containers_of(source: ContainerSource) -> tuple[Container, ...]:
    """Return all containers, those that run inspected, as far as they can be. Raises SourceError."""
    known = Known(wants=lambda _: True)
    known.listed(source.containers(), asked_s=0.0, now_s=0.0)
    asked = tuple(known.due(0.0, most=_ALL, of_lists=_ALL, that_failed=_ALL))
    with ThreadPoolExecutor(INSPECTS) as threads:
        for identity, found in zip(asked, threads.map(partial(_inspected, source), asked), strict=True):
            if isinstance(found, SourceError):
                known.failed(identity, str(found), 0.0)
            else:
                known.inspected(identity, found, 0.0)
    return known.containers


_ALL = 1_000_000


def _inspected(source: ContainerSource, container_id: str) -> Details | SourceError | None:
    try:
        return source.container(container_id)
    except SourceError as error:
        return error
