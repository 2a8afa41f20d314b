"""The gateway of a test: the real command in front of what is tested, and what it tells (behaviour 11)."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import quote, urlsplit

import requests
import yaml

from rgate.cli.asking_gateway import NoAnswer, asked_as
from rgate.cli.config_file import lacking, read_file
from rgate.core.config import Config
from rgate.core.config_document import document_of, text_of, without_secrets
from rgate.core.config_errors import ConfigErrors
from rgate.core.config_file import parse_config
from rgate.core.containers import Health
from rgate.core.nearest import did_you_mean
from rgate.core.own import OwnPage
from rgate.testing import ConfigError, GatewayError, NotReady
from rgate.testing.process import GatewayProcess
from rgate.web.documents import (
    BackendDocument,
    BackendsDocument,
    ConfigDocument,
    Document,
    ExplanationDocument,
    FiguresDocument,
    StoriesDocument,
    StoryDocument,
    TimelineDocument,
)

__tracebackhide__ = True  # a report of pytest ends at the line of the test, not in here

GivenConfig = str | os.PathLike[str] | Mapping[str, Any]
"""A configuration: the path of its file, or what stands in it."""

_WITHIN_S: Final = 30.0
_PAUSE_S: Final = 0.05
_CLIENT_WITHIN_S: Final = 60.0
_CODE: Final = re.compile("`([^`]+)`")

D = TypeVar("D", bound=Document)


class StartGateway(Protocol):
    """What `rgate_gateway` and `rgate_gateway_factory` are."""

    def __call__(self, config: GivenConfig, *options: str) -> "RunningGateway":
        """Return a gateway that runs, with *config* and more *options* of `rgate serve`.

        The path of a file is one that `open` finds. Raises ConfigError, and GatewayError where it cannot
        start.
        """


class RunningGateway:
    """A gateway at `url`. Its configuration, database and what it says are in *directory*.

    `session` is what requests go through: a `requests.Session` that knows no proxy.
    """

    def __init__(self, directory: Path, config: GivenConfig, *options: str) -> None:
        self._file = directory / "config.yml"
        self._read(config)
        database = f"sqlite:///{(directory / 'rgate.db').absolute()}"
        ours = ("--config", str(self._file), "--db", database, "--drain", "0")
        self._process = GatewayProcess(directory, [*ours, *options])
        self.url: str = self._process.url
        self.session = _Session()
        self.used_at = time.time()
        self._seen = set[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # The report of a test that failed asks it still; the fixture ends it.
        if kind is None:
            self.close()

    def __repr__(self) -> str:
        return f"<rgate at {self.url}>"

    # Asking what is behind it.

    def request(self, method: str, target: str, **options: Any) -> requests.Response:
        """Send a request for *target*, as it is written. *options* are those of `requests.request`."""
        self.used_at = time.time()
        return self.session.request(method, self.url + target, **{"timeout": _CLIENT_WITHIN_S, **options})

    def get(self, target: str, **options: Any) -> requests.Response:
        """Send a GET for *target*."""
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> requests.Response:
        """Send a POST for *target*."""
        return self.request("POST", target, **options)

    # Asking itself.

    def requests(self, **filters: Any) -> list[StoryDocument]:
        """Return the stories of the last requests, newest last; rgate's own pages are in none.

        *filters* are those of `/_rgate/requests`: `route="/api"`, `failed=True`, `limit=10` (100 at most).
        """
        wanted = {name: _parameter(value) for name, value in filters.items()}
        found = self._ask(StoriesDocument, OwnPage.REQUESTS.value, {**wanted, "stories": 1})
        return list(found.requests)[::-1]

    def why(self, request_id: str) -> StoryDocument:
        """Return the story of a request: the newest of that `X-Request-ID`."""
        return self._ask(StoryDocument, OwnPage.STORY.value + quote(request_id, safe=""))

    def stats(self) -> FiguresDocument:
        """Return the figures of all requests so far."""
        return self._ask(FiguresDocument, self._ask(ConfigDocument, OwnPage.CONFIG.value).stats.path)

    def explain(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> ExplanationDocument:
        """Return what would become of that request, if it came as from `request`."""
        sent = {"Host": urlsplit(self.url).netloc, **(headers or {})}
        asked = {"method": method, "target": target, "header": [f"{k}: {v}" for k, v in sent.items()]}
        return self._ask(ExplanationDocument, OwnPage.EXPLAIN.value, asked)

    def backends(self) -> BackendsDocument:
        """Return who may be asked for each backend, and who not and why."""
        told = self._ask(BackendsDocument, OwnPage.BACKENDS.value)
        self._seen.update(_containers(told))
        return told

    def timeline(self) -> TimelineDocument:
        """Return what discovery and rgate itself did, newest first."""
        return self._ask(TimelineDocument, OwnPage.TIMELINE.value)

    @property
    def ended(self) -> str | None:
        """How its process ended, and what it said last; None: it runs."""
        return self._process.ended

    def _ask(self, kind: type[D], path: str, params: Mapping[str, Any] | None = None) -> D:
        self.used_at = time.time()
        try:
            return asked_as(kind, self.url, path, params)
        except NoAnswer as error:
            raise GatewayError(self.ended or str(error)) from None

    # Waiting.

    def wait_ready(self, *backends: str, at_least: int = 1, within_s: float = _WITHIN_S) -> None:
        """Wait until each of *backends*, or of all, has *at_least* so many candidates that have started.

        One is starting as long as Docker says so of its health check. Raises NotReady with why it is so: each
        container that is left out, and near misses.
        """
        told = self.backends()
        for name in backends:
            if name not in told.backends:
                near = did_you_mean(name, told.backends)
                raise NotReady(f"the configuration has no backend {name!r}{near}")
        names = backends or tuple(told.backends)

        def lacking() -> list[str]:
            now = self.backends().backends
            few = [name for name in names if len(_started(now[name])) < at_least]
            return [line for name in few for line in _why_few(name, now[name])]

        _wait_for_none(lacking, within_s)

    def wait_gone(self, container: str, *, within_s: float = _WITHIN_S) -> None:
        """Wait until no backend may ask *container*. Raises NotReady, also where none of that name was."""

        def still() -> list[str]:
            now = self.backends().backends
            return [
                f"`{name}` still asks `{container}`"
                for name, one in now.items()
                if container in {candidate.name for candidate in one.candidates}
            ]

        _wait_for_none(still, within_s)
        # One that was never there is gone at once, as a misspelt one is.
        if container not in (seen := self._seen | _named(self.timeline())):
            raise NotReady(f"no container {container!r} was ever known{did_you_mean(container, seen)}")

    # Changing it.

    def reload(self, config: GivenConfig) -> None:
        """Put *config* in force, and wait until it is. Raises ConfigError, and the old one stays."""
        wanted = json.loads(text_of(document_of(without_secrets(self._read(config)))))
        workers = self.backends().gateway.workers
        self._process.reload()

        def other() -> list[str]:
            # Each worker takes it by itself, and who answers is chance: one of some that took it.
            asked = (self._ask(ConfigDocument, OwnPage.CONFIG.value) for _ in range(8 * workers - 7))
            return [] if all(told.as_json() == wanted for told in asked) else ["the old one is in force"]

        _wait_for_none(other, _WITHIN_S)

    def kill(self) -> None:
        """End it at once, as SIGKILL does."""
        self._process.kill()

    def close(self) -> None:
        """End it, if it still runs."""
        self.session.close()
        self._process.stop()

    def _read(self, config: GivenConfig) -> Config:
        """Return *config*, and write it where the process reads it; nothing where it is wrong."""
        try:
            if isinstance(config, Mapping):
                name, content = "config", yaml.safe_dump(dict(config), sort_keys=False).encode()
            else:
                name = os.fspath(config)
                content = read_file(name, f"; {os.getcwd()} is where a relative path begins")
            parsed = parse_config(content, name, lacking())
        except (ConfigErrors, yaml.YAMLError) as error:
            raise ConfigError(str(error)) from None
        self._file.write_bytes(content)
        return parsed


class _Session(requests.Session):
    """Sends targets as they are written (`/a/../b`), and takes nothing from the environment."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        prepared = super().prepare_request(request)
        if not request.params:
            prepared.url = request.url
        return prepared


