"""Figures are merged by adding and windowed by subtracting, and no counter is lost on the way."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from capacity.measure.client_window import client_window
from stampede.ledger.counts import DeliveryCounts
from stampede.measure.figures import (
    FIELDS,
    GAUGES,
    Figures,
    RequestCounts,
    SendCounts,
    figures_in,
    merge_figures,
    no_figures,
)
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.measures import Measures
from stampede.measure.report import Totals, WorkerReport
from stampede.measure.snapshot import Snapshot, snapshot
from tests.figures import figures
from tests.stampede.measure.reports import report

if TYPE_CHECKING:
    from collections.abc import Iterator


def filled(start: int) -> Figures:
    """Return figures in which every counter differs from every other; works for counters that are added later."""
    numbers = count(start)

    def fill(value: Any) -> Any:
        if isinstance(value, LogLinearHistogram):
            histogram = LogLinearHistogram()
            for _ in range(next(numbers)):
                histogram.record(5_000_000)
            return histogram
        if isinstance(value, dict):
            return {key: fill(part) for key, part in value.items()} or {"refused": next(numbers)}
        if is_dataclass(value) and not isinstance(value, type):
            return type(value)(**{part.name: fill(getattr(value, part.name)) for part in fields(value)})
        return next(numbers)

    empty = figures_in(no_figures()) | {"address_pairs": {"a": {"b": DeliveryCounts()}}}
    return Figures(**{name: fill(value) for name, value in empty.items()})


def counters(value: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Yield every number in a structure with its path; a histogram counts as the number of its values."""
    if isinstance(value, LogLinearHistogram):
        yield path, value.count
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from counters(part, f"{path}.{key}")
    elif is_dataclass(value):
        for part in fields(value):
            yield from counters(getattr(value, part.name), f"{path}.{part.name}")
    else:
        yield path, value


def numbers_of(value: Figures) -> dict[str, int]:
    return dict(counters(Figures(**figures_in(value))))


def test_merging_adds_every_counter() -> None:
    one, other = filled(1), filled(1000)
    first, second = numbers_of(one), numbers_of(other)
    assert len(set(first.values())) == len(first)
    assert numbers_of(merge_figures([one, other])) == {path: first[path] + second[path] for path in first}


def test_a_window_subtracts_every_counter_and_keeps_every_gauge() -> None:
    earlier, later = filled(1), merge_figures([filled(1), filled(1000)])
    window, then, now = numbers_of(later.since(earlier)), numbers_of(earlier), numbers_of(later)
    for path, value in now.items():
        is_gauge = path.removeprefix(".") in GAUGES
        assert window[path] == (value if is_gauge else value - then[path]), path


def test_no_counter_is_lost_between_a_worker_the_master_and_a_reader_of_the_snapshot() -> None:
    sent = replace(report(0), figures=filled(1))
    received = WorkerReport.from_message(sent.to_message())
    made = snapshot(Totals([received]), state="running", now=1, ages={})
    assert numbers_of(Snapshot.from_json(made.to_json())) == numbers_of(sent.figures)


def test_no_counter_is_lost_in_the_window_of_a_capacity_run() -> None:
    before = snapshot(Totals([replace(report(0), figures=filled(1))]), state="running", now=10**9, ages={})
    later = merge_figures([filled(1), filled(1000)])
    after = snapshot(Totals([replace(report(0), figures=later)]), state="running", now=3 * 10**9, ages={})
    assert numbers_of(client_window(before, after)) == numbers_of(later.since(filled(1)))


def test_a_process_measures_every_figure() -> None:
    measures = Measures()
    made = measures.figures(users=1, connections=2, ready=3, rooms=4)
    assert set(figures_in(made)) == set(FIELDS)
    assert (made.users, made.connections, made.ready, made.rooms) == (1, 2, 3, 4)
    measures.sends.sent += 1
    measures.latency.sent.record(5)
    assert (made.sends.sent, made.latency.sent.count) == (0, 0)  # a copy


def test_deliveries_in_flight_count_with_the_later_ones() -> None:
    earlier = figures(expected=30, received=20, lost=4)
    later = figures(expected=50, received=45, lost=5)
    window = later.since(earlier.without_in_flight()).deliveries
    assert (window.expected, window.received, window.lost) == (26, 25, 1)
    assert window.in_flight == later.deliveries.in_flight


def test_a_counter_that_is_new_counts_in_full() -> None:
    earlier, later = figures(operations=5), figures(operations=9)
    later.requests["WS ping"] = RequestCounts(3, 1, {"no pong": 1})
    window = later.since(earlier)
    assert window.requests["WS send"] == RequestCounts(4, 0)
    assert window.requests["WS ping"] == RequestCounts(3, 1, {"no pong": 1})
    assert merge_figures([earlier, later]).requests["WS ping"] == RequestCounts(3, 1, {"no pong": 1})


def test_a_histogram_that_falls_is_an_error() -> None:
    earlier = figures()
    earlier.resync.record(5)
    with pytest.raises(ValueError, match="went down"):
        figures().since(earlier)


def test_deliveries_are_no_operations() -> None:
    made = figures(operations=10, failures=2)
    made.requests["WS deliver"] = RequestCounts(100, 7)
    assert (made.operations, made.failures) == (10, 2)


def test_without_rooms_there_is_no_mean_room_size() -> None:
    assert figures().mean_room_size is None
    assert figures(members=5, rooms=2).mean_room_size == 2.5


def test_the_sum_of_no_figures_is_zero() -> None:
    assert merge_figures([]).deliveries == DeliveryCounts()
    assert merge_figures([]).sends == SendCounts()
