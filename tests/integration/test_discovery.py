"""Which containers get the requests, while they come and go (behaviour 4 and 6)."""

import threading
from collections import Counter

import pytest

from tests.integration.containers import Containers, ask, pause, short_id, wait_until_it_answers
from tests.integration.gateway import NO_SERVICE_URLS, Gateway, Response, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker]


def is_answered(response: Response) -> bool:
    return response.status == 200


def wait_for_reason(gateway: Gateway, reason: str, within_s: float = 1) -> Response:
    return wait_until(lambda: gateway.get("/api"), lambda r: r.reason == reason, within_s=within_s)


@pytest.mark.clause("4.candidates.labels")
def test_a_container_with_one_of_two_labels_gets_nothing(containers: Containers, gateway: Gateway) -> None:
    containers.start(containers.app, "env=other")
    containers.start(containers.app)
    chosen = containers.start()
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)
    with gateway.client() as client:
        assert {client.get("/api").container for _ in range(50)} == {short_id(chosen)}


@pytest.mark.clause("6.answers.no_container", "6.answers.title")
def test_without_a_container_the_answer_is_503_no_container(gateway: Gateway) -> None:
    response = gateway.get("/api")
    assert (response.status, response.reason) == (503, "no_container")
    assert response.json()["title"] == NO_SERVICE_URLS


@pytest.mark.clause("4.events.second")
def test_a_container_that_starts_later_is_found_within_a_second(
    containers: Containers, gateway: Gateway
) -> None:
    assert gateway.get("/api").reason == "no_container"
    containers.start()
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)


@pytest.mark.clause("4.events.second")
def test_a_container_that_was_stopped_and_started_is_used_again_on_its_new_port(
    containers: Containers, gateway: Gateway
) -> None:
    container = containers.start()
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)
    container.stop(timeout=2)
    wait_for_reason(gateway, "no_container")
    container.start()
    wait_until_it_answers(container)
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)


@pytest.mark.clause("8.stopping.signal", "8.stopping.under_way")
def test_a_container_that_is_being_stopped_gets_nothing_new_and_ends_what_it_began(
    containers: Containers, gateway: Gateway
) -> None:
    container = containers.start(stop_signal="SIGWINCH")  # which it does not heed: it is stopping for a while
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)
    with gateway.client() as client, client.open("/api?stream=8&interval=0.25") as response:
        assert response.readline() == b"id: 1\n"
        container.kill("SIGWINCH")
        wait_for_reason(gateway, "no_container")
        assert response.read().count(b"data:") == 8


@pytest.mark.clause("4.events.second")
def test_a_paused_container_is_out_until_it_goes_on(containers: Containers, gateway: Gateway) -> None:
    container = containers.start()
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)
    pause(container)
    # A request that overtakes the event waits for its time-out of 3 s.
    wait_for_reason(gateway, "no_container", within_s=4)
    container.unpause()
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=1)


@pytest.mark.clause("4.events.health", "6.answers.unhealthy", "6.answers.title")
def test_an_unhealthy_container_is_out_until_it_is_healthy(containers: Containers, gateway: Gateway) -> None:
    container = containers.start(health_check=True)
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=30)  # Docker's own check takes its time
    ask(container, "POST", "/_demo/health?ok=1")
    with pytest.raises(OSError, match="503"):
        ask(container, "POST", "/_demo/health?ok=0")
    response = wait_for_reason(gateway, "unhealthy", within_s=30)
    assert (response.status, response.json()["title"]) == (503, NO_SERVICE_URLS)
    ask(container, "POST", "/_demo/health?ok=1")
    wait_until(lambda: gateway.get("/api"), is_answered, within_s=30)


def test_killing_one_of_three_replicas_under_load_loses_no_get(
    containers: Containers, gateway: Gateway
) -> None:
    replicas = [containers.start() for _ in range(3)]
    seen: Counter[str] = Counter()
    wait_until(
        lambda: seen.update([gateway.get("/api").container]) or len(seen), lambda n: n == 3, within_s=5
    )
    before_kill, enough = threading.Semaphore(0), threading.Event()
    failed: list[Response | OSError] = []
    done: Counter[str] = Counter()

    def load() -> None:
        with gateway.client() as client:
            while not enough.is_set():
                try:
                    response = client.get("/api")
                except OSError as error:
                    failed.append(error)
                    return
                if response.status == 200:
                    done[response.container] += 1
                else:
                    failed.append(response)
                before_kill.release()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for_requests(before_kill, 100)
        replicas[0].kill()
        wait_for_requests(before_kill, 300)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert len(done) == 3, "the load must have reached all three before the kill"


def wait_for_requests(finished: threading.Semaphore, count: int) -> None:
    for _ in range(count):
        assert finished.acquire(timeout=10), "the load stands still"
