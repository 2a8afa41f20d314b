"""What `explain` says of a request is what the gateway then does, over sockets, on both engines
(behaviour 9).
"""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from rgate.core.explain import Asked, Ending, Explanation, explain
from tests.contract.explain.backends import Taken
from tests.contract.explain.conftest import Running
from tests.contract.http.wire import Message, connect
from tests.engine_here import KNOWN
from tests.worlds import GOOD, ODD, World, asked, worlds

MADE_ID = re.compile(r"[0-9a-f]{32}")


def cases(*kinds: str) -> st.SearchStrategy[tuple[World, Asked]]:
    """Worlds and requests, whose ports are numbers for `placed` to put real ones in their place."""
    return st.tuples(worlds((1, 2, 3, 4)), asked(80, kinds))


def placed(case: tuple[World, Asked], running: Running) -> tuple[World, Asked]:
    """Return *case* at the ports of *running*: of four, the last refuses."""
    ports = dict(enumerate((*running.backends.ports, running.refusing), start=1))
    world, request = case
    backends = tuple(
        replace(one, urls=tuple(f"http://127.0.0.1:{ports[int(url.rpartition(':')[2])]}" for url in one.urls))
        for one in world.config.backends
    )
    containers = world.containers and tuple(
        replace(one, published=tuple(replace(p, host_port=ports[p.host_port]) for p in one.published))
        for one in world.containers
    )
    config = replace(world.config, backends=backends)
    return World(config, containers), replace(request, port=running.port)


# What hypothesis tries is the same in each run.
SEEDED = settings(
    max_examples=120, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.clause("9.explain.serves", "9.explain.forwarded", "9.explain.refused")
@seed(9)
@SEEDED
@given(case=cases(*GOOD))
def test_what_is_explained_of_a_good_request_is_what_the_gateway_does(
    running: Running, case: tuple[World, Asked]
) -> None:
    hold(running, *placed(case, running))


@pytest.mark.clause("9.explain.serves", "9.explain.outcome")
@seed(9)
@SEEDED
@given(case=cases(*ODD))
def test_what_is_explained_of_an_odd_request_is_what_the_gateway_does(
    running: Running, case: tuple[World, Asked]
) -> None:
    hold(running, *placed(case, running))


def hold(running: Running, world: World, request: Asked) -> None:
    """Let the gateway do what is asked, and assert that it was told."""
    running.gateway.swap(world.config, world.views)
    explanation = explain(running.gateway, request, (KNOWN,))
    response = ask(request, running.port)
    check(explanation, response, running.backends.taken(), running.refusing)


def ask(request: Asked, port: int) -> Message:
    """Return what the gateway answers to *request*, sent with the content that it announces."""
    names = [name.lower() for name, _ in request.fields]
    fields = request.fields if b"host" in names else ((b"Host", request.host.encode()), *request.fields)
    line = f"{request.method} {request.target} HTTP/1.1\r\n".encode()
    head = line + b"".join(b"%b: %b\r\n" % one for one in fields) + b"\r\n"
    with connect(port, request.peer) as client:
        client.send(head + content_of(request))
        return client.read_response(to=request.method.encode())


def content_of(request: Asked) -> bytes:
    for name, value in request.fields:
        if name == b"Transfer-Encoding":
            return b"1\r\na\r\n0\r\n\r\n"
        if name == b"Content-Length":
            return b"abc"[: int(value)]
    return b""


def check(explanation: Explanation, response: Message, taken: list[Taken], refusing: int) -> None:
    reasons = [reason.decode() for reason in response.values(b"x-rgate-reason")]
    if explanation.outcome is Ending.FORWARD:
        ports = {int(one.address.rpartition(":")[2]) for one in explanation.candidates}
        if ports == {refusing}:
            assert if_all_refuse(explanation).startswith(f"{response.status} `{reasons[0]}`: ")
        else:
            assert (response.status, reasons) == (200, [])
            ((request, port),) = taken
            assert port in ports
            assert_same_head(explanation, request)
        return
    assert taken == []
    match explanation.outcome:
        case Ending.PROBLEM:
            assert (response.status, reasons) == (explanation.status, [explanation.reason])
        case Ending.DEFAULT_RESPONSE:
            assert (response.status, reasons) == (explanation.status, [])
        case Ending.OWN:  # there is one, and it says what it says
            assert reasons == []


def if_all_refuse(explanation: Explanation) -> str:
    (told,) = [fact.text for fact in explanation.facts if fact.about == "If all refuse"]
    return told


def assert_same_head(explanation: Explanation, request: Message) -> None:
    """Assert that *request* has the head that was told, but for an id that was made."""
    forwarded = explanation.forwarded
    assert forwarded is not None
    assert text(request.line) == f"{forwarded.method} {forwarded.target} HTTP/1.1"
    fields = [(text(name), text(value)) for name, value in request.fields]
    (given_id,) = request.values(b"x-request-id")
    told_id = dict(forwarded.fields)["X-Request-ID"]
    assert (told_id == "<made>" and MADE_ID.fullmatch(text(given_id))) or told_id == text(given_id)
    fields[fields.index(("X-Request-ID", text(given_id)))] = ("X-Request-ID", told_id)
    assert fields == list(forwarded.fields)


def text(sent: bytes) -> str:
    return sent.decode("utf-8", "backslashreplace")
