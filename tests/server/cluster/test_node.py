"""Two nodes as plain objects, over a bus that loses, delays and repeats messages as a test specifies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.cluster.node import LATE_SECONDS
from server.protocol import messages as wire
from tests.server.cluster.node_helpers import (
    ROOM,
    Process,
    deliver,
    events,
    pair,
    texts,
)

FATES = st.sampled_from(["arrives", "is lost", "arrives late", "arrives twice"])


@given(st.lists(st.tuples(FATES, st.booleans()), max_size=30))
def test_messages_arrive_in_order_at_most_once_and_losses_are_counted(
    steps: list[tuple[str, bool]],
) -> None:
    """Each step: the fate of a message, and whether the last delayed message arrives after it."""
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    late: list[tuple[str, bytes]] = []
    for number, (fate, late_one_arrives) in enumerate([*steps, ("arrives", True)]):
        here.send(ann, str(number))
        (message,) = here.link.published
        here.link.published.clear()
        if fate == "arrives late":
            late.append(message)
        elif fate != "is lost":
            there.receive(*message)
            if fate == "arrives twice":
                there.receive(*message)
        if late and late_one_arrives:
            there.receive(*late.pop())
    numbers = [int(text) for text in texts(bob)]
    assert numbers == sorted(set(numbers))
    first = next(iter(numbers))
    assert there.stats.bus_dropped["lost"] == numbers[-1] - first + 1 - len(numbers)


def test_a_node_ignores_its_own_messages() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, amy = here.join_room("amy")
    here.send(ann, "once")
    echo = list(here.link.published)
    deliver(here, there)
    for message in echo:
        here.receive(*message)
    assert texts(amy) == ["once"]
    assert here.node.remote.nodes == 1


def test_a_stale_presence_message_changes_nothing() -> None:
    here, there = pair()
    here.join_room("ann")
    early = [message for message in here.link.published if b"presence" in message[1]]
    here.join_room("amy")
    deliver(here, there)
    for message in early:
        there.receive(*message)
    assert there.node.remote.members(ROOM) == 2


def test_an_overloaded_node_drops_the_ephemeral_messages_it_receives() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    bob.received.clear()
    there.link.delay = LATE_SECONDS + 0.1
    here.hub.handle(ann, wire.SendTyping(), 0.0)
    here.send(ann, "hello")
    deliver(here, there)
    assert [message["type"] for message in bob.received] == ["chatMessage"]
    assert there.stats.bus_dropped["ephemeral"] == 1


def test_watchers_of_all_nodes_are_told_once_of_rooms_and_files() -> None:
    here, there = pair()
    watchers = here.watch(), there.watch()
    ann, _ = here.join_room("ann")
    deliver(here, there)
    bob, _ = there.join_room("bob")
    deliver(here, there)
    assert [events(watcher) for watcher in watchers] == [[("roomOpened", ROOM)]] * 2
    here.hub.share_file(ann, wire.FileSaved(upload_id="u", name="notes.txt", size=7, sha256="0"), "text/plain", 0.0)
    here.hub.disconnect(ann, 0.0)
    here.run_callbacks()
    deliver(here, there)
    there.hub.disconnect(bob, 0.0)
    there.run_callbacks()
    deliver(here, there)
    expected = [("roomOpened", ROOM), ("fileShared", ROOM), ("roomClosed", ROOM)]
    assert [events(watcher) for watcher in watchers] == [expected] * 2


def test_sequence_numbers_of_removed_nodes_are_limited() -> None:
    here, there = pair()
    there.join_room("bob")
    for number in range(200):
        short_lived = Process(f"node {number}")
        ann, _ = short_lived.join_room("ann")
        short_lived.send(ann, "hello")
        deliver(short_lived, there)
        there.now += 0.5
        there.node.remove_silent()
        for _ in range(7):
            there.now += 0.5
            there.node.remove_silent()
    assert there.node.remote.nodes == 0
    assert len(there.node._received) <= 64
    assert here.node.remote.nodes == 1
