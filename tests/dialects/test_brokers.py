"""What the brokers and Action Cable do on the wire, which the dialects for them rely on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.dialects.programs import PROGRAMS, measure_latencies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer

SECONDS = 60
CONNECT_STOMP = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:{}\nheart-beat:{}\n\n\0"
CONNECT_MQTT = b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1c"
SUBSCRIBE_MQTT = b"\x82\x0b\0\1\0\6chat/a\0"
PUBLISH_MQTT = b"\x30\x0d\0\6chat/ahello"


@contextmanager
def connected(url: str, subprotocol: str) -> Iterator[ClientConnection]:
    """Connect with a subprotocol, which the server must accept."""
    with connect(url, subprotocols=[subprotocol], proxy=None) as connection:  # type: ignore[list-item]
        assert connection.subprotocol == subprotocol
        yield connection


def test_the_shared_rabbitmq_passes_on_what_clients_send(rabbitmq: RealServer) -> None:
    measured = measure_latencies(rabbitmq, PROGRAMS["rabbitmq"].clients["stompjs"], "--texts", "3")
    assert measured["received"] == 3


def test_a_heartbeat_of_stomp_is_a_newline(rabbitmq: RealServer) -> None:
    with connected(f"{rabbitmq.url}/ws", "v12.stomp") as connection:
        connection.send(CONNECT_STOMP.format("guest", "0,100"))
        assert str(connection.recv(SECONDS)).startswith("CONNECTED\n")
        assert [connection.recv(SECONDS) for _ in range(3)] == ["\n"] * 3


def test_rabbitmq_refuses_a_wrong_passcode_and_a_room(start_real: StartReal) -> None:
    server = start_real("rabbitmq", "--token", "secret", "--refuse-room", "closed")
    server.expects_problems = True
    with connected(f"{server.url}/ws", "v12.stomp") as connection:
        connection.send(CONNECT_STOMP.format("guest", "0,0"))
        assert "message:Bad CONNECT" in str(connection.recv(SECONDS))
    with connected(f"{server.url}/ws", "v12.stomp") as connection:
        connection.send(CONNECT_STOMP.format("secret", "0,0"))
        assert str(connection.recv(SECONDS)).startswith("CONNECTED\n")
        connection.send("SUBSCRIBE\nid:1\ndestination:/topic/open\nreceipt:1\n\n\0")
        assert "receipt-id:1" in str(connection.recv(SECONDS))
        connection.send("SUBSCRIBE\nid:2\ndestination:/topic/closed\nreceipt:2\n\n\0")
        # An error frame may arrive before the close frame, or not.
        assert not [message for message in connection if not str(message).startswith("ERROR\nmessage:access_refused\n")]
        assert connection.close_reason == "STOMP died"


def test_packets_of_mqtt_need_not_align_with_frames(start_real: StartReal) -> None:
    server = start_real("mosquitto")
    with connected(f"{server.url}/mqtt", "mqtt") as connection:
        for byte in CONNECT_MQTT + SUBSCRIBE_MQTT:
            connection.send(bytes([byte]))
        assert connection.recv(SECONDS) == b"\x20\2\0\0"
        assert connection.recv(SECONDS) == b"\x90\3\0\1\0"
        connection.send(PUBLISH_MQTT * 2)
        assert [connection.recv(SECONDS) for _ in range(2)] == [PUBLISH_MQTT] * 2
        server.wait_for_counts(clients=1, members=1, messages=2, deliveries=2)


def test_mosquitto_refuses_a_wrong_password(start_real: StartReal) -> None:
    server = start_real("mosquitto", "--token", "secret")
    (client,) = PROGRAMS["mosquitto"].clients.values()
    assert measure_latencies(server, client, "--texts", "1", "--token", "secret")["received"] == 1
    with pytest.raises(AssertionError, match="Not authorized"):
        measure_latencies(server, client, "--token", "wrong")


def test_mosquitto_refuses_a_room_in_its_acknowledgement(start_real: StartReal) -> None:
    server = start_real("mosquitto", "--refuse-room", "chat/a")
    with connected(f"{server.url}/mqtt", "mqtt") as connection:
        connection.send(CONNECT_MQTT + SUBSCRIBE_MQTT + SUBSCRIBE_MQTT.replace(b"chat/a", b"chat/b"))
        assert [connection.recv(SECONDS) for _ in range(3)] == [b"\x20\2\0\0", b"\x90\3\0\1\x80", b"\x90\3\0\1\0"]


def test_action_cable_refuses_a_token_and_a_room(start_real: StartReal) -> None:
    server = start_real("action-cable", "--token", "secret", "--refuse-room", "closed")
    server.expects_problems = True
    with connected(f"{server.url}/cable?token=wrong", "actioncable-v1-json") as connection:
        assert json.loads(connection.recv(SECONDS)) == {
            "type": "disconnect",
            "reason": "unauthorized",
            "reconnect": False,
        }
        with pytest.raises(ConnectionClosed):
            connection.recv(SECONDS)
    with connected(f"{server.url}/cable?token=secret", "actioncable-v1-json") as connection:
        assert json.loads(connection.recv(SECONDS)) == {"type": "welcome"}
        identifier = json.dumps({"channel": "ChatChannel", "room": "closed"})
        connection.send(json.dumps({"command": "subscribe", "identifier": identifier}))
        assert json.loads(connection.recv(SECONDS)) == {"type": "reject_subscription", "identifier": identifier}


def test_action_cable_may_confirm_no_subscription(start_real: StartReal) -> None:
    server = start_real("action-cable", "--never-acknowledge")
    with connected(f"{server.url}/cable", "actioncable-v1-json") as connection:
        identifier = json.dumps({"channel": "ChatChannel", "room": "a"})
        connection.send(json.dumps({"command": "subscribe", "identifier": identifier}))
        server.wait_for_counts(clients=1, members=1)
        kinds = {json.loads(connection.recv(SECONDS)).get("type") for _ in range(2)}
        assert kinds == {"welcome", "ping"}
