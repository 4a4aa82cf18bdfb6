"""The plain peer speaks the guide's messages and nothing of ours, so that it can stand for any other server."""

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


def say(client: ClientConnection, **message: object) -> None:
    client.send(json.dumps(message))


def hear(client: ClientConnection) -> dict[str, Any]:
    message = json.loads(client.recv(timeout=30))
    assert isinstance(message, dict)
    return message


def test_a_conversation_gives_exactly_the_guides_messages(plain_peer: ServerProcess) -> None:
    with connect(f"{plain_peer.url}/chat") as ann, connect(f"{plain_peer.url}/ws/chat") as bob:
        for client in (ann, bob):
            greeting = hear(client)
            assert greeting.keys() == {"type", "clientId"}
            assert greeting["type"] == "connected"
        say(ann, type="setUsername", username="ann")
        assert hear(ann) == {"type": "usernameSet", "username": "ann"}
        say(ann, type="joinRoom", room="x")
        assert hear(ann) == {"type": "userJoined", "user": "ann", "room": "x", "userCount": 1}
        assert hear(ann) == {"type": "roomJoined", "room": "x", "userCount": 1}
        say(bob, type="joinRoom", room="x")
        assert hear(ann) == hear(bob) == {"type": "userJoined", "user": None, "room": "x", "userCount": 2}
        assert hear(bob) == {"type": "roomJoined", "room": "x", "userCount": 2}
        say(ann, type="chatMessage", text="hi")
        spoken = hear(bob)
        assert isinstance(spoken.pop("timestamp"), int)
        assert spoken == {"type": "chatMessage", "user": "ann", "text": "hi"}
        say(ann, type="typing")
        assert hear(bob) == {"type": "userTyping", "user": "ann"}
        say(ann, type="chat", user="a", text="t")
        assert hear(ann) == hear(bob) == {"type": "chat", "user": "a", "text": "t"}
        say(ann, type="leaveRoom")
        assert hear(bob) == {"type": "userLeft", "user": "ann", "userCount": 1}
        say(ann, type="chatMessage", text="nobody hears this")
        say(ann, type="ping", timestamp=7)
        answer = hear(ann)
        assert (answer["type"], answer["timestamp"]) == ("pong", 7)


def test_a_vanished_client_has_left_its_room(plain_peer: ServerProcess) -> None:
    with connect(plain_peer.url) as ann, connect(plain_peer.url) as bob:
        for client in (ann, bob):
            hear(client)
            say(client, type="joinRoom", room="x")
            hear(client)
            hear(client)
        assert hear(ann)["userCount"] == 2
        bob.socket.shutdown(2)
        assert hear(ann) == {"type": "userLeft", "user": None, "userCount": 1}


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
def test_what_the_guide_does_not_know_is_refused_and_the_connection_stays(plain_peer: ServerProcess, text: str) -> None:
    with connect(plain_peer.url) as client:
        hear(client)
        client.send(text)
        assert hear(client) == INVALID
        say(client, type="ping")
        assert hear(client)["type"] == "pong"


def test_an_upload_is_taken_without_an_answer(plain_peer: ServerProcess) -> None:
    with connect(plain_peer.url) as client:
        hear(client)
        say(client, type="fileStart", name="../f", size=3, mimeType="text/plain")
        client.send(b"\0\0\0\0abc")
        say(client, type="fileEnd")
        client.send(b"\0\0\0\0abc")
        assert hear(client) == INVALID


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
def test_a_signal_ends_it_cleanly_with_clients_connected(plain_peer: ServerProcess, number: signal.Signals) -> None:
    with connect(plain_peer.url) as client:
        hear(client)
        plain_peer.process.send_signal(number)
        assert plain_peer.process.wait(30) == 0
