from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from capacity.measure.server_sample import ServerSample
from capacity.measure.server_window import ServerWindow, server_window
from capacity.measure.system_sample import SystemSample, system_window


def test_server_rates_cover_the_window() -> None:
    before = ServerSample(
        at_s=10, cpu_seconds=1, core_busy_s=1, core_steal_s=0, dropped=5, lag_buckets={0.1: 0, 1.0: 0}
    )
    after = ServerSample(
        at_s=12, cpu_seconds=2, core_busy_s=2.6, core_steal_s=0.2, dropped=6, lag_buckets={0.1: 0, 1.0: 100}
    )
    window = server_window(before, after)
    assert window.cpu == pytest.approx(0.5)
    assert window.core_foreign == pytest.approx(0.4)
    assert window.dropped == 1
    assert window.loop_lag_p99_ms == pytest.approx(991)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    before = ServerSample(at_s=0, lag_buckets={0.5: 0, float("inf"): 0})
    after = ServerSample(at_s=1, lag_buckets={0.5: 1, float("inf"): 100})
    assert server_window(before, after).loop_lag_p99_ms == pytest.approx(500)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ServerSample(at_s=1)),
        (ServerSample(at_s=1), None),
    ],
    ids=["no start", "no end"],
)
def test_without_two_samples_all_figures_are_unknown(before: ServerSample | None, after: ServerSample | None) -> None:
    assert server_window(before, after) == ServerWindow()


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (ServerSample(at_s=1), ServerSample(at_s=1), "do not change"),
        (ServerSample(at_s=1, started_at=5), ServerSample(at_s=2, started_at=6), "restarted"),
        (ServerSample(at_s=1, processes=2), ServerSample(at_s=2), "restarted"),
        (ServerSample(at_s=1, problem="silence"), ServerSample(at_s=2), "silence"),
        (ServerSample(at_s=1), ServerSample(at_s=2, problem="silence"), "silence"),
    ],
)
def test_a_gap_a_restart_and_missing_metrics_are_named_as_problems(
    before: ServerSample, after: ServerSample, problem: str
) -> None:
    window = server_window(before, after)
    assert window.cpu is None
    assert problem in (window.problem or "")


def test_a_source_that_stops_leaves_none_not_zero() -> None:
    window = server_window(ServerSample(at_s=0, cpu_seconds=1, dropped=0), ServerSample(at_s=1))
    assert window == ServerWindow()


SAMPLE_BEFORE = ServerSample(
    at_s=10.0,
    page_at_s=9.5,
    cpu_seconds=3.0,
    cpu_parts=(1.0, 2.0),
    core_busy_s=4.0,
    core_steal_s=0.5,
    delivered=100,
    dropped=7,
    kills=3,
    sent_bytes=1000,
    processes=2,
)
SAMPLE_AFTER = ServerSample(
    at_s=14.0,
    page_at_s=12.0,
    cpu_seconds=6.0,
    cpu_parts=(2.0, 4.5),
    core_busy_s=8.0,
    core_steal_s=0.9,
    rss_bytes=71,
    memory_bytes=72,
    fds=73,
    fds_limit=74,
    connections=75,
    delivered=150,
    dropped=9,
    kills=8,
    sent_bytes=6000,
    processes=2,
)


def test_each_figure_of_the_server_is_the_difference_of_its_own_sample() -> None:
    window = server_window(SAMPLE_BEFORE, SAMPLE_AFTER)
    assert window.core_stolen == pytest.approx(0.1)
    assert replace(window, core_stolen=None) == ServerWindow(
        cpu=0.75,
        core_busy=1.0,
        core_stolen=None,
        loop_lag_p99_ms=None,
        rss_bytes=71,
        memory_bytes=72,
        fds=73,
        fds_limit=74,
        connections=75,
        delivered=50,
        dropped=2,
        kills=5,
        sent_bytes_per_s=2000.0,
        processes=2,
        cpu_busiest=1.0,
        problem=None,
    )


def test_the_core_share_of_several_processes_is_that_of_the_busiest() -> None:
    window = server_window(SAMPLE_BEFORE, SAMPLE_AFTER)
    assert window.core_share == 1.0
    assert replace(window, cpu_busiest=None).core_share == pytest.approx(0.75 / 2)
    assert replace(window, cpu_busiest=None, cpu=None).core_share is None
    assert window.core_foreign == pytest.approx((1.0 - 0.75 + 0.1) / 2)
    assert replace(window, core_busy=0.5).core_foreign == pytest.approx(0.1 / 2)
    assert replace(window, core_busy=None).core_foreign is None
    assert replace(window, cpu=None).core_foreign is None


@pytest.mark.parametrize(
    ("before", "after"),
    [({"page_at_s": None}, {}), ({}, {"page_at_s": None}), ({}, {"page_at_s": 9.5}), ({}, {"page_at_s": 9.0})],
    ids=["no first page", "no last page", "the same page", "an older page"],
)
def test_without_two_pages_page_figures_are_unknown(before: dict[str, Any], after: dict[str, Any]) -> None:
    window = server_window(replace(SAMPLE_BEFORE, **before), replace(SAMPLE_AFTER, **after))
    assert (window.sent_bytes_per_s, window.cpu_busiest) == (None, None)
    assert window.cpu == 0.75


