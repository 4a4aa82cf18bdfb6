"""The plain server implements the basic protocol without our extensions, like any other server."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from benchmarks.processes import ServerProcess

INVALID = {"type": "error", "message": "Invalid message format"}


def send(client: ClientConnection, **message: object) -> None:
    client.send(json.dumps(message))


def receive(client: ClientConnection) -> dict[str, Any]:
    message = json.loads(client.recv(timeout=30))
    assert isinstance(message, dict)
    return message


def test_a_conversation_gives_exactly_the_messages_of_the_protocol(plain_peer: ServerProcess) -> None:
    with connect(f"{plain_peer.url}/chat") as ann, connect(f"{plain_peer.url}/ws/chat") as bob:
        for client in (ann, bob):
            greeting = receive(client)
            assert greeting.keys() == {"type", "clientId"}
            assert greeting["type"] == "connected"
        send(ann, type="setUsername", username="ann")
        assert receive(ann) == {"type": "usernameSet", "username": "ann"}
        send(ann, type="joinRoom", room="x")
        assert receive(ann) == {"type": "userJoined", "user": "ann", "room": "x", "userCount": 1}
        assert receive(ann) == {"type": "roomJoined", "room": "x", "userCount": 1}
        send(bob, type="joinRoom", room="x")
        assert receive(ann) == receive(bob) == {"type": "userJoined", "user": None, "room": "x", "userCount": 2}
        assert receive(bob) == {"type": "roomJoined", "room": "x", "userCount": 2}
        send(ann, type="chatMessage", text="hi")
        message = receive(bob)
        assert isinstance(message.pop("timestamp"), int)
        assert message == {"type": "chatMessage", "user": "ann", "text": "hi"}
        send(ann, type="typing")
        assert receive(bob) == {"type": "userTyping", "user": "ann"}
        send(ann, type="chat", user="a", text="t")
        assert receive(ann) == receive(bob) == {"type": "chat", "user": "a", "text": "t"}
        send(ann, type="leaveRoom")
        assert receive(bob) == {"type": "userLeft", "user": "ann", "userCount": 1}
        send(ann, type="chatMessage", text="to an empty room")
        send(ann, type="ping", timestamp=7)
        answer = receive(ann)
        assert (answer["type"], answer["timestamp"]) == ("pong", 7)


def test_a_client_without_close_handshake_leaves_its_room(plain_peer: ServerProcess) -> None:
    with connect(plain_peer.url) as ann, connect(plain_peer.url) as bob:
        for client in (ann, bob):
            receive(client)
            send(client, type="joinRoom", room="x")
            receive(client)
            receive(client)
        assert receive(ann)["userCount"] == 2
        bob.socket.shutdown(2)
        assert receive(ann) == {"type": "userLeft", "user": None, "userCount": 1}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"type": "toString"}',
        '{"type": "joinRoom"}',
        '{"type": "joinRoom", "room": "a\\n"}',
    ],
)
def test_unknown_messages_are_refused_and_the_connection_stays_open(plain_peer: ServerProcess, text: str) -> None:
    with connect(plain_peer.url) as client:
        receive(client)
        client.send(text)
        assert receive(client) == INVALID
        send(client, type="ping")
        assert receive(client)["type"] == "pong"


def test_an_upload_is_accepted_without_an_answer(plain_peer: ServerProcess) -> None:
    with connect(plain_peer.url) as client:
        receive(client)
        send(client, type="fileStart", name="../f", size=3, mimeType="text/plain")
        client.send(b"\0\0\0\0abc")
        send(client, type="fileEnd")
        client.send(b"\0\0\0\0abc")
        assert receive(client) == INVALID


def test_only_health_answers_plain_requests(plain_peer: ServerProcess) -> None:
    base = plain_peer.url.replace("ws://", "http://")
    with urllib.request.urlopen(f"{base}/health", timeout=30) as answer:  # noqa: S310 - loopback
        assert answer.read() == b"OK"
    with pytest.raises(urllib.error.HTTPError, match="404") as problem:
        urllib.request.urlopen(f"{base}/metrics", timeout=30)  # noqa: S310 - loopback
    problem.value.close()
    with pytest.raises(InvalidStatus, match="404"):
        connect(f"{plain_peer.url}/ws/notifications").close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_with_clients_connected(
    plain_peer: ServerProcess, number: signal.Signals
) -> None:
    with connect(plain_peer.url) as client:
        receive(client)
        plain_peer.process.send_signal(number)
        assert plain_peer.process.wait(30) == 0
