"""Behind the gateway, with the shop's own containers."""

import pytest


@pytest.mark.parametrize("service", ["orders", "payment"])
def test_a_path_reaches_its_service(shop, service):
    response = shop.get(f"/api/{service}/42?page=2")
    assert response.status_code == 200
    assert response.json()["service"] == service
    assert response.json()["target"] == f"/api/{service}/42?page=2"


def test_nothing_else_is_reachable(shop):
    assert shop.get("/admin").json() == {"error": "there is nothing here"}
    assert shop.explain("GET", "/api/orders-archive").status == 404


def test_orders_go_on_while_one_of_two_is_stopped(shop, orders):
    orders[0].stop(timeout=2)
    shop.wait_gone(orders[0].name)
    for number in range(10):
        assert shop.get(f"/api/orders/{number}").status_code == 200
    assert {story.container for story in shop.requests(limit=10)} == {orders[1].name}


def test_a_client_is_told_that_there_are_no_orders_now(shop, orders):
    for container in orders:
        container.stop(timeout=2)
        shop.wait_gone(container.name)
    response = shop.get("/api/orders/42")
    assert (response.status_code, response.json()["reason"]) == (503, "no_container")
    assert shop.get("/api/payment/42").status_code == 200, "nobody else is touched"
