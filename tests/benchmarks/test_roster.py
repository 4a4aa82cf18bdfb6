"""Every server that is compared holds the same conversation: otherwise the comparison would not be fair."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks._crowd import Crowd
from benchmarks._driver import Herd, Load
from benchmarks._talk import PLAIN, Talk
from benchmarks._wire import TEXT, FrameReader, upgrade
from benchmarks.peers import PeerError, running
from benchmarks.roster import OURS, ROSTER, Server
from tests.metrics.fixtures import do_without

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers import Running

SECONDS = 60
INVALID = "Invalid message format"


class Talker:
    """A client that speaks a server's dialect, and hears one message at a time."""

    def __init__(self, url: str, server: Server) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._dialect = server.dialect
        self._talk = Talk(server.dialect, pings=False)
        self.sock: socket.socket
        self.sock, start = upgrade(host, int(port), server.dialect.path)
        self.sock.settimeout(SECONDS)
        self._reader = FrameReader(start)
        self._frames = self._reader.feed(b"")
        self.sock.sendall(self._talk.hello())

    def say(self, type_: str, **fields: object) -> None:
        self.sock.sendall(self._talk.frame(type=type_, **fields))

    def hear(self) -> dict[str, Any]:
        while True:
            while not self._frames:
                self._frames = self._reader.read(self.sock)
            opcode, _, payload = self._frames.pop(0)
            text = self._dialect.unwrap(payload) if opcode == TEXT else None
            if text is not None:
                message = json.loads(text)
                assert isinstance(message, dict)
                return message

    def hears(self, type_: str, **fields: object) -> None:
        """Expect a message with these fields; a server may add to them."""
        message = self.hear()
        assert message["type"] == type_, message
        assert {name: message.get(name) for name in fields} == fields

    def hears_a_chat_message(self, user: str | None, text: str) -> None:
        message = self.hear()
        assert isinstance(message.pop("timestamp"), int)
        assert message == {"type": "chatMessage", "user": user, "text": text}


@pytest.fixture(scope="module", params=ROSTER)
def server(request: pytest.FixtureRequest) -> Server:
    return ROSTER[request.param]


@pytest.fixture(scope="module")
def peer(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    try:
        command = server.command(tmp_path_factory.mktemp("uploads"))
    except PeerError as problem:
        do_without(str(problem))
    with running(command) as running_server:
        yield running_server


@pytest.fixture
def clients(server: Server, peer: Running) -> Iterator[tuple[Talker, Talker]]:
    with ExitStack() as stack:
        ann, bob = Talker(peer.url, server), Talker(peer.url, server)
        for client in (ann, bob):
            stack.callback(client.sock.close)
            client.hears("connected")
        yield ann, bob


def test_all_hold_the_same_conversation(clients: tuple[Talker, Talker]) -> None:
    ann, bob = clients
    ann.say("setUsername", username="ann")
    ann.hears("usernameSet", username="ann")
    ann.say("joinRoom", room="x")
    ann.hears("userJoined", user="ann", room="x", userCount=1)
    ann.hears("roomJoined", room="x", userCount=1)
    bob.say("joinRoom", room="x")
    for client in (ann, bob):
        client.hears("userJoined", user=None, room="x", userCount=2)
    bob.hears("roomJoined", room="x", userCount=2)
    ann.say("chatMessage", text="hi \N{EARTH GLOBE EUROPE-AFRICA}")
    bob.hears_a_chat_message("ann", "hi \N{EARTH GLOBE EUROPE-AFRICA}")
    bob.say("chatMessage", text="")
    ann.hears_a_chat_message(None, "")
    ann.say("typing")
    bob.hears("userTyping", user="ann")
    ann.say("chat", user="a", text="t")
    for client in (ann, bob):
        client.hears("chat", user="a", text="t")
    bob.say("joinRoom", room="y")
    ann.hears("userLeft", user=None, userCount=1)
    bob.hears("userJoined", user=None, room="y", userCount=1)
    bob.hears("roomJoined", room="y", userCount=1)
    ann.say("chatMessage", text="nobody hears this")
    for client in (ann, bob):
        client.say("ping", timestamp=7)
        client.hears("pong", timestamp=7)


def test_all_refuse_the_same_and_keep_the_connection(clients: tuple[Talker, Talker]) -> None:
    ann, bob = clients
    for client in (ann, bob):
        client.say("joinRoom", room="z")
        while client.hear()["type"] != "roomJoined":
            pass
    ann.hears("userJoined", userCount=2)
    ann.say("toString")
    ann.hears("error", message=INVALID)
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
        ann.say(type_, **fields)
        ann.hears("error")
    ann.say("ping", timestamp=1)
    ann.hears("pong", timestamp=1)
    bob.say("ping", timestamp=2)
    bob.hears("pong", timestamp=2)  # and heard nothing of all that


def test_all_notice_that_a_client_is_gone(clients: tuple[Talker, Talker]) -> None:
    ann, bob = clients
    for client in (ann, bob):
        client.say("joinRoom", room="gone")
        while client.hear()["type"] != "roomJoined":
            pass
    ann.hears("userJoined", userCount=2)
    bob.sock.close()
    ann.hears("userLeft", user=None, userCount=1)
    ann.say("typing")
    ann.say("ping", timestamp=1)
    ann.hears("pong", timestamp=1)


def test_every_message_of_a_load_comes_to_every_other_member(server: Server, peer: Running) -> None:
    """A delivery is as long on every server as on ours, but for its dialect's wrapping."""
    load = Load(clients=12, rooms=3, rate=300, audit=True)
    with Herd(peer.url, load, dialect=server.dialect) as herd:
        tally = herd.run(0.0, 1.5, lambda: None)
    assert tally.uniform
    assert tally.sent == tally.offered > 0
    assert 0 < tally.deliveries <= 3 * tally.sent
    assert tally.frame_bytes == 112 + len(server.dialect.wrap(b""))
    assert len(tally.latencies_ns) == tally.deliveries


def test_above_the_presence_threshold_comings_are_not_told_one_by_one(server: Server, peer: Running) -> None:
    """Ours tells them in sum; that keeps a room of thousands from being a load of its own."""
    members = 210
    with Herd(peer.url, Load(clients=members, rooms=1, rate=1), dialect=server.dialect):
        late = Talker(peer.url, server)
        late.hears("connected")
        late.say("joinRoom", room="room0")
        heard = late.hear()
        while heard["type"] == "roomPresence":
            heard = late.hear()
        assert heard == {"type": "roomJoined", "room": "room0", "userCount": members + 1}
        late.sock.close()


def test_a_crowd_is_greeted_by_every_server(server: Server, peer: Running) -> None:
    with Crowd(peer.url, 100, server.dialect) as crowd:
        assert crowd.seconds > 0


def test_only_ours_is_not_a_peer() -> None:
    assert next(iter(ROSTER)) == OURS
    assert len({server.title for server in ROSTER.values()}) == len(ROSTER)
    assert [key for key, server in ROSTER.items() if server.dialect is not PLAIN] == ["socketio"]


def test_a_python_peer_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(PeerError, match=r"picows not found: .*pip install picows"):
        ROSTER["picows"].command(tmp_path)
