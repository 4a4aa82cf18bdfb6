"""The hub: clients and watchers, and messages to and from other nodes."""

from __future__ import annotations

from msgspec import structs

from server.chat.broker import EVERYONE, WATCHERS
from server.chat.client import Client
from server.chat.hub import LOAD_HISTORY
from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from stampede.websocket.frames import text_frame
from tests.server.chat.hub_helpers import (
    NOW_MS,
    FakeConnection,
    Harness,
    RecordingBroker,
    decode_frames,
    harness_in_one_room,
)


def test_flush_to_sends_a_client_its_waiting_messages_in_order() -> None:
    clients = DIRECT_MEMBERS + 1
    harness = Harness(clients)
    for index in range(clients):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    harness.do(1, wire.SendChatMessage(text="room"))
    harness.do(1, wire.SendChat(user="a", text="all"))
    harness.do(1, wire.SendTyping())
    harness.hub.flush_to(harness.clients[0])
    assert [message["type"] for message in harness.received(0)] == ["chatMessage", "chat", "userTyping"]
    assert [message["type"] for message in harness.received(2)] == ["chatMessage"], (
        "the others get it at the end of the iteration"
    )
    harness.hub.flush_to(Client("in no room", FakeConnection()))


def test_a_disconnected_client_gets_no_more_messages() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    harness.hub.disconnect(harness.clients[0], 0.25)
    assert [message["type"] for message in harness.received(1)] == ["userLeft"], "written at once"
    harness.clear_received()
    harness.do(1, wire.SendChat(user="a", text="x"))
    harness.do(1, wire.SendChatMessage(text="y"))
    assert harness.received(0) == []
    assert [message["text"] for message in harness.received(1)] == ["x"]
    assert harness.clients[0].room is None
    assert (harness.stats.room_joins, harness.stats.room_leaves) == (2, 1)


def test_a_new_watcher_gets_the_last_load_reports_without_rooms() -> None:
    harness = Harness(0)
    rooms = (wire.RoomSize(room="r", user_count=1),)
    loads = [wire.Load(float(second), 1, 1, 2.0, 3.0, 0, 0.001, rooms) for second in range(LOAD_HISTORY + 3)]
    for load in loads[:-1]:
        harness.hub.report_load(load)
    watcher = harness.watch()
    harness.hub.report_load(loads[-1])
    reports = decode_frames(watcher.written)
    assert [report["uptime"] for report in reports] == [load.uptime for load in loads[2:]]
    assert {report["type"] for report in reports} == {"load"}
    assert all(report["largestRooms"] == [] for report in reports[:-1]), "old reports have no rooms"
    assert reports[-1]["largestRooms"] == [{"room": "r", "userCount": 1}]
    assert wire.encode(structs.replace(loads[-1], largest_rooms=rooms)) in watcher.written
    assert harness.stats.fanout_duration.total == 0.0, "a report is timed from its creation"


def test_watchers_are_told_of_a_drain() -> None:
    harness = Harness(1)
    harness.clear_received()
    watchers = [harness.watch(), harness.watch()]
    harness.hub.announce_drain()
    for watcher in watchers:
        assert decode_frames(watcher.written) == [{"type": "notification", "event": "draining"}]
    assert harness.received(0) == []


def test_the_broker_gets_what_a_client_does_under_the_key_of_its_room() -> None:
    broker = RecordingBroker()
    harness = Harness(1, broker=broker)
    harness.do(0, wire.SetUsername(username="ann"))
    harness.do(0, wire.JoinRoom(room=" r "))
    harness.do(0, wire.SendTyping())
    harness.do(0, wire.SendChatMessage(text="hi"))
    harness.hub.share_file(
        harness.clients[0], wire.FileSaved(upload_id="u", name="a.txt", size=3, sha256="0"), "text/plain", 0.5
    )
    harness.do(0, wire.SendChat(user="x", text="to everyone"))
    harness.do(0, wire.LeaveRoom())
    assert broker.calls == [
        ("subscribe", "r"),
        ("member_joined", "r", "ann", False),
        ("when_subscribed", "r"),
        ("publish", "r", "userTyping", {"user": "ann"}),
        ("publish", "r", "chatMessage", {"user": "ann", "text": "hi", "timestamp": NOW_MS}),
        (
            "publish",
            "r",
            "fileShared",
            {"user": "ann", "name": "a.txt", "size": 3, "mimeType": "text/plain", "uploadId": "u"},
        ),
        (
            *("publish", WATCHERS, "notification"),
            {"event": "fileShared", "room": " r ", "user": "ann", "name": "a.txt", "size": 3},
        ),
        ("publish", EVERYONE, "chat", {"user": "x", "text": "to everyone"}),
        ("member_left", "r", "ann", False),
        ("unsubscribe", "r"),
    ]


