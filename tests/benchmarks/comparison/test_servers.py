"""All compared servers answer the same messages in the same way, so that the comparison is fair."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.comparison.servers import OURS, SERVERS, Server
from benchmarks.load.connect_storm import ConnectStorm
from benchmarks.load.dialects import PLAIN, MessageEncoder, request_path
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.load.wire import TEXT, FrameReader, upgrade
from benchmarks.processes import BenchmarkError, running
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.processes import ServerProcess

SECONDS = 60
INVALID = "Invalid message format"


class Client:
    """A client in the dialect of a server, which receives one message at a time."""

    def __init__(self, url: str, server: Server) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._conversation = server.dialect.converse({"user": "unused"}, ())
        self._encoder = MessageEncoder(server.dialect, pings=False)
        self.sock: socket.socket
        self.sock, start = upgrade(host, int(port), request_path(server.dialect))
        self.sock.settimeout(SECONDS)
        self._reader = FrameReader(start)
        self._frames = self._reader.feed(b"")
        self.sock.sendall(self._encoder.opening())

    def send(self, type_: str, **fields: object) -> None:
        self.sock.sendall(self._encoder.frame(type=type_, **fields))

    def receive(self) -> dict[str, Any]:
        while True:
            while not self._frames:
                self._frames = self._reader.read(self.sock)
            opcode, _, payload = self._frames.pop(0)
            if opcode == TEXT:
                for event in self._conversation.receive(payload):
                    if event.message is not None:  # in an event of Socket.IO, the chat's message is an argument
                        (message,) = event.message.get("arguments", [event.message])
                        assert isinstance(message, dict)
                        return message

    def expect(self, type_: str, **fields: object) -> None:
        """Receive a message with these fields; a server may add others."""
        message = self.receive()
        assert message["type"] == type_, message
        assert {name: message.get(name) for name in fields} == fields

    def expect_chat_message(self, user: str | None, text: str) -> None:
        message = self.receive()
        assert isinstance(message.pop("timestamp"), int)
        assert message == {"type": "chatMessage", "user": user, "text": text}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    return SERVERS[request.param]


@pytest.fixture(scope="module")
def peer(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    try:
        command = server.command(tmp_path_factory.mktemp("uploads"))
    except BenchmarkError as problem:
        skip_or_fail(str(problem))
    with running(command) as running_server:
        yield running_server


@pytest.fixture
def clients(server: Server, peer: ServerProcess) -> Iterator[tuple[Client, Client]]:
    with ExitStack() as stack:
        ann, bob = Client(peer.url, server), Client(peer.url, server)
        for client in (ann, bob):
            stack.callback(client.sock.close)
            client.expect("connected")
        yield ann, bob


def test_all_servers_answer_the_same_conversation_alike(clients: tuple[Client, Client]) -> None:
    ann, bob = clients
    ann.send("setUsername", username="ann")
    ann.expect("usernameSet", username="ann")
    ann.send("joinRoom", room="x")
    ann.expect("userJoined", user="ann", room="x", userCount=1)
    ann.expect("roomJoined", room="x", userCount=1)
    bob.send("joinRoom", room="x")
    for client in (ann, bob):
        client.expect("userJoined", user=None, room="x", userCount=2)
    bob.expect("roomJoined", room="x", userCount=2)
    ann.send("chatMessage", text="hi \N{EARTH GLOBE EUROPE-AFRICA}")
    bob.expect_chat_message("ann", "hi \N{EARTH GLOBE EUROPE-AFRICA}")
    bob.send("chatMessage", text="")
    ann.expect_chat_message(None, "")
    ann.send("typing")
    bob.expect("userTyping", user="ann")
    ann.send("chat", user="a", text="t")
    for client in (ann, bob):
        client.expect("chat", user="a", text="t")
    bob.send("joinRoom", room="y")
    ann.expect("userLeft", user=None, userCount=1)
    bob.expect("userJoined", user=None, room="y", userCount=1)
    bob.expect("roomJoined", room="y", userCount=1)
    ann.send("chatMessage", text="to an empty room")
    for client in (ann, bob):
        client.send("ping", timestamp=7)
        client.expect("pong", timestamp=7)


def test_each_message_reaches_the_other_of_two_clients_exactly_once(clients: tuple[Client, Client]) -> None:
    ann, bob = clients
    for client in (ann, bob):
        client.send("joinRoom", room="once")
        while client.receive()["type"] != "roomJoined":
            pass
    ann.expect("userJoined", userCount=2)
    for number in range(300):
        ann.send("chatMessage", text=str(number))
    for client in (ann, bob):
        client.send("ping", timestamp=1)
    ann.expect("pong", timestamp=1)
    received = [bob.receive() for _ in range(301)]
    pong = next(message for message in received if message["type"] == "pong")  # may come before the last messages
    received.remove(pong)
    assert [message["text"] for message in received] == [str(number) for number in range(300)]


def test_all_servers_refuse_the_same_messages_and_keep_the_connection(clients: tuple[Client, Client]) -> None:
    ann, bob = clients
    for client in (ann, bob):
        client.send("joinRoom", room="z")
        while client.receive()["type"] != "roomJoined":
            pass
    ann.expect("userJoined", userCount=2)
    ann.send("toString")
    ann.expect("error", message=INVALID)
    for type_, fields in (
        ("joinRoom", {}),
        ("joinRoom", {"room": ""}),
        ("joinRoom", {"room": "a\n"}),
        ("joinRoom", {"room": "r" * 129}),
        ("setUsername", {"username": 5}),
        ("setUsername", {"username": "u" * 65}),
        ("chatMessage", {"text": None}),
        ("chatMessage", {"text": "\N{EARTH GLOBE EUROPE-AFRICA}" * 4097}),
        ("chat", {"user": "a"}),
    ):
        ann.send(type_, **fields)
        ann.expect("error")
    ann.send("ping", timestamp=1)
    ann.expect("pong", timestamp=1)
    bob.send("ping", timestamp=2)
    bob.expect("pong", timestamp=2)  # and received none of the errors


def test_all_servers_announce_a_client_that_disconnected(clients: tuple[Client, Client]) -> None:
    ann, bob = clients
    for client in (ann, bob):
        client.send("joinRoom", room="gone")
        while client.receive()["type"] != "roomJoined":
            pass
    ann.expect("userJoined", userCount=2)
    bob.sock.close()
    ann.expect("userLeft", user=None, userCount=1)
    ann.send("typing")
    ann.send("ping", timestamp=1)
    ann.expect("pong", timestamp=1)


def test_every_message_of_a_load_reaches_every_other_member(server: Server, peer: ServerProcess) -> None:
    """A delivery has the same size on every server, apart from the wrapping of its dialect."""
    load = ChatLoad(clients=12, rooms=3, rate=300, audit=True)
    with ClientPool(peer.url, load, dialect=server.dialect) as pool:
        window = pool.run(0.0, 1.5, lambda: None)
    assert window.uniform
    assert window.sent == window.offered > 0
    assert 0 < window.deliveries <= 3 * window.sent
    assert window.frame_bytes == 112 + len(server.dialect.encode({})) - len(b"{}")
    assert len(window.latencies_ns) == window.deliveries


def test_above_the_presence_threshold_joins_are_not_announced_one_by_one(server: Server, peer: ServerProcess) -> None:
    """Our server sends coalesced presence, so that presence in a room of thousands costs little."""
    members = 210
    with ClientPool(peer.url, ChatLoad(clients=members, rooms=1, rate=1), dialect=server.dialect):
        late = Client(peer.url, server)
        late.expect("connected")
        late.send("joinRoom", room="room0")
        received = late.receive()
        while received["type"] == "roomPresence":
            received = late.receive()
        assert received == {"type": "roomJoined", "room": "room0", "userCount": members + 1}
        late.sock.close()


def test_every_server_greets_all_clients_of_a_connect_storm(server: Server, peer: ServerProcess) -> None:
    with ConnectStorm(peer.url, 100, server.dialect) as storm:
        assert storm.seconds > 0


def test_our_server_comes_first_and_titles_are_unique() -> None:
    assert next(iter(SERVERS)) == OURS
    assert len({server.title for server in SERVERS.values()}) == len(SERVERS)
    assert [key for key, server in SERVERS.items() if server.dialect is not PLAIN] == ["socketio"]


def test_a_missing_library_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BenchmarkError, match=r"picows not found: .*pip install picows"):
        SERVERS["picows"].command(tmp_path)


def test_socketify_needs_a_library_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.comparison.servers.find_library", lambda _name: None)
    with pytest.raises(BenchmarkError, match=r"libuv not found, .*apt-get install libuv1"):
        SERVERS["socketify"].command(tmp_path)
