"""Containers of the demo image, labelled for one test, removed at its end."""

import contextlib
import time
import urllib.request
import uuid
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

IMAGE = "rgate/demo:local"
_SECOND_NS = 1_000_000_000


class Containers:
    """Starts containers for one test. `app` and `run` are labels that no other test uses."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._started: list[Container] = []
        self.id = uuid.uuid4().hex[:12]
        self.app = f"app_name=rgate-{self.id}"
        self.env = "env=test"

    def start(
        self, *labels: str, health_check: bool = False, wait: bool = True, stop_signal: str = "SIGTERM"
    ) -> Container:
        """Start one with *labels* (`key=value`; without any: both of this test's) that answers."""
        check = ["CMD", "python3", "/server.py", "--check"] if health_check else ["NONE"]
        container: Container = self._client.containers.run(
            IMAGE,
            detach=True,
            name=f"rgate-{self.id}-{len(self._started)}",
            labels=dict(label.split("=", 1) for label in labels or (self.app, self.env)),
            ports={"8000/tcp": ("127.0.0.1", 0)},
            stop_signal=stop_signal,
            healthcheck={
                "test": check,
                "interval": _SECOND_NS // 2,
                "timeout": 2 * _SECOND_NS,
                "retries": 1,
                "start_period": _SECOND_NS // 1000,  # else the image's: so long no failure counts
            },
        )
        self._started.append(container)
        if wait:
            wait_until_it_answers(container)
        return container

    def add(self, container: Container) -> Container:
        """Remove at the end what the test made itself."""
        self._started.append(container)
        return container

    def remove(self) -> None:
        while self._started:
            with contextlib.suppress(NotFound):  # the test removed it itself
                self._started.pop().remove(force=True)


def short_id(container: Container) -> str:
    return str(container.id)[:12]


def port(container: Container) -> int:
    """Return the published port on the host."""
    container.reload()
    bindings: Any = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    return int(bindings[0]["HostPort"])


def pause(container: Container) -> None:
    """Pause it. On a busy machine runc 1.1 may not be able to at once: `unable to freeze`."""
    for _ in range(20):
        try:
            container.pause()
        except APIError as error:
            if "unable to freeze" not in str(error):
                raise
        else:
            return
    raise AssertionError(f"{container.name} cannot be paused")


def ask(container: Container, method: str, target: str) -> None:
    """Ask the container itself, past the gateway."""
    request = urllib.request.Request(f"http://127.0.0.1:{port(container)}{target}", method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as response:
        response.read()


def wait_until_it_answers(container: Container, within_s: float = 15) -> None:
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            return ask(container, "GET", "/_demo/health")
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{container.name} does not answer: {error}") from error
            time.sleep(0.05)