def test_a_file_stored_outside_a_room_is_announced_only_to_the_watchers_of_all_nodes() -> None:
    broker = RecordingBroker()
    harness = Harness(2, broker=broker)
    watcher = harness.watch()
    harness.clear_received()
    harness.hub.share_file(
        harness.clients[0], wire.FileSaved(upload_id="u", name="a.txt", size=3, sha256="0"), "text/plain", 0.5
    )
    expected = {"event": "fileShared", "name": "a.txt", "size": 3}
    assert broker.calls == [("publish", WATCHERS, "notification", expected)]
    assert decode_frames(watcher.written) == [{"type": "notification", **expected}]
    assert harness.received(0) == harness.received(1) == []


def entry(text: str) -> tuple[str, bytes]:
    """Return one entry of a message of another node to a room."""
    return "chatMessage", text_frame(wire.encode(wire.ChatMessage("eve", text, 7)))


def test_a_remote_message_reaches_local_members_timed_from_its_arrival() -> None:
    harness, broker = harness_in_one_room(2)
    harness.stats.fanout_duration.total = 0.0
    harness.hub.receive_messages("r", [entry("one")])
    assert [[m["text"] for m in harness.received(index)] for index in range(2)] == [["one"]] * 2, (
        "a single message is written at once"
    )
    writes = [connection.writes for connection in harness.connections]
    harness.hub.receive_messages("r", [entry("two"), entry("three")])
    assert [connection.writes for connection in harness.connections] == writes, "two messages are joined"
    harness.end_iteration()
    assert [connection.writes for connection in harness.connections] == [count + 1 for count in writes]
    assert [m["text"] for m in harness.received(1)] == ["one", "two", "three"]
    assert harness.stats.fanout_duration.total == 0.0
    harness.hub.receive_messages("r", [entry("four")])
    assert harness.received(1)[-1]["text"] == "four"
    assert broker.calls == [], "remote messages are not sent back"


def test_remote_messages_to_everyone_and_to_watchers_reach_only_them() -> None:
    harness, _ = harness_in_one_room(1)
    watcher = harness.watch()
    message = entry("x")
    harness.hub.receive_messages(EVERYONE, [message])
    assert (harness.received(0)[0]["text"], watcher.written) == ("x", b"")
    harness.hub.receive_messages(WATCHERS, [message])
    assert watcher.written == message[1] == harness.connections[0].written


def test_a_remote_message_without_local_recipients_is_not_counted() -> None:
    harness = Harness(0)
    for key in ("unknown", EVERYONE, WATCHERS):
        harness.hub.receive_messages(key, [entry("x")])
    assert harness.stats.fanout_recipients.counts == [0] * len(harness.stats.fanout_recipients.counts)


def test_watchers_are_told_of_remote_rooms_without_local_members() -> None:
    harness, _ = harness_in_one_room(1)
    watcher = harness.watch()
    for key in ("r", "far"):
        for is_open in (True, False):
            harness.hub.receive_room_state(key, is_open=is_open)
    assert decode_frames(watcher.written) == [
        {"type": "notification", "event": "roomOpened", "room": "far"},
        {"type": "notification", "event": "roomClosed", "room": "far"},
    ]


def test_a_reply_reaches_one_client() -> None:
    harness = Harness(2)
    harness.clear_received()
    harness.hub.reply(harness.clients[0], wire.UsernameSet(username="ann"))
    assert harness.received(0) == [{"type": "usernameSet", "username": "ann"}]
    assert harness.received(1) == []


def test_a_removed_watcher_gets_no_more_notifications() -> None:
    harness = Harness(0)
    watchers = {name: FakeConnection() for name in ("leaving", "staying")}
    clients = {name: Client(name, connection) for name, connection in watchers.items()}
    for client in clients.values():
        harness.hub.watch(client)
    harness.hub.unwatch(clients["leaving"])
    harness.hub.announce_drain()
    assert watchers["leaving"].written == b""
    assert decode_frames(watchers["staying"].written) == [{"type": "notification", "event": "draining"}]
