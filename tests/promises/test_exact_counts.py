"""A fixed script of clients gives exactly the predicted counts: at the clients, in /metrics and in Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.uploads.session import PROGRESS_SECONDS
from stampede.websocket.frames import masked_text_frame
from tests.clients import ChatClient, RawClient
from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer

ROOMS = 3
MEMBERS = 5
MESSAGES = 7
UPLOAD = 65536 + 1
FANNED_OUT = ("userJoined", "userLeft", "chatMessage", "userTyping", "fileShared")


def test_all_counts_are_as_predicted(start: Callable[..., RunningServer], start_prometheus: StartPrometheus) -> None:
    server = start("--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    clients = [ChatClient(server.url) for _ in range(ROOMS * MEMBERS)]
    rooms = [clients[i : i + MEMBERS] for i in range(0, len(clients), MEMBERS)]
    pings = 0

    def exchange_pings() -> None:
        nonlocal pings
        for client in clients:
            client.until_pong()
            pings += 1

    for number, room in enumerate(rooms):
        for index, client in enumerate(room):
            client.send("setUsername", username=f"user-{number}-{index}")
            client.send("joinRoom", room=f"room-{number}")
            client.until_pong()
            pings += 1
    for client in clients:
        for number in range(MESSAGES):
            client.send("chatMessage", text=f"message {number}")
        client.send("typing")
        client.send_raw("not json")
    exchange_pings()
    uploader = clients[0]
    uploader.send("fileStart", name="f.bin", size=UPLOAD)
    uploader.send_raw(b"\0\0\0\0" + b"a" * 65536)
    time.sleep(1.2 * PROGRESS_SECONDS)  # the next chunk is reported, unless this one was
    uploader.send_raw(b"\0\0\0\1" + b"b")
    uploader.send("fileEnd")
    while uploader.receive()["type"] != "fileShared":
        pass
    exchange_pings()
    clients[-1].send("leaveRoom")
    clients[-1].until_pong()
    pings += 1
    exchange_pings()

    n = ROOMS * MEMBERS
    join_messages = ROOMS * MEMBERS * (MEMBERS + 1) // 2
    received = {
        "setUsername": n,
        "joinRoom": n,
        "leaveRoom": 1,
        "chatMessage": n * MESSAGES,
        "typing": n,
        "chat": 0,
        "ping": pings,
        "fileStart": 1,
        "fileChunk": 2,
        "fileEnd": 1,
    }
    delivered = {
        "connected": n,
        "usernameSet": n,
        "userJoined": join_messages,
        "roomJoined": n,
        "roomLeft": 1,
        "userLeft": MEMBERS - 1,
        "chatMessage": n * MESSAGES * (MEMBERS - 1),
        "userTyping": n * (MEMBERS - 1),
        "pong": pings,
        "error": n,
        "fileReady": 1,
        "fileSaved": 1,
        "fileShared": MEMBERS,
        "chat": 0,
        "notification": 0,
    }
    received_counts = dict.fromkeys(delivered, 0)
    for client in clients:
        for message in client.received:
            received_counts[message["type"]] = received_counts.get(message["type"], 0) + 1
    delivered["fileProgress"] = received_counts["fileProgress"]  # depends on time
    assert 1 <= received_counts["fileProgress"] <= 2
    assert received_counts == delivered

    expected = {
        **{f'chat_messages_received_total{{type="{kind}"}}': count for kind, count in received.items()},
        **{f'chat_messages_delivered_total{{type="{kind}"}}': count for kind, count in delivered.items()},
        "chat_connections": n,
        "chat_connections_opened_total": n,
        "chat_rooms": ROOMS,
        "chat_room_members_max": MEMBERS,
        "chat_rooms_created_total": ROOMS,
        "chat_room_joins_total": n,
        "chat_room_leaves_total": 1,
        "chat_heartbeat_kills_total": 0,
        "chat_uploads_active": 0,
        'chat_uploads_total{outcome="saved"}': 1,
        "chat_upload_bytes_total": UPLOAD,
        'chat_invalid_messages_total{reason="invalid_json"}': n,
        "chat_received_bytes_total": sum(client.sent_bytes for client in clients),
        "chat_sent_bytes_total": sum(client.received_bytes for client in clients),
        "chat_fanout_recipients_sum": sum(delivered[kind] for kind in FANNED_OUT),
    }
    samples = server.samples()
    assert {name: samples[name] for name in expected} == expected
    start_prometheus(server=server.url).expect(expected)
    for client in clients:
        client.close()


def test_silent_clients_are_disconnected_and_counted_by_reason(start: Callable[..., RunningServer]) -> None:
    server = start("--heartbeat-interval", "1", "--heartbeat-timeout", "6")  # the observer may stall for a while
    with ChatClient(server.url) as observer:
        observer.expect("connected")
        observer.send("joinRoom", room="r")
        observer.until_pong()
        silent = [RawClient(server.url) for _ in range(3)]
        for client in silent:
            client.send(masked_text_frame(b'{"type":"joinRoom","room":"r"}', b"mask"))
        for _ in silent:
            observer.expect("userJoined")
        for left in (3, 2, 1):
            assert observer.expect("userLeft")["userCount"] == left
        samples = server.samples()
        assert samples["chat_connections"] == 1
        assert samples["chat_heartbeat_kills_total"] == 3
        assert samples['chat_connections_closed_total{reason="heartbeat"}'] == 3
        assert samples["chat_heartbeat_pings_total"] >= samples["chat_ping_rtt_seconds_count"] > 0
        for client in silent:
            client.close()
    assert server.closed()["heartbeat"] == 3


def test_opened_minus_closed_is_open_for_every_way_to_close(server: RunningServer) -> None:
    closed, aborted, invalid = ChatClient(server.url), RawClient(server.url), RawClient(server.url)
    closed.close()
    aborted.close()
    invalid.send(b"\xff\xff")
    assert invalid.close_code() == 1002
    with ChatClient(server.url, "/ws/echo"):
        wait_until(lambda: server.samples()["chat_connections"] == 1, "the other connections to be closed")
        assert server.samples()["chat_connections_opened_total"] == 4
        assert server.closed() == {"client": 1, "vanished": 1, "protocol_error": 1}
