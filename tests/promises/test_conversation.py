"""A scripted conversation: each client receives exactly the messages of the protocol, in the right order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.clients import ChatClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer

Message = dict[str, Any]


def stripped(messages: list[Message]) -> list[Message]:
    """Remove ids and times, which differ in each run."""
    return [{k: v for k, v in message.items() if k not in ("clientId", "timestamp")} for message in messages]


def error(code: str, about: str | None = None, message: str = "Invalid message format") -> Message:
    return {"type": "error", "message": message, "code": code, "about": about}


def joined(user: str | None, room: str, count: int) -> Message:
    return {"type": "userJoined", "user": user, "room": room, "userCount": count}


def left(user: str | None, room: str, count: int) -> Message:
    return {"type": "userLeft", "user": user, "userCount": count, "room": room}


def test_three_clients_see_exactly_what_the_protocol_defines(server: RunningServer) -> None:
    ann, bob, eve = (ChatClient(server.url, path) for path in ("/", "/chat", "/ws/chat"))
    seen: dict[str, list[Message]] = {"ann": [], "bob": [], "eve": []}

    def settle(**clients: ChatClient) -> None:
        """Collect the messages of each client, in the given order of clients, until a pong."""
        for name, client in clients.items():
            seen[name] += client.until_pong()

    def expect(**expected: list[Message]) -> None:
        assert {name: stripped(messages) for name, messages in seen.items()} == {
            "ann": [],
            "bob": [],
            "eve": [],
            **expected,
        }
        for messages in seen.values():
            messages.clear()

    greeting = {
        "type": "connected",
        "heartbeatInterval": 30.0,
        "maxMessageBytes": 16384,
        "maxUploadBytes": 26214400,
    }
    settle(ann=ann, bob=bob, eve=eve)
    expect(ann=[greeting], bob=[greeting], eve=[greeting])

    # Names; one client stays without a name.
    ann.send("setUsername", username="ann")
    bob.send("setUsername", username="bob")
    settle(ann=ann, bob=bob, eve=eve)
    expect(ann=[{"type": "usernameSet", "username": "ann"}], bob=[{"type": "usernameSet", "username": "bob"}])

    # Without a room: a chat message is refused, leaving does nothing.
    ann.send("chatMessage", text="anyone?")
    ann.send("typing")
    ann.send("leaveRoom")
    settle(ann=ann, bob=bob, eve=eve)
    refusal = "Join a room before sending to it"
    expect(ann=[error("no_room", "chatMessage", refusal), error("no_room", "typing", refusal)])

    # Rooms: the new member gets userJoined like the other members, then roomJoined.
    ann.send("joinRoom", room="red")
    settle(ann=ann)
    bob.send("joinRoom", room="red")
    settle(bob=bob)
    eve.send("joinRoom", room="blue")
    settle(eve=eve, ann=ann)
    expect(
        ann=[joined("ann", "red", 1), {"type": "roomJoined", "room": "red", "userCount": 1}, joined("bob", "red", 2)],
        bob=[joined("bob", "red", 2), {"type": "roomJoined", "room": "red", "userCount": 2}],
        eve=[joined(None, "blue", 1), {"type": "roomJoined", "room": "blue", "userCount": 1}],
    )

    # Typing and chat messages reach the other members of the room, in order, and no other client.
    ann.send("typing")
    ann.send("chatMessage", text="hello")
    ann.send("chatMessage", text="")
    settle(ann=ann, bob=bob, eve=eve)
    expect(
        bob=[
            {"type": "userTyping", "user": "ann"},
            {"type": "chatMessage", "user": "ann", "text": "hello"},
            {"type": "chatMessage", "user": "ann", "text": ""},
        ]
    )

    # Joining another room leaves the old one first; a client without a name is null.
    eve.send("joinRoom", room="red")
    settle(eve=eve, ann=ann, bob=bob)
    expect(
        ann=[joined(None, "red", 3)],
        bob=[joined(None, "red", 3)],
        eve=[joined(None, "red", 3), {"type": "roomJoined", "room": "red", "userCount": 3}],
    )
    bob.send("joinRoom", room="green")
    settle(bob=bob, ann=ann, eve=eve)
    expect(
        ann=[left("bob", "red", 2)],
        bob=[joined("bob", "green", 1), {"type": "roomJoined", "room": "green", "userCount": 1}],
        eve=[left("bob", "red", 2)],
    )

    # Joining the current room leaves it and joins it again.
    ann.send("joinRoom", room="red")
    settle(ann=ann, eve=eve, bob=bob)
    expect(
        ann=[joined("ann", "red", 2), {"type": "roomJoined", "room": "red", "userCount": 2}],
        eve=[left("ann", "red", 1), joined("ann", "red", 2)],
    )

    # A name may change; the next message has the new name.
    eve.send("setUsername", username="eve")
    eve.send("chatMessage", text="so it was me")
    settle(eve=eve, ann=ann)
    expect(
        eve=[{"type": "usernameSet", "username": "eve"}],
        ann=[{"type": "chatMessage", "user": "eve", "text": "so it was me"}],
    )

    # `chat` reaches every client, the sender included, in any room.
    bob.send("chat", user="b", text="all")
    settle(bob=bob, ann=ann, eve=eve)
    everyone = [{"type": "chat", "user": "b", "text": "all"}]
    expect(ann=everyone, bob=everyone, eve=everyone)

    # Invalid JSON, unknown types and invalid fields are refused; the connection stays open.
    for bad in (
        "{",
        "[]",
        "{}",
        '{"type":"dance"}',
        '{"type":"joinRoom"}',
        '{"type":"setUsername","username":"\\u0000"}',
    ):
        ann.send_raw(bad)
    ann.send("chatMessage", text="still here")
    settle(ann=ann, eve=eve, bob=bob)
    expect(
        ann=[
            error("invalid_json"),
            error("not_an_object"),
            error("missing_type"),
            error("unknown_type"),
            error("invalid_field", "joinRoom"),
            error("invalid_field", "setUsername"),
        ],
        eve=[{"type": "chatMessage", "user": "ann", "text": "still here"}],
    )

    # Leaving is answered and sent to the remaining members; a lost connection counts as leaving.
    eve.send("leaveRoom")
    settle(eve=eve, ann=ann)
    expect(eve=[{"type": "roomLeft", "room": "red"}], ann=[left("eve", "red", 1)])
    eve.send("joinRoom", room="red")
    settle(eve=eve, ann=ann)
    seen["eve"].clear()
    seen["ann"].clear()
    ann.abort()
    seen["eve"].append(eve.receive())
    settle(eve=eve, bob=bob)
    expect(eve=[left("ann", "red", 1)])

    # Empty rooms are removed: eve is in red, bob leaves green.
    bob.send("leaveRoom")
    settle(bob=bob)
    samples = server.samples()
    assert samples["chat_rooms"] == 1
    assert samples["chat_rooms_created_total"] == 3
    bob.close()
    eve.close()


def notice(watcher: ChatClient) -> dict[str, Any]:
    """Return the next message to a watcher that is not a load report."""
    while (message := watcher.receive())["type"] == "load":
        pass
    return message


def test_notifications_report_rooms_and_refuse_messages(server: RunningServer) -> None:
    with ChatClient(server.url, "/ws/notifications") as watcher, ChatClient(server.url) as ann:
        watcher.send_raw("hello?")
        assert notice(watcher)["code"] == "receive_only"
        ann.send("setUsername", username="ann")
        ann.send("joinRoom", room="red")
        assert notice(watcher) == {"type": "notification", "event": "roomOpened", "room": "red"}
        ann.send("fileStart", name="f", size=0)
        ann.send("fileEnd")
        shared = notice(watcher)
        assert shared == {
            "type": "notification",
            "event": "fileShared",
            "room": "red",
            "user": "ann",
            "name": "f",
            "size": 0,
        }
        ann.send("leaveRoom")
        assert notice(watcher) == {"type": "notification", "event": "roomClosed", "room": "red"}


def test_watchers_get_the_load_every_second_and_new_watchers_the_recent_ones(server: RunningServer) -> None:
    with ChatClient(server.url) as ann:
        ann.send("joinRoom", room="red")
        ann.until_pong()
        with ChatClient(server.url, "/ws/notifications") as watcher:
            loads = [watcher.expect("load") for _ in range(3)]
            while loads[-1]["connections"] < 2:
                loads.append(watcher.expect("load"))
    assert loads[-1]["largestRooms"] == [{"room": "red", "userCount": 1}]
    assert loads[-1]["rooms"] == 1
    uptimes = [load["uptime"] for load in loads]
    assert uptimes == sorted(set(uptimes))
    assert max(load["messagesPerSecond"] for load in loads) > 0
    assert all(load["heartbeatKills"] == 0 for load in loads)
    with ChatClient(server.url, "/ws/notifications") as second:
        replayed = [second.expect("load") for _ in loads]
    assert replayed == [load | {"largestRooms": []} for load in loads]  # old reports are sent without the largest rooms


def test_watchers_get_the_longest_loop_lag_since_the_last_report(start: Callable[..., RunningServer]) -> None:
    seconds = 0.5
    server = start("--work-per-message", str(seconds))
    with ChatClient(server.url) as ann, ChatClient(server.url, "/ws/notifications") as watcher:
        ann.send("ping")  # blocks the event loop
        while watcher.expect("load")["loopLag"] < seconds / 2:
            pass
        while watcher.expect("load")["loopLag"] >= seconds / 2:
            pass  # the next report does not include that lag


def test_pings_are_answered_with_their_timestamp_and_the_servers_time(server: RunningServer) -> None:
    with ChatClient(server.url) as ann:
        ann.expect("connected")
        ann.send_raw('{"type":"ping"}')
        answer = ann.expect("pong")
        assert "timestamp" not in answer
        assert answer["serverTime"] > 1_700_000_000_000


def test_messages_of_many_authors_reach_everyone_in_one_order(server: RunningServer) -> None:
    clients = [ChatClient(server.url) for _ in range(6)]
    for client in clients:
        client.send("joinRoom", room="busy")
    for client in clients:
        client.until_pong()
    for number in range(40):
        for index, client in enumerate(clients):
            client.send("chatMessage", text=f"{index}:{number}")
    for client in clients:
        client.until_pong()  # all messages are handled
    for client in clients:
        client.until_pong()  # and delivered
    texts = [[m["text"] for m in client.received if m["type"] == "chatMessage"] for client in clients]
    for index, seen in enumerate(texts):
        others = [text for text in seen if not text.startswith(f"{index}:")]
        assert others == seen, "a client received its own message"
        assert len(seen) == 5 * 40
    for first in range(6):
        for second in range(first):
            skip = (f"{first}:", f"{second}:")
            ours = [[t for t in texts[client_] if not t.startswith(skip)] for client_ in (first, second)]
            assert ours[0] == ours[1], "two clients received messages in different orders"
    for client in clients:
        client.close()
