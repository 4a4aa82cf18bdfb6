"""Several instances of a server: the members of a room are at all addresses, and losses are told apart by address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stampede import LoadGenerator, StampedeError
from tests.metrics.fixtures import wait_until
from tests.processes import RunningServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.cluster.fixtures import Nats
    from tests.stampede.fixtures import Locust

Two = tuple[RunningServer, RunningServer]
TIMEOUT = 60.0
FLAGS = ("ChattingUser", "-u", "8", "-r", "8", "-t", "2s", "--room-size", "4", "--message-rate", "4")


def addresses(two: Two) -> list[str]:
    return [server.url.removeprefix("ws://") for server in two]


def delivered(server: RunningServer) -> int:
    """Return the deliveries that a server counts to its own clients."""
    return int(server.samples()['chat_messages_delivered_total{type="chatMessage"}'])


@pytest.mark.parametrize("is_cut", [False, True], ids=["bus", "bus cut"])
def test_the_counts_of_each_pair_are_those_of_the_servers(two: Two, nats: Nats, is_cut: bool) -> None:
    """Each server counts the deliveries to its own clients; without the bus, they are all within its address."""
    first, second = addresses(two)
    with LoadGenerator("ws://chat.invalid", connect_to=f"{first},{second}") as generator:
        users = generator.join("room", users=6)
        if is_cut:
            nats.kill()
        for user in users:
            for _ in range(5):
                user.say()
        arriving = 60 if is_cut else 150
        wait_until(lambda: generator.ledger.received == arriving, "deliveries")
        generator.drain(timeout=2 if is_cut else TIMEOUT)
    expected = {(first, first): 30, (second, second): 30, (first, second): 45, (second, first): 45}
    found = {(pair.sender, pair.receiver): pair for pair in generator.address_pairs}
    assert {way: pair.expected for way, pair in found.items()} == expected
    lost = {way: 45 if is_cut and way[0] != way[1] else 0 for way in expected}
    assert {way: pair.lost for way, pair in found.items()} == lost
    for server, address in zip(two, (first, second), strict=True):
        assert sum(pair.received for (_, receiver), pair in found.items() if receiver == address) == delivered(server)


def test_users_that_reconnect_after_a_storm_keep_their_addresses(start: Callable[..., RunningServer]) -> None:
    """Each pair of users would otherwise be at one address or at two, by chance."""
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    port = server.url.rpartition(":")[2]
    with LoadGenerator("ws://chat.invalid", connect_to=f"127.0.0.1:{port},127.0.0.2:{port}") as generator:
        users = [user for room in "abcdef" for user in generator.join(room, users=2)]
        assert generator.storm(share=1.0, timeout=TIMEOUT).resynced == len(users)
        for user in users:
            user.say()
        assert generator.drain(timeout=TIMEOUT)
    assert [(pair.is_within, pair.received) for pair in generator.address_pairs] == [
        (True, 0), (False, 6), (False, 6), (True, 0)
    ]  # fmt: skip


def test_a_text_that_is_no_address_to_connect_to_is_refused() -> None:
    with pytest.raises(StampedeError, match=r"^connect_to: 'chat' is not HOST:PORT"):
        LoadGenerator("ws://chat.invalid", connect_to="chat")


@pytest.mark.parametrize(
    ("is_cut", "processes"), [(False, ()), (True, ("--processes", "2"))], ids=["bus", "bus cut, two workers"]
)
def test_a_run_tells_losses_between_the_instances_from_those_within(
    locust: Callable[..., Locust], two: Two, nats: Nats, is_cut: bool, processes: tuple[str, ...]
) -> None:
    if is_cut:
        nats.kill()
    first, second = addresses(two)
    given = ("--host", "ws://chat.invalid", "--connect-to", f"{first},{second}", "--threshold", "loss<1%")
    ended = locust("--headless", *given, *FLAGS, *processes).wait()
    assert f"2 of 2 addresses loaded: {first} (4 connections), {second} (4 connections)" in ended.out
    if not is_cut:
        assert ended.ended_with(0), ended.out + ended.log
        assert "within an address" not in ended.out
        return
    assert ended.ended_with(99), ended.out + ended.log
    one, other = sorted((first, second))
    found = re.search(rf"lost 0 of (\d+) within an address, (\d+) of (\d+) between {one} and {other}", ended.out)
    assert found is not None, ended.out
    within, lost, between = map(int, found.groups())
    ledger = ended.ledger()
    assert (ledger["received"], ledger["lost"], between) == (within, lost, lost)
