"""Which containers a backend's requests may go to, and a sentence for each other one (behaviour 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from rgate.core.address import HostView, Located, NoAddress, address_of
from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.config import Backend
from rgate.core.containers import Container, Health, State
from rgate.core.labels import Labelled
from rgate.core.near_misses import NearMiss, Owners, near_misses
from rgate.core.reasons import LeftOut, Reason

_HINTS: Final = 3
"""So many near misses stand in the sentence that says why a backend has no candidate."""

_BALANCES: Final = "policy, retries and figures know one container; publish its port in `mode: host` for more"

_REMEDIES: Final = {
    State.PAUSED: "unpause it",
    State.RESTARTING: "it ends again and again, and `docker logs {name}` shows why",
    State.REMOVING: "start another",
    State.DEAD: "remove it, and start another",
}


def views_of(
    backends: Iterable[Backend], containers: Iterable[Container], host: HostView, *, stale: str = ""
) -> dict[str, BackendView]:
    """Return the view of each backend, by its name: what it may use of all *containers*, and why not the
    rest. *stale*: see `BackendView`.
    """
    labelled, every = Labelled(containers), tuple(backends)
    by_labels = [backend for backend in every if backend.match_labels]
    owners = Owners((backend.match_labels for backend in by_labels), labelled)
    views = {backend.name: _fixed(backend) for backend in every}
    for backend in by_labels:
        found = [
            _Found.of(labelled.containers[number], backend, host, labelled.by_id)
            for number in labelled.having_all(backend.match_labels)
        ]
        found = _services_or_tasks(found)
        found.sort(key=lambda one: (one.container.name, one.container.id))
        near = near_misses(backend.match_labels, labelled, owners)
        views[backend.name] = replace(_view_of(backend, found, near), stale=stale)
    return views


def view_of(backend: Backend, containers: Iterable[Container], host: HostView) -> BackendView:
    """Return the view of *backend* alone: no container is another backend's."""
    return views_of((backend,), containers, host)[backend.name]


def unavailable_view(backend: Backend, error: str) -> BackendView:
    """Return the view where Docker has not answered since the start. *error*: why, and what to do."""
    if backend.urls:
        return _fixed(backend)
    detail = f"Docker has not answered since rgate started{error and ': '}{error}; rgate keeps trying."
    return BackendView(backend.name, (), Reason.DOCKER_UNAVAILABLE, detail)


