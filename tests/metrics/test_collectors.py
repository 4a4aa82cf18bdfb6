from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from server.errors import CloseReason
from server.stats import ServerStats
from tests.metrics.pages import series
from tests.metrics.states import busy_stats, exposition

GOLDEN = Path(__file__).with_name("exposition.golden.txt")
ROOMS = {"a": [1, 2], "b": [1, 2, 3]}


def test_the_page_of_a_fixed_state_is_the_golden_file() -> None:
    """To update the file: `STAMPEDE_UPDATE_GOLDEN=1 pytest tests/metrics/test_collectors.py`; check the diff."""
    page = exposition(busy_stats(), ROOMS).render().body
    if os.environ.get("STAMPEDE_UPDATE_GOLDEN"):
        GOLDEN.write_bytes(page)
    assert page.decode() == GOLDEN.read_text()


def test_gauges_show_the_state_at_the_scrape() -> None:
    stats = ServerStats()
    rooms: dict[str, list[int]] = {}
    page = exposition(stats, rooms)
    empty = series(page.render().body)
    assert (empty["chat_connections"], empty["chat_rooms"], empty["chat_room_members_max"]) == (0, 0, 0)
    stats.connections_opened = 9
    stats.connections_closed[CloseReason.HEARTBEAT.label] = 2
    rooms.update(small=[1], large=[1, 2, 3, 4], middle=[1, 2])
    busy = series(page.render().body)
    assert (busy["chat_connections"], busy["chat_rooms"], busy["chat_room_members_max"]) == (7, 3, 4)
    assert busy["chat_uploads_active"] == 3


def test_every_counter_is_exported_under_its_own_name() -> None:
    stats = busy_stats()
    page = series(exposition(stats, {}).render().body)
    assert page["chat_connections_opened_total"] == stats.connections_opened
    assert page["chat_received_bytes_total"] == stats.received_bytes
    assert page["chat_sent_bytes_total"] == stats.sent_bytes
    assert page["chat_heartbeat_pings_total"] == stats.heartbeat_pings
    assert page["chat_heartbeat_kills_total"] == stats.heartbeat_kills
    assert page["chat_room_joins_total"] == stats.room_joins
    assert page["chat_room_leaves_total"] == stats.room_leaves
    assert page["chat_rooms_created_total"] == stats.rooms_created
    assert page["chat_upload_bytes_total"] == stats.upload_bytes
    assert page["chat_download_bytes_total"] == stats.download_bytes
    assert page["chat_downloads_active"] == stats.downloads_active
    for metric, label, counters in (
        ("chat_connections_closed_total", "reason", stats.connections_closed),
        ("chat_handshakes_rejected_total", "reason", stats.handshakes_rejected),
        ("chat_messages_received_total", "type", stats.messages_received),
        ("chat_messages_delivered_total", "type", stats.messages_delivered),
        ("chat_invalid_messages_total", "reason", stats.invalid_messages),
        ("chat_uploads_total", "outcome", stats.uploads),
        ("chat_downloads_total", "outcome", stats.downloads),
    ):
        assert {key: page[f'{metric}{{{label}="{key}"}}'] for key in counters} == counters
    for (kind, reason), dropped in stats.messages_dropped.items():
        assert page[f'chat_messages_dropped_total{{reason="{reason}",type="{kind}"}}'] == dropped
    for (path, code), answered in stats.http_requests.items():
        assert page[f'chat_http_requests_total{{code="{code}",path="{path}"}}'] == answered
    for metric, histogram in (
        ("chat_fanout_recipients", stats.fanout_recipients),
        ("chat_fanout_duration_seconds", stats.fanout_duration),
        ("chat_ping_rtt_seconds", stats.ping_rtt),
        ("chat_event_loop_lag_seconds", stats.event_loop_lag),
        ("chat_session_duration_seconds", stats.session_duration),
        ("chat_upload_duration_seconds", stats.upload_duration),
    ):
        assert page[f"{metric}_count"] == sum(histogram.counts)
        assert page[f"{metric}_sum"] == histogram.total


def cost_ns(connections: int) -> tuple[float, int]:
    """Return the median time of a scrape, and the size of the page with values of equal width."""
    stats = busy_stats()
    stats.connections_opened = connections
    rooms = {str(number): [0] * (connections // 100) for number in range(100)}
    page = exposition(stats, rooms)
    times = []
    for _ in range(21):
        start = perf_counter_ns()
        page.render()
        times.append(perf_counter_ns() - start)
    return median(times), len(series(page.render().body))


def test_ten_thousand_connections_cost_a_scrape_no_more_than_a_hundred() -> None:
    """Compare the best of a few scrapes; a cost that grows with connections shows even on a busy machine."""
    ratios = []
    for _ in range(5):
        few, few_series = cost_ns(100)
        many, many_series = cost_ns(10_000)
        assert few_series == many_series
        ratios.append(many / few)
    assert min(ratios) < 2
