"""Which containers a backend's requests may go to, and a sentence for each other one (behaviour 4)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from rgate.core.address import Located, NoAddress, address_of
from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.config import Backend
from rgate.core.containers import Container, Health, State
from rgate.core.labels import Label, Labelled
from rgate.core.near_misses import NearMiss, Owners, near_misses
from rgate.core.reasons import LeftOut, Reason
from rgate.core.seen import One, Seen, Sight, asked_of, called, called_by_docker, union, why_old, why_unknown

_HINTS: Final = 3
"""So many near misses stand in the sentence that says why a backend has no candidate."""

_BALANCES: Final = "policy, retries and figures know one container; publish its port in `mode: host` for more"

_REMEDIES: Final = {
    State.PAUSED: "unpause it",
    State.RESTARTING: "it ends again and again, and `docker logs {name}`{where} shows why",
    State.REMOVING: "start another",
    State.DEAD: "remove it, and start another",
}


def views_of(backends: Iterable[Backend], sources: Sequence[Seen]) -> dict[str, BackendView]:
    """Return the view of each backend, by its name: what it may use of all that *sources* show, and why not
    the rest.
    """
    every = tuple(backends)
    views = {backend.name: _fixed(backend) for backend in every}
    by_sources = defaultdict(list)
    for backend in every:
        if backend.match_labels:
            by_sources[backend.sources].append(backend)
    is_named = len(sources) > 1
    wanted = [backend.match_labels for backend in every if backend.match_labels]
    for names, some in by_sources.items():
        views |= _views_by_labels(some, asked_of(sources, names), wanted, is_named=is_named)
        if names:
            others = [seen for seen in sources if seen.source not in names]
            views |= {one.name: _with_elsewhere(views[one.name], one, others) for one in some}
    return views


def _with_elsewhere(view: BackendView, backend: Backend, others: Sequence[Seen]) -> BackendView:
    """Return *view*, where it has no candidate, with who would be one if *backend* asked *others* too."""
    wanted = set(backend.match_labels)
    names = [
        called(seen.source, one.name)
        for seen in (() if view.candidates else others)
        for one in seen.containers or ()
        if one.state is State.RUNNING and wanted <= one.labels.items()
    ]
    if not names:
        return view
    told = f"{sorted(names)[0]} has them, and is of a source that `sources` of this backend leaves out."
    return replace(view, detail=f"{view.detail} {told}")


def view_of(backend: Backend, sources: Sequence[Seen]) -> BackendView:
    """Return the view of *backend* alone: no container is another backend's."""
    return views_of((backend,), sources)[backend.name]


def _views_by_labels(
    backends: Iterable[Backend],
    sources: Sequence[Seen],
    wanted: Iterable[tuple[Label, ...]],
    *,
    is_named: bool,
) -> dict[str, BackendView]:
    """Return the views of *backends* that ask all *sources*. *wanted*: what these and others want."""
    every = {one.container.id: one for one in union(sources, is_named=is_named)}
    labelled = Labelled(one.container for one in every.values())
    owners = Owners(wanted, labelled)
    unknown = " ".join(why_unknown(seen, is_named=is_named) for seen in sources if seen.containers is None)
    is_known = any(seen.containers is not None for seen in sources)
    stale = why_old(sources, is_named=is_named) if is_known else ""
    views = {}
    for backend in backends:
        numbers = labelled.having_all(backend.match_labels)
        found = [_Found.of(every[labelled.containers[number].id], backend) for number in numbers]
        found = _services_or_tasks(found)
        found.sort(key=lambda one: (one.container.name, one.container.id))
        near = near_misses(backend.match_labels, labelled, owners)
        view = replace(_view_of(backend, found, near), stale=stale)
        views[backend.name] = _with_unknown(view, unknown, is_known=is_known)
    return views


def _with_unknown(view: BackendView, unknown: str, *, is_known: bool) -> BackendView:
    """Return *view*, where it has no candidate, with what is *unknown* as the reason.

    *is_known*: some source told of its containers: there may be something to mend all the same.
    """
    if view.candidates or not unknown:
        return view
    detail = f"{unknown} {view.detail}" if is_known else unknown
    return replace(view, reason=Reason.DOCKER_UNAVAILABLE, detail=detail, stale="")


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
    def of(cls, one: One, backend: Backend) -> "_Found":
        """Return how *one* stands with *backend*: out, as soon as anybody says so; else as the first has it
        that gives it an address.
        """
        found = [cls.by(sight, backend) for sight in one.sights]
        return found[0] if len(found) == 1 else min(found, key=_rank)

    @classmethod
    def by(cls, sight: Sight, backend: Backend) -> "_Found":
        """Return how the container stands as it is seen by *sight*."""
        container = sight.container
        left_out, detail = _left_out(container)
        if left_out is not None and left_out is not LeftOut.STARTING:
            return cls(container, None, left_out, detail)
        located = address_of(container, backend, sight.host, sight.others)
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
            is_task=bool(self.container.service) and not self.container.is_service,
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


def _rank(found: _Found) -> int:
    """Return which of several sights of one container counts: the lowest, and of those the first."""
    if found.left_out in (LeftOut.NOT_RUNNING, LeftOut.STOPPING, LeftOut.UNHEALTHY):
        return 0  # one of them hears of it first
    return 1 if found.located is not None else 2


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
    own, source = called_by_docker(name)
    where = f" on {source}" if source else ""
    if container.state is not State.RUNNING:
        remedy = _REMEDIES.get(container.state, "start it").format(name=own, where=where)
        if container.service:
            remedy = f"`docker service ps {own.rpartition('.')[0]}`{where} shows why"
        return LeftOut.NOT_RUNNING, f"{name} is {container.state.value}: {remedy}"
    if container.stopping:
        return LeftOut.STOPPING, f"{name} is being stopped"
    if container.not_inspected and not container.was_inspected:
        return LeftOut.NOT_INSPECTED, f"{name} cannot be inspected: {container.not_inspected}"
    if container.health is Health.UNHEALTHY:
        return LeftOut.UNHEALTHY, f"{name} is unhealthy: `docker inspect {own}`{where} shows its last checks"
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
