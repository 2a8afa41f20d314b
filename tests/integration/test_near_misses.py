"""A label with one letter wrong is found where its container is missed, through the real command and Docker
(behaviour 9).
"""

from pathlib import Path

import pytest

from tests.integration.containers import Containers
from tests.integration.gateway import backend_config, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker, pytest.mark.any_engine]


@pytest.mark.slow
@pytest.mark.clause("9.explain.near")
def test_a_letter_that_is_wrong_in_a_label_is_named_in_the_detail_of_the_503(
    containers: Containers, tmp_path: Path
) -> None:
    wrong_key = containers.app.replace("app_name", "app_nme")
    wrong_value = containers.app.replace("rgate", "rgte")
    unlike = containers.start("app_name=something-else", "tier=test", wait=False)
    first = containers.start(wrong_key, containers.env, wait=False)
    second = containers.start(wrong_value, containers.env, wait=False)
    with running(tmp_path, backend_config(containers.app, containers.env)) as gateway:
        answer = gateway.get("/api")
        assert (answer.status, answer.reason) == (503, "no_container")
        detail = answer.json()["detail"]
        told = [
            f"{first.name} has 1 of 2 labels: {wrong_key}, wanted {containers.app}",
            f"{second.name} has 1 of 2 labels: {wrong_value}, wanted {containers.app}",
        ]
        assert all(sentence in detail for sentence in told), detail
        assert str(unlike.name) not in detail
        shown = gateway.get("/_rgate/backends").json()["backends"]["api"]["containers"]
        mine = [one for one in shown if one["name"] in (first.name, second.name)]
        assert [(one["left_out"], one["detail"]) for one in mine] == [("labels", each) for each in told]
        # And it goes to the one that is right, once there is one.
        containers.start()
        wait_until(lambda: gateway.get("/api"), lambda found: found.status == 200, within_s=10)
