"""WebSocket with a client and a server of somebody else's (RFC 6455)."""

import threading

from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.site import Lane


def _echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@clause("RFC 6455", "5.upgrade.tunnel", needs=Capability.UPGRADES)
def test_a_websocket_carries_messages_pings_and_its_closing(gateway: Gateway, backend: Lane) -> None:
    with serve(_echo, sock=backend.listeners[0].sock) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"ws://127.0.0.1:{gateway.port}{backend.path.decode()}/chat?room=1"
        with connect(address, open_timeout=5, close_timeout=5) as client:
            for message in ("hello", "ü" * 70_000, b"\x00\xff" * 500_000, ""):
                client.send(message)
                assert client.recv(timeout=5) == message
            assert client.ping().wait(5)
            client.close(4321, "enough")
            assert (client.close_code, client.close_reason) == (4321, "enough")
        server.shutdown()
