"""The page of backends: who may be asked now, why not the others, and how much each is (behaviour 10)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rgate.core.candidates import BackendView, Candidate, ContainerView
from rgate.core.config import Backend
from rgate.core.container_level import level_of, level_of_address
from rgate.core.containers_now import Key, Together, Told
from rgate.core.knowledge import Connection, Knowledge
from rgate.core.near_misses import NearMiss
from rgate.core.reasons import LeftOut
from rgate.stats import ContainerFigures
from rgate.web.documents import (
    AddressDocument,
    BackendDocument,
    BackendsDocument,
    CandidateDocument,
    ConfigStateDocument,
    ContainerDocument,
    DockerDocument,
    GatewayDocument,
    KnowledgeDocument,
    LabelsDocument,
    SourceDocument,
)
from rgate.web.gateway_now import GatewayNow

_QUESTION: Final = "containers"
_NOTHING: Final = ContainerFigures(0, 0, None)

Figures = Mapping[tuple[str, str], ContainerFigures] | None
"""Of each backend and container, in a window; None: nobody asked for one."""


class BackendsPage:
    """Tells of the backends of a gateway; how many requests are under way, of all its siblings."""

    def __init__(self, now: GatewayNow) -> None:
        self._gateway = now.gateway
        self._stats = now.stats
        self._knowledge = now.knowledge
        self._process = now.process
        self._siblings = now.siblings
        now.siblings.answer(_QUESTION, lambda _: self._told().as_json())

    def document(self, window_s: int | None) -> BackendsDocument:
        """Return all that is known now, with the figures of the last *window_s*."""
        gateway, now, knowledge = self._gateway, time.time(), self._knowledge()
        answers = self._siblings.ask(_QUESTION, {})
        together = Together([Told.of_json(value) for value in answers.values])
        figures = None if window_s is None else self._stats.by_container(window_s)
        snapshot = gateway.snapshot
        routes: dict[str, list[str]] = {backend.name: [] for backend in snapshot.config.backends}
        for route in snapshot.config.routes:
            routes[route.backend].append(route.name)
        told = _Telling(together, figures)
        return BackendsDocument(
            now=now,
            missing_workers=answers.missing,
            generation=max(one.generation for one in knowledge),
            knowledge=[KnowledgeDocument.of(one) for one in knowledge],
            docker=DockerDocument.of_knowledge(_worst(knowledge), now),
            **_sources(knowledge, now),
            config=self._config(),
            gateway=self._itself(together),
            backends={
                backend.name: told.backend(backend, snapshot.views[backend.name], routes[backend.name])
                for backend in snapshot.config.backends
            },
        )

    def _config(self) -> ConfigStateDocument:
        life = self._process.timeline.life
        path = self._process.started.config_path
        return ConfigStateDocument(path=path, loaded=life.config_loaded, error=life.config_error)

    def _itself(self, together: Together) -> GatewayDocument:
        started = self._process.started
        return GatewayDocument(
            version=started.version,
            listen=started.listen,
            engine=started.engine,
            workers=started.workers,
            started=self._process.timeline.life.started,
            in_flight=together.all_in_flight,
        )

    def _told(self) -> Told:
        """Return what this worker says."""
        views = self._gateway.views
        under_way = self._process.under_way()
        since = self._process.since()
        return Told(
            self._process.timeline.began,
            {(backend, _identity(one)): number for (backend, one), number in under_way.items()},
            dict(self._resting(views)),
            {
                (name, one.container_id): (one.left_out, since[name, one.container_id])
                for name, view in views.items()
                for one in view.containers
                if (name, one.container_id) in since
            },
        )

    def _resting(self, views: Mapping[str, BackendView]) -> Iterator[tuple[Key, float]]:
        """Yield until when candidates are left out, in Unix seconds."""
        now_s, now = time.monotonic(), time.time()
        for name, view in views.items():
            for one in view.candidates:
                until_s = self._gateway.balancer.left_out_until_s(one, now_s)
                if until_s is not None:
                    yield (name, _identity(one)), now + until_s - now_s


def _worst(knowledge: Sequence[Knowledge]) -> Knowledge:
    """Return the first that does not answer; the first of all, where all do."""
    return next((one for one in knowledge if one.docker is not Connection.CONNECTED), knowledge[0])


def _sources(knowledge: Sequence[Knowledge], now: float) -> dict[str, list[SourceDocument]]:
    """Return what is told of each of several sources."""
    if len(knowledge) == 1:
        return {}
    told = ((one.source, dict(DockerDocument.of_knowledge(one, now))) for one in knowledge)
    return {"sources": [SourceDocument(name=name, **document) for name, document in told]}


def _identity(candidate: Candidate) -> str:
    return candidate.container_id or candidate.name


class _Telling:
    """Puts what is known of one backend after the other into documents."""

    def __init__(self, together: Together, figures: Figures) -> None:
        self._together = together
        self._figures = figures

    def backend(self, backend: Backend, view: BackendView, routes: Sequence[str]) -> BackendDocument:
        """Return that of *backend*."""
        more: dict[str, Any] = (
            {
                "urls": [str(one.address) for one in view.candidates],
                "addresses": [self._address(backend.name, one) for one in view.candidates],
            }
            if backend.urls
            else {"match_labels": [f"{key}={value}" for key, value in backend.match_labels]}
        )
        return BackendDocument(
            candidates=[CandidateDocument.of(candidate) for candidate in view.candidates],
            reason=view.reason,
            detail=view.detail,
            containers=list(self._containers(backend, view)),
            policy=backend.policy,
            routes=list(routes),
            **more,
        )

    def _address(self, backend: str, candidate: Candidate) -> AddressDocument:
        load = self._load(backend, candidate.name, candidate.name)
        level, says = level_of_address(is_resting=load["resting_until"] is not None)
        return AddressDocument(address=candidate.name, level=level, says=says, **load)

    def _containers(self, backend: Backend, view: BackendView) -> Iterator[ContainerDocument]:
        near = iter(view.near_misses)
        for one in view.containers:
            miss = next(near) if one.left_out is LeftOut.LABELS else None
            yield self._container(backend, one, miss)

    def _container(self, backend: Backend, view: ContainerView, miss: NearMiss | None) -> ContainerDocument:
        load = self._load(backend.name, view.container_id, view.name)
        level, says = level_of(view, is_resting=load["resting_until"] is not None)
        return ContainerDocument(
            name=view.name,
            id=view.container_id[:12],
            state=view.state,
            health=view.health,
            address=str(view.address) if view.address is not None else None,
            candidate=view.left_out is None,
            left_out=view.left_out,
            detail=view.detail,
            level=level,
            says=says,
            since=self._together.since((backend.name, view.container_id), view.left_out),
            labels=_labels(backend, miss),
            **load,
        )

    def _load(self, backend: str, identity: str, name: str) -> dict[str, Any]:
        load: dict[str, Any] = {
            "resting_until": self._together.resting_until((backend, identity)),
            "in_flight": self._together.in_flight((backend, identity)),
        }
        if self._figures is not None:
            figures = self._figures.get((backend, name), _NOTHING)
            p95 = round(figures.p95, 3) if figures.p95 is not None else None
            load |= {"requests": figures.requests, "errors": figures.errors, "p95": p95}
        return load


def _labels(backend: Backend, miss: NearMiss | None) -> LabelsDocument:
    if miss is not None:
        return LabelsDocument.of(miss)
    number = len(backend.match_labels)
    return LabelsDocument.of({"has": number, "of": number, "missing": []})
