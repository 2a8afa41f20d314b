"""Which containers a backend's requests may go to, and a sentence for each other one (behaviour 4)."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from rgate.core.address import HostView, NoAddress, address_of
from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.config import Backend
from rgate.core.containers import Container, Health, State
from rgate.core.reasons import LeftOut, Reason


def missing_labels(container: Container, backend: Backend) -> tuple[tuple[str, str], ...]:
    """Return those of the backend's labels that *container* has not, or has with another value."""
    return tuple((key, value) for key, value in backend.match_labels if container.labels.get(key) != value)


def views_of(
    backends: Iterable[Backend], containers: Iterable[Container], host: HostView
) -> dict[str, BackendView]:
    """Return the view of each backend, by its name."""
    found = tuple(containers)
    return {backend.name: view_of(backend, found, host) for backend in backends}


def view_of(backend: Backend, containers: Iterable[Container], host: HostView) -> BackendView:
    """Return what *backend* may use of all *containers*, and why not the rest."""
    if backend.urls:
        return _fixed(backend)
    by_id = {container.id: container for container in containers}
    views: list[ContainerView] = []
    candidates: dict[bool, list[Candidate]] = {True: [], False: []}  # by: is still starting
    for container in sorted(by_id.values(), key=lambda container: (container.name, container.id)):
        left_out, detail = _left_out(container, backend)
        address: Address | None = None
        if left_out is None or left_out is LeftOut.STARTING:
            found = address_of(container, backend, host, by_id)
            if isinstance(found, NoAddress):
                left_out, detail = LeftOut.NO_ADDRESS, f"{container.name} runs, but {found.detail}"
            else:
                address = found
                starting = left_out is LeftOut.STARTING
                candidates[starting].append(
                    Candidate(container.name, container.id, found, container.revision)
                )
        if left_out is LeftOut.LABELS and len(missing_labels(container, backend)) == len(
            backend.match_labels
        ):
            continue  # it has nothing to do with this backend
        views.append(_view(container, address, left_out, detail))
    chosen = tuple(candidates[False] or candidates[True])
    if not candidates[False]:  # those that start are used, as nothing better is there
        views = [_used(view) if view.left_out is LeftOut.STARTING else view for view in views]
    if chosen:
        return BackendView(backend.name, chosen, containers=tuple(views))
    reason, detail = _why_none(backend, views)
    return BackendView(backend.name, (), reason, detail, tuple(views))


def unavailable_view(backend: Backend, error: str) -> BackendView:
    """Return the view where Docker has not answered since the start."""
    if backend.urls:
        return _fixed(backend)
    detail = (
        f"Docker has not answered since rgate started ({error or 'still waiting'}): start it, "
        "or check DOCKER_HOST and the right to use its socket; rgate keeps trying."
    )
    return BackendView(backend.name, (), Reason.DOCKER_UNAVAILABLE, detail)


def _fixed(backend: Backend) -> BackendView:
    candidates = []
    for url in backend.urls:
        parts = urlsplit(url)
        address = Address(parts.hostname or "", parts.port or 80)
        candidates.append(Candidate(str(address), "", address))
    return BackendView(backend.name, tuple(dict.fromkeys(candidates)))


def _view(
    container: Container, address: Address | None, left_out: LeftOut | None, detail: str
) -> ContainerView:
    return ContainerView(
        container.name, container.id, container.state.value, container.health.value, address, left_out, detail
    )


def _used(view: ContainerView) -> ContainerView:
    return ContainerView(view.name, view.container_id, view.state, view.health, view.address, None, "")


def _left_out(container: Container, backend: Backend) -> tuple[LeftOut | None, str]:
    """Return why *container* is no candidate, but for its address; None where it may be one."""
    name = container.name
    if missing := missing_labels(container, backend):
        lacks = ", ".join(_near_miss(container, key, value) for key, value in missing)
        has = len(backend.match_labels) - len(missing)
        return LeftOut.LABELS, f"{name} has {has} of {len(backend.match_labels)} labels: {lacks}"
    if container.state is not State.RUNNING:
        remedy = "unpause it" if container.state is State.PAUSED else "start it"
        return LeftOut.NOT_RUNNING, f"{name} is {container.state.value}: {remedy}"
    if container.stopping:
        return LeftOut.STOPPING, f"{name} is being stopped"
    if container.health is Health.UNHEALTHY:
        return LeftOut.UNHEALTHY, f"{name} is unhealthy: `docker inspect {name}` shows its last checks"
    if container.health is Health.STARTING:
        return LeftOut.STARTING, f"{name} is starting, and others are healthy"
    return None, ""


def _near_miss(container: Container, key: str, value: str) -> str:
    if key in container.labels:
        return f"{key}={container.labels[key]}, wanted {key}={value}"
    return f"{key} is missing, wanted {key}={value}"


def _why_none(backend: Backend, views: list[ContainerView]) -> tuple[Reason, str]:
    """Return the most actionable reason why there is no candidate, and its sentence."""
    for left_out, reason in ((LeftOut.NO_ADDRESS, Reason.NO_ADDRESS), (LeftOut.UNHEALTHY, Reason.UNHEALTHY)):
        details = [view.detail for view in views if view.left_out is left_out]
        if details:
            return reason, "; ".join(details) + "."
    wanted = ", ".join(f"{key}={value}" for key, value in backend.match_labels)
    sentence = f"No running container has the labels {wanted}"
    stopped = [v.detail for v in views if v.left_out in (LeftOut.NOT_RUNNING, LeftOut.STOPPING)]
    nearest = [view.detail for view in views if view.left_out is LeftOut.LABELS and view.state == "running"]
    hints = (stopped or sorted(nearest, key=lambda detail: -_labels_had(detail)))[:3]
    return Reason.NO_CONTAINER, sentence + (": " + "; ".join(hints) if hints else "") + "."


def _labels_had(detail: str) -> int:
    return int(detail.partition(" has ")[2].partition(" of ")[0])
