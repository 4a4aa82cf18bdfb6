"""Counters and histograms."""

from __future__ import annotations

import pytest

from server.errors import CloseReason
from server.protocol.messages import CLIENT_TYPES, SERVER_TYPES
from server.stats import Histogram, ServerStats


@pytest.mark.parametrize(("value", "bucket"), [(0.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (5.0, 2), (5.1, 3)])
def test_upper_bounds_are_inclusive(value: float, bucket: int) -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    histogram.observe(value)
    assert histogram.counts.index(1) == bucket
    assert histogram.total == value


def test_all_known_labels_exist_from_the_start() -> None:
    stats = ServerStats()
    assert set(stats.connections_closed) == {reason.label for reason in CloseReason}
    assert set(CLIENT_TYPES) < set(stats.messages_received)
    assert set(SERVER_TYPES) < set(stats.messages_delivered)
    counts = (stats.connections_closed, stats.messages_received, stats.messages_delivered, stats.uploads)
    assert not any(value for count in counts for value in count.values())


def test_connections_are_the_difference_of_opened_and_closed() -> None:
    stats = ServerStats(connections_opened=5)
    stats.connections_closed["client"] = 1
    stats.connections_closed["heartbeat"] = 2
    assert stats.connections == 2


def test_two_servers_share_no_counter() -> None:
    first, second = ServerStats(), ServerStats()
    first.uploads["saved"] += 1
    first.ping_rtt.observe(1.0)
    assert (second.uploads["saved"], second.ping_rtt.total) == (0, 0.0)