@pytest.mark.parametrize(("before", "after"), [({"cpu_parts": None}, {}), ({}, {"cpu_parts": None})])
def test_without_the_cpu_of_each_process_the_busiest_is_unknown(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert server_window(replace(SAMPLE_BEFORE, **before), replace(SAMPLE_AFTER, **after)).cpu_busiest is None


@pytest.mark.parametrize("counter", ["delivered", "dropped", "kills", "cpu_seconds", "sent_bytes"])
def test_a_falling_server_counter_is_missing_and_an_unchanged_one_is_zero(counter: str) -> None:
    figure = {"cpu_seconds": "cpu", "sent_bytes": "sent_bytes_per_s"}.get(counter, counter)
    start = getattr(SAMPLE_BEFORE, counter)
    fallen = server_window(SAMPLE_BEFORE, replace(SAMPLE_AFTER, **{counter: start - 1}))
    assert getattr(fallen, figure) is None
    still = server_window(SAMPLE_BEFORE, replace(SAMPLE_AFTER, **{counter: start}))
    assert getattr(still, figure) == 0


def test_server_problems_have_full_texts() -> None:
    before = ServerSample(at_s=1)
    assert (
        server_window(before, replace(before, processes=2, at_s=2)).problem
        == "the server was restarted during the window"
    )
    assert server_window(before, before).problem == "the server's metrics do not change: no new sample in the window"


INF = float("inf")


@pytest.mark.parametrize(
    ("before", "after", "p99_ms"),
    [
        ({0.1: 5, 1.0: 10}, {0.1: 5, 1.0: 10}, None),
        ({0.1: 5, 1.0: 10}, {0.1: 5, 1.0: 11}, (0.1 + 0.9 * 0.99) * 1000),
        ({0.1: 0, INF: 0}, {0.1: 100, INF: 100}, 99),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 98, 0.2: 100, INF: 100}, (0.1 + 0.1 * 0.5) * 1000),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 99, 0.2: 100, INF: 100}, 100),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 0, 0.2: 50, INF: 100}, 200),
        ({}, {0.1: 1}, None),
        ({0.1: 1}, {}, None),
        ({0.1: 0}, {0.2: 9}, None),
        (None, {0.1: 1}, None),
        ({0.1: 1}, None, None),
    ],
)
def test_the_p99_of_loop_lag_is_interpolated_within_its_bucket(
    before: dict[float, float] | None, after: dict[float, float] | None, p99_ms: float | None
) -> None:
    window = server_window(ServerSample(at_s=0, lag_buckets=before), ServerSample(at_s=1, lag_buckets=after))
    assert window.loop_lag_p99_ms == (None if p99_ms is None else pytest.approx(p99_ms))


def test_the_largest_value_of_a_lag_that_is_a_gauge_counts_and_a_histogram_comes_first() -> None:
    samples = [ServerSample(at_s=at, lag_s=lag) for at, lag in enumerate((0.9, 0.2, 0.3, 0.1))]
    assert server_window(samples[0], samples[-1], samples[1:-1]).loop_lag_p99_ms == pytest.approx(300)
    assert server_window(ServerSample(at_s=0), ServerSample(at_s=1)).loop_lag_p99_ms is None
    before, after = (
        ServerSample(at_s=0, lag_buckets={0.1: 0, INF: 0}),
        replace(samples[-1], lag_buckets={0.1: 9, INF: 9}),
    )
    assert server_window(before, after, samples[1:-1]).loop_lag_p99_ms == pytest.approx(99)


def system(**figures: Any) -> SystemSample:
    """Return the operating system's figures of a server."""
    usual: dict[str, Any] = {
        "at_s": 0.0,
        "roots": ((7, 1.0),),
        "processes": 1,
        "cpu_seconds": 0.0,
        "rss_bytes": 1,
        "cores_allowed": 2.0,
        "memory_bytes": 4,
        "memory_available_bytes": 3,
    }
    return SystemSample(**(usual | figures))


BEFORE = ServerSample(at_s=0, cpu_seconds=1, delivered=5, started_at=10, system=system())
AFTER = ServerSample(at_s=2, cpu_seconds=2, delivered=9, started_at=10, system=system(at_s=2.0))


def test_an_overloaded_server_that_does_not_serve_its_metrics_still_has_the_figures_of_the_system() -> None:
    silent = replace(AFTER, started_at=None, delivered=None, problem="no response")
    window = server_window(BEFORE, silent)
    assert (window.cpu, window.delivered, window.problem) == (0.5, None, "no response")
    assert window.system is not None


def test_a_metrics_page_of_another_process_counts_for_nothing_but_is_no_restart_of_the_server() -> None:
    window = server_window(BEFORE, replace(AFTER, started_at=11))
    assert (window.cpu, window.delivered) == (0.5, None)
    assert "several share the address" in (window.problem or "")


def test_another_root_process_is_a_restart() -> None:
    window = server_window(BEFORE, replace(AFTER, system=system(at_s=2.0, roots=((8, 1.0),))))
    assert window == ServerWindow(problem="the server was restarted during the window")


def test_threads_and_events_are_differences_and_events_count_from_the_start_of_joining() -> None:
    first = system(threads={(7, 7): 5.0}, listen_overflows=1, killed=0, throttled_s=1.0, quota=0.5, switches=0)
    start = replace(first, listen_overflows=4, killed=1)
    after = replace(
        start,
        at_s=2.0,
        threads={(7, 7): 5.5, (7, 8): 1.0},
        listen_overflows=6,
        killed=2,
        throttled_s=1.5,
        switches=100,
    )
    window = system_window(start, after, first)
    assert (window.busiest_thread, window.listen_overflows, window.killed) == (0.5, 5, 2)
    assert (window.throttled_share, window.switches_per_s) == (0.25, 50)
    assert system_window(start, after).listen_overflows == 2
    assert system_window(start, after, replace(first, roots=((6, 1.0),))).listen_overflows == 2
    assert system_window(replace(start, threads=None), after).busiest_thread is None
    assert system_window(replace(start, quota=None), replace(after, quota=None)).throttled_share is None