def _fixed(backend: Backend) -> BackendView:
    candidates = []
    for url in backend.urls:
        parts = urlsplit(url)
        address = Address(parts.hostname or "", parts.port or 80)
        candidates.append(Candidate(str(address), "", address))
    return BackendView(backend.name, tuple(dict.fromkeys(candidates)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A container that has a backend's labels. *detail*: why it is *left_out*."""

    container: Container
    located: Located | None
    left_out: LeftOut | None
    detail: str

    @classmethod
    def of(
        cls, container: Container, backend: Backend, host: HostView, by_id: Mapping[str, Container]
    ) -> "_Found":
        left_out, detail = _left_out(container)
        if left_out is not None and left_out is not LeftOut.STARTING:
            return cls(container, None, left_out, detail)
        located = address_of(container, backend, host, by_id)
        if isinstance(located, NoAddress):
            return cls(container, None, LeftOut.NO_ADDRESS, f"{container.name} runs, but {located.detail}")
        if container.is_service:
            detail = f"{container.name} is a service: Swarm picks the task, and {_BALANCES}"
        return cls(container, located, left_out, detail)

    def candidate(self) -> Candidate:
        assert self.located is not None  # noqa: S101 - for the types alone
        container = self.container
        return Candidate(container.name, container.id, self.located.address, container.revision)

    def view(self) -> ContainerView:
        located = self.located
        return ContainerView(
            self.container.name,
            self.container.id,
            self.container.state.value,
            self.container.health.value,
            located.address if located is not None else None,
            self.left_out,
            self.detail,
            located.how if located is not None else "",
            self.container.is_service,
        )


def _services_or_tasks(found: Sequence[_Found]) -> list[_Found]:
    """Return *found* with each Swarm's service as its tasks or, where none of them has an address of its own,
    as one: then Swarm balances between them.
    """
    located = {one.container.service for one in found if one.located and not one.container.is_service}
    ones = {one.container.id for one in found if one.located and one.container.is_service} - located

    def is_kept(one: _Found) -> bool:
        if one.container.is_service:
            return one.container.id in ones
        return one.container.service not in ones or one.left_out is not LeftOut.NO_ADDRESS

    return list(filter(is_kept, found))


def _view_of(
    backend: Backend, found: Sequence[_Found], near: Sequence[tuple[Container, NearMiss]]
) -> BackendView:
    used = [one for one in found if one.left_out is None]
    if not used:  # those that start are used, as nothing better is there
        used = [one for one in found if one.left_out is LeftOut.STARTING]
        found = [replace(one, left_out=None, detail="") if one in used else one for one in found]
    others = [_Found(container, None, LeftOut.LABELS, miss.detail) for container, miss in near]
    reason, detail = (None, "") if used else _why_none(backend, [*found, *others])
    return BackendView(
        backend.name,
        tuple(one.candidate() for one in used),
        reason,
        detail,
        tuple(one.view() for one in (*found, *others)),
        tuple(miss for _, miss in near),
    )


def _left_out(container: Container) -> tuple[LeftOut | None, str]:
    """Return why *container* is no candidate, but for its address; None where it may be one."""
    name = container.name
    if container.state is not State.RUNNING:
        remedy = _REMEDIES.get(container.state, "start it").format(name=name)
        if container.service:
            remedy = f"`docker service ps {name.rpartition('.')[0]}` shows why"
        return LeftOut.NOT_RUNNING, f"{name} is {container.state.value}: {remedy}"
    if container.stopping:
        return LeftOut.STOPPING, f"{name} is being stopped"
    if container.not_inspected and not container.was_inspected:
        return LeftOut.NOT_INSPECTED, f"{name} cannot be inspected: {container.not_inspected}"
    if container.health is Health.UNHEALTHY:
        return LeftOut.UNHEALTHY, f"{name} is unhealthy: `docker inspect {name}` shows its last checks"
    if container.health is Health.STARTING:
        return LeftOut.STARTING, f"{name} is starting, and others are healthy"
    if container.not_inspected:
        return None, f"{name} is as it was last known, as it cannot be inspected: {container.not_inspected}"
    return None, ""


def _why_none(backend: Backend, found: Sequence[_Found]) -> tuple[Reason, str]:
    """Return the most actionable reason why there is no candidate, and its sentence."""
    for left_out, reason in ((LeftOut.NO_ADDRESS, Reason.NO_ADDRESS), (LeftOut.UNHEALTHY, Reason.UNHEALTHY)):
        details = [one.detail for one in found if one.left_out is left_out]
        if details:
            return reason, "; ".join(details) + "."
    wanted = ", ".join(f"{key}={value}" for key, value in backend.match_labels)
    silent = [one.detail for one in found if one.left_out is LeftOut.NOT_INSPECTED]
    if silent:
        told = "; ".join(silent[:_HINTS])
        return Reason.NO_CONTAINER, f"No container with the labels {wanted} can be used: {told}."
    sentence = f"No running container has the labels {wanted}"
    near = [one for one in found if one.left_out is LeftOut.LABELS]
    hints = (
        [one for one in found if one.left_out in (LeftOut.NOT_RUNNING, LeftOut.STOPPING)]
        or [one for one in near if one.container.state is State.RUNNING]
        or near
    )
    told = "; ".join(one.detail for one in hints[:_HINTS])
    return Reason.NO_CONTAINER, sentence + (": " + told if told else "") + "."
