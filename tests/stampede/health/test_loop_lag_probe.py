"""The loop lag is the lateness of a regular timer."""

from __future__ import annotations

import time

import gevent

from stampede.health.health import PROBE_INTERVAL_NS
from stampede.health.loop_lag_probe import LoopLagProbe
from stampede.measure.log_linear_histogram import LogLinearHistogram

BLOCKED_SECONDS = 0.2


def test_a_blocked_loop_is_recorded_as_lag_until_the_probe_is_closed() -> None:
    histogram = LogLinearHistogram()
    probe = LoopLagProbe(histogram)
    gevent.sleep(0.05)
    before = histogram.count
    time.sleep(BLOCKED_SECONDS)
    gevent.sleep(0.05)
    probe.close()
    assert (histogram.quantile(1.0) or 0) > (BLOCKED_SECONDS / 2) * 1e9
    assert histogram.count - before >= BLOCKED_SECONDS * 1e9 / PROBE_INTERVAL_NS - 2  # missed expiries count, too
    count = histogram.count
    gevent.sleep(0.05)
    assert histogram.count == count
