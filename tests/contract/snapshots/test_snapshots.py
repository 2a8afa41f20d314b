"""Snapshots that earlier versions wrote are read for ever.

`1.json` was written by the first version that wrote any. It is never made anew, nor edited: whoever changes
the form of the file adds a file beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from rgate.cli.config_file import load_config
from rgate.cli.looking import load_recording, looked_at_recording
from rgate.core.candidates import Address
from rgate.core.containers import Attachment, Health, PublishedPort, State
from rgate.core.left_out import PLACEHOLDER, LeftOutLabel
from rgate.core.reasons import Reason

FILE: Final = Path(__file__).parent / "1.json"
TAKEN: Final = 1795724501.25
SHOP: Final = "3c5e1b2f7d90" + 26 * "a6"

CONFIG: Final = """
routes:
  - {path_prefix: /api/orders, backend: orders}
backends:
  - {name: orders, match_labels: [app_name=orders, env=production]}
  - {name: payment, match_labels: [app_name=payment, env=production]}
  - {name: proxy, match_labels: [app_name=proxy]}
  - {name: debug, match_labels: [app_name=debug]}
  - {name: metrics, match_labels: [app_name=metrics]}
  - {name: database, match_labels: [app_name=orders-db, nothing=here, url=x]}
"""


@pytest.mark.clause("9.snapshot.later")
def test_what_the_first_version_recorded_is_read() -> None:
    recording = load_recording(str(FILE))
    (source,) = recording.sources
    found = {container.name: container for container in source.containers}

    assert (recording.taken, source.name, source.version) == (TAKEN, "docker", "27.3.1")
    assert source.host.published_host == ""
    assert source.host.own_networks == frozenset({SHOP, "91aa02d4" + 28 * "7b"})
    assert [*found] == [
        "admin", "debug", "job", "metrics", "old", "orders-1", "orders-2", "orders-db", "payment-1",
        "payment-2", "proxy",
    ]  # fmt: skip
    orders = found["orders-1"]
    assert orders.id == 4 * "4f1d9ab07c2e5863"
    assert (orders.state, orders.health, orders.stopping) == (State.RUNNING, Health.HEALTHY, False)
    assert orders.published == (PublishedPort(8000, "127.0.0.1", 49153),)
    assert orders.exposed == (8000,)
    assert orders.attachments == (Attachment("shop_default", SHOP, "172.20.0.3"),)
    assert orders.network_mode == "shop_default"
    assert (found["admin"].state, found["admin"].stopping) == (State.PAUSED, True)
    assert found["debug"].network_mode == f"container:{orders.id}"
    assert found["debug"].labels == {"app_name": "debug", "note": "café \u2603"}
    assert found["job"].labels == {}


def test_its_labels_are_read_and_those_left_out_are_known_by_their_keys() -> None:
    (source,) = load_recording(str(FILE)).sources
    left_out = {one.name: source.left_out.get(one.id, frozenset()) for one in source.containers}

    assert {name: sorted(keys) for name, keys in left_out.items() if keys} == {
        "admin": ["auth"],
        "orders-1": [
            "com.docker.compose.project.config_files",
            "com.docker.compose.project.environment_file",
            "com.docker.compose.project.working_dir",
            "com.shop.db.password",
        ],
        "orders-2": [
            "com.docker.compose.project.config_files",
            "com.docker.compose.project.environment_file",
            "com.docker.compose.project.working_dir",
            "com.shop.db.password",
        ],
        "orders-db": ["url"],
        "proxy": ["traefik.http.middlewares.auth.basicauth.users"],
    }
    (database,) = [one for one in source.containers if one.name == "orders-db"]
    assert database.labels == {"app_name": "orders-db", "env": "production", "url": PLACEHOLDER}


@pytest.mark.clause("9.looks.snapshot")
def test_a_gateway_of_it_decides_as_one_did_where_it_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    looked = looked_at_recording(load_recording(str(FILE)), TAKEN + 60)
    config = load_config(str(tmp_path / "config.yml"))
    views = looked.gateway(config).views

    addresses: Mapping[str, list[tuple[str, Address]]] = {
        name: [(one.name, one.address) for one in view.candidates] for name, view in views.items()
    }
    assert addresses == {
        "orders": [("orders-1", Address("172.20.0.3", 8000))],  # orders-2 is still starting, old has exited
        "payment": [],
        "proxy": [("proxy", Address("fd00:1::5", 8443))],
        "debug": [("debug", Address("172.20.0.3", 4040))],
        "metrics": [("metrics", Address("127.0.0.1", 9100))],
        "database": [],
    }
    assert views["payment"].reason is Reason.UNHEALTHY
    assert views["database"].reason is Reason.NO_CONTAINER
    (knowledge,) = looked.knowledge(config)
    assert (knowledge.since, knowledge.last_list_s, knowledge.version) == (TAKEN, 60, "27.3.1")


@pytest.mark.clause("9.snapshot.rests")
def test_what_rests_on_a_label_left_out_is_told(tmp_path: Path) -> None:
    text = CONFIG.replace("nothing=here, ", "")
    (tmp_path / "config.yml").write_text(text)
    looked = looked_at_recording(load_recording(str(FILE)), TAKEN)

    with pytest.raises(LeftOutLabel) as raised:
        looked.gateway(load_config(str(tmp_path / "config.yml")))
    assert (raised.value.backend, raised.value.container, raised.value.keys) == (
        "database",
        "orders-db",
        ("url",),
    )
