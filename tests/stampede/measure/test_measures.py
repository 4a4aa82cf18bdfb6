"""The counts and durations of a process."""

from __future__ import annotations

from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.measures import Measures


def test_extreme_latencies_are_counted_like_others() -> None:
    measures = Measures()
    for by_intended, by_sent in ((0, 0), (63, 63), (64, 0), (1 << 50, 1 << 49), ((1 << 43) - 1, 64), (1 << 43, 5)):
        measures.delivered(by_intended, by_sent)
        expected = LogLinearHistogram()
        expected.record(by_intended)
        assert (measures.latency.intended - expected).count == measures.latency.intended.count - 1
    assert measures.latency.sent.count == 6
