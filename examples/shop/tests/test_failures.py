"""What the shop's clients see of services that fail: its routes, and backends that do as they are told."""

import pytest


@pytest.fixture
def backend(rgate_backend):
    return rgate_backend(body="an order")


@pytest.fixture
def gateway(rgate_gateway, config, backend):
    fixed = [
        {"name": one["name"], "urls": [backend.url], "timeouts": {"response": 1}}
        for one in config["backends"]
    ]
    return rgate_gateway({**config, "backends": fixed})


def test_an_order_comes_as_it_is(gateway, backend):
    assert gateway.get("/api/orders/1", headers={"X-Customer": "7"}).text == "an order"
    assert backend.requests[-1].headers["X-Customer"] == "7"


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        ({"refuse": True}, 503, "connect_failed"),
        ({"close_early": True}, 503, "closed_early"),
        ({"delay": 60}, 504, "timeout"),
    ],
    ids=["refuses", "closes early", "takes long"],
)
def test_a_failure_has_its_status_and_reason(gateway, backend, failure, status, reason):
    for name, value in failure.items():
        setattr(backend, name, value)
    response = gateway.get("/api/payment/1")
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert gateway.why(response.headers["X-Request-ID"]).attempts[-1].end != "response"


def test_an_order_is_never_placed_twice(gateway, backend):
    backend.close_early = True
    assert gateway.post("/api/orders", data="a book").status_code == 503
    assert len(backend.requests) == 1
