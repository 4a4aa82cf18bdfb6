"""The results of a load generator read well in assertions."""

from __future__ import annotations

import math

from stampede.generator.results import DeliveryLatency, Durations, Ledger
from stampede.ledger.counts import DeliveryCounts
from stampede.measure.figures import Latency
from stampede.measure.log_linear_histogram import LogLinearHistogram


def histogram(*values: int) -> LogLinearHistogram:
    made = LogLinearHistogram()
    for value in values:
        made.record(value)
    return made


def test_the_text_of_a_ledger_shows_every_count_that_is_not_zero() -> None:
    ledger = Ledger.of(DeliveryCounts(expected=3, received=1, lost=1, late=1))
    assert repr(ledger) == "Ledger(expected=3, received=1, lost=1, duplicated=0, reordered=0, late=1, in_flight=1)"


def test_durations_are_in_seconds() -> None:
    durations = Durations(histogram(1_000_000, 3_000_000_000))
    assert durations.count == 2
    assert math.isclose(durations.quantile(0), 0.001, rel_tol=1 / 64)
    assert math.isclose(durations.quantile(1), 3.0, rel_tol=1 / 64)
    assert durations.mean == 1.5005
    assert repr(durations).startswith("Durations(2: p50 ")
    assert "max 2.99 s" in repr(durations)


def test_no_durations_fail_every_comparison() -> None:
    durations = Durations(histogram())
    assert not durations.quantile(0.99) < 1
    assert not durations.mean >= 0
    assert repr(durations) == "Durations(none)"


def test_delivery_latency_begins_with_the_call_or_with_the_send() -> None:
    latency = DeliveryLatency(Latency(histogram(2_000_000), histogram(1_000_000)))
    assert latency.quantile(0.5) > 1.9 * latency.from_send.quantile(0.5)