def _parameter(value: object) -> object:
    """Return a filter as the query has it: those that may be 1 or left out are truths here."""
    return (1 if value else None) if isinstance(value, bool) else value


def _wait_for_none(ask: Callable[[], list[str]], within_s: float) -> None:
    """Wait until *ask* tells of nothing that is in the way. Raises NotReady with what it told last."""
    until_s = time.monotonic() + within_s
    while told := ask():
        if time.monotonic() >= until_s:
            raise NotReady("\n".join([f"after {within_s:g} s", *told]))
        time.sleep(_PAUSE_S)


def _containers(told: BackendsDocument) -> Iterator[str]:
    for backend in told.backends.values():
        yield from (one.name for one in backend.candidates)
        yield from (one.name for one in backend.containers)


def _named(timeline: TimelineDocument) -> set[str]:
    """Return what *timeline* names, containers among it."""
    return {name for event in timeline.events for name in _CODE.findall(event.text)}


def _started(backend: BackendDocument) -> list[str]:
    """Return its candidates, but for those whose health check has not said anything yet."""
    starting = {one.name for one in backend.containers if one.health == Health.STARTING.value}
    return [one.name for one in backend.candidates if one.name not in starting]


def _why_few(name: str, backend: BackendDocument) -> Iterator[str]:
    started = _started(backend)
    if started:
        yield f"`{name}` has {', '.join(started)} alone"
    else:
        yield f"`{name}` has no candidate{': ' if backend.detail else ' that has started'}{backend.detail}"
    for one in backend.containers:
        if one.name not in started:
            yield f"  {one.name}: {one.detail or 'its health check is starting'}"
