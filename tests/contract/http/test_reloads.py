"""What a reload changes for connections that are open already (behaviour 2.admin and 8.reload)."""

import json
import signal

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import answer, get
from tests.contract.http.wire import DEADLINE_S, Wire

CONFIG = get(b"/_rgate/config", host=b"localhost")


def _reload(gateway: Gateway, **changes: object) -> None:
    file = gateway.directory / "config.yml"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    gateway.signal(signal.SIGHUP)


def _config_status(client: Wire) -> int:
    client.send(CONFIG)
    return client.read_response().status


@clause("2.admin.trusted", "8.reload.whole", own_choice="what others do at a reload is another process")
def test_whom_a_reload_trusts_or_no_more_counts_for_open_connections(launch: Launch) -> None:
    gateway = launch(single=1)
    client, lane = gateway.client(), gateway.lane()
    asked, present = get(lane.path, b"X-Forwarded-For: 192.0.2.9"), set[Wire]()
    for proxies, status, told in (
        ([], 200, b"127.0.0.1"),
        (["127.0.0.1/32"], 403, b"192.0.2.9, 127.0.0.1"),
        ([], 200, b"127.0.0.1"),
    ):
        _reload(gateway, trusted_proxies=proxies)
        wait_until(lambda: _config_status(gateway.client()) == status, DEADLINE_S, "the reload")  # noqa: B023

        client.send(asked)
        upstream = lane.accept_or(*present)
        present.add(upstream)
        assert answer(client, upstream, asked).request.values(b"x-forwarded-for") == [told]
        assert _config_status(client) == status
