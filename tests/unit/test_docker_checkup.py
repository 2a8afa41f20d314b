"""What a Docker, or what stands in front of it, answers badly is told of in time (behaviour 9)."""

import pytest

from rgate.core.config import ENVIRONMENT
from rgate.discovery import docker_checkup
from tests.browser.gateways import DockerApi, lying_docker


class WithoutEvents(DockerApi):
    """Takes the request for events, and answers nothing."""

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        if "/events" in self.path:
            self.server.end.wait()
        else:
            super().do_GET()


@pytest.mark.clause("9.doctor.levels")
@pytest.mark.parametrize(
    ("api", "error"),
    [
        (DockerApi, ""),
        (WithoutEvents, "nothing came within 1 s from {}: see if `docker version` gets an answer"),
    ],
)
def test_events_that_never_end_are_no_reason_to_wait_for_them(
    monkeypatch: pytest.MonkeyPatch, api: type[DockerApi], error: str
) -> None:
    monkeypatch.setattr(docker_checkup, "CALL_TIMEOUT_S", 1)
    with lying_docker("x", {}, 1) as docker:
        docker.RequestHandlerClass = api
        monkeypatch.setenv("DOCKER_HOST", docker.environment["DOCKER_HOST"])
        found = docker_checkup.check_up(ENVIRONMENT)
        assert (found.error, found.events_error) == ("", error.format(docker.environment["DOCKER_HOST"]))
