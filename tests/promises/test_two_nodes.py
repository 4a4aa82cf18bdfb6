"""Two server processes over a real NATS server, from the view of their clients."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.clients import ChatClient
from tests.metrics.fixtures import wait_until
from tests.processes import RunningServer, run_server, start_server
from tests.server.cluster.fixtures import Nats, wait_for_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Two = tuple[RunningServer, RunningServer]


def connect(server: RunningServer, name: str, room: str | None = None) -> ChatClient:
    client = ChatClient(server.url)
    client.expect("connected")
    client.send("setUsername", username=name)
    client.expect("usernameSet")
    if room is not None:
        client.send("joinRoom", room=room)
        client.expect("userJoined")
        client.expect("roomJoined")
    return client


@pytest.fixture
def pair(two: Two) -> Iterator[tuple[ChatClient, ChatClient]]:
    """Ann on one node and Bob on the other, in one room; Ann has received Bob's join."""
    with connect(two[0], "ann", "x") as ann:
        # Otherwise Bob could receive Ann's join after his own.
        wait_until(lambda: json.loads(two[1].get("/api/status"))["rooms"] == 1, "the other node to know Ann")
        with connect(two[1], "bob", "x") as bob:
            assert ann.expect("userJoined") == {"type": "userJoined", "user": "bob", "room": "x", "userCount": 2}
            yield ann, bob


def bus(server: RunningServer, name: str) -> float:
    return server.samples()[f"chat_bus_{name}"]


def test_a_conversation_across_two_nodes(pair: tuple[ChatClient, ChatClient]) -> None:
    ann, bob = pair
    ann.send("chatMessage", text="hello")
    assert bob.expect("chatMessage")["text"] == "hello"
    bob.send("typing")
    assert ann.expect("userTyping")["user"] == "bob"
    bob.send("chat", user="bob", text="to all")
    assert ann.expect("chat")["text"] == bob.expect("chat")["text"] == "to all"
    bob.send("leaveRoom")
    assert ann.expect("userLeft") == {"type": "userLeft", "user": "bob", "userCount": 1, "room": "x"}
    assert ann.until_pong() == []


def test_messages_of_one_sender_arrive_once_and_in_order(pair: tuple[ChatClient, ChatClient]) -> None:
    ann, bob = pair
    texts = [str(number) for number in range(90)]
    for text in texts:
        ann.send("chatMessage", text=text)
    assert [bob.expect("chatMessage")["text"] for _ in texts] == texts
    assert bob.until_pong() == []


def test_a_client_receives_nothing_of_other_rooms_on_another_node(two: Two) -> None:
    with connect(two[0], "ann", "x") as ann, connect(two[1], "bob", "y") as bob:
        ann.send("chatMessage", text="to x")
        ann.until_pong()
        assert bob.until_pong() == []


@pytest.mark.usefixtures("pair")
def test_the_status_of_each_node_counts_all_nodes(two: Two) -> None:
    with connect(two[1], "carl", "z"):
        wait_for_each(
            two, lambda server: json.loads(server.get("/api/status"))["connections"] == 3, "all to be counted"
        )
        assert [json.loads(server.get("/api/status"))["rooms"] for server in two] == [2, 2]


def test_a_node_that_shuts_down_leaves_the_others(two: Two, pair: tuple[ChatClient, ChatClient]) -> None:
    two[1].stop()
    assert pair[0].receive()["userCount"] == 1
    wait_until(lambda: bus(two[0], "nodes") == 1, "the other node to be removed")


def test_a_killed_node_is_removed_and_its_members_are_reported_as_left(
    two: Two, pair: tuple[ChatClient, ChatClient]
) -> None:
    two[1].kill()
    assert pair[0].expect("roomPresence") == {
        "type": "roomPresence", "room": "x", "userCount": 1, "joined": 0, "left": 1
    }  # fmt: skip
    assert bus(two[0], "nodes") == 1
    assert two[0].get("/health") == "OK"


def test_a_resumed_node_does_not_treat_the_bus_as_silent(two: Two, pair: tuple[ChatClient, ChatClient]) -> None:
    ann, bob = pair
    two[1].process.send_signal(signal.SIGSTOP)
    # The other node removes it after three heartbeat intervals; its own last probe is then as old.
    wait_until(lambda: bus(two[0], "nodes") == 1, "the other node to be removed")
    bob.send("chatMessage", text="good morning")
    two[1].process.send_signal(signal.SIGCONT)
    while (received := ann.receive())["type"] != "chatMessage":
        pass  # the other node had removed it
    assert received["text"] == "good morning"
    assert bus(two[1], 'dropped_total{reason="disconnected"}') == 0


def test_a_node_can_shut_down_while_the_bus_is_suspended(
    nats: Nats, two: Two, pair: tuple[ChatClient, ChatClient]
) -> None:
    nats.pause()
    for _ in range(40):
        pair[0].send("chatMessage", text="x" * 16000)
    pair[0].until_pong()
    two[0].stop(expects_errors=True)
    nats.resume()
    while pair[1].receive().get("userCount") != 1:
        pass  # earlier messages may still arrive


def test_a_second_signal_ends_a_node_while_the_bus_is_suspended(
    nats: Nats, two: Two, pair: tuple[ChatClient, ChatClient]
) -> None:
    nats.pause()
    for _ in range(40):
        pair[0].send("chatMessage", text="x" * 16000)
    pair[0].until_pong()
    two[0].process.send_signal(signal.SIGINT)
    assert two[0].process.stdout is not None
    assert two[0].process.stdout.readline() == "draining 1 client, Ctrl-C again to end now\n"
    two[0].stop(signal.SIGINT, expects_errors=True)
    nats.resume()


def test_an_unreachable_bus_gives_one_line_and_exit_code_1() -> None:
    done = run_server("--nats", "nats://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "stampede: cannot connect to the bus at nats://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:4222", "nats://", "nonsense"])
def test_an_invalid_bus_address_gives_exit_code_2(url: str) -> None:
    assert run_server("--nats", url).returncode == 2


def test_a_token_in_the_url_authenticates_and_is_never_printed(tmp_path: Path) -> None:
    configuration = tmp_path / "nats.conf"
    configuration.write_text('authorization { token: "open-sesame" }')
    nats = Nats("--config", str(configuration))
    try:
        refused = run_server("--nats", nats.url.replace("//", "//wrong-word@"))
        assert refused.returncode == 1
        assert "wrong-word" not in refused.stderr
        server = start_server("--nats", nats.url.replace("//", "//open-sesame@"), "--drain-seconds", "0")
        assert bus(server, "connected") == 1
        server.stop()
    finally:
        nats.kill()
