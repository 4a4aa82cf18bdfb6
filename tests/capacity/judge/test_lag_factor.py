"""Simulate the event loop of the generator, to derive the factor by which its lag can explain a latency.

An iteration of the loop reads everything that has arrived. A delivery waits for the rest of the iteration in which it
arrived, and for its place in the next one. The lag is that of a regular timer in the same loop. Below three tenths of a
core the timer misses rare bursts, and no factor is enough; see `capacity.judge.verdict`.
"""

from __future__ import annotations

from random import Random

import pytest

from capacity.judge.limits import DEFAULT_LIMITS

TIMER_S = 0.01


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


def loop(load: float, burst: int, service_s: float) -> tuple[float, float]:
    """Return p99 of the waiting time of deliveries and of the timer's lag in seconds, at a CPU load."""
    rng = Random(1)
    arrivals: list[float] = []
    at = 0.0
    while at < 20:
        at += rng.expovariate(load / service_s / burst)
        arrivals += [at] * max(1, round(rng.expovariate(1 / burst)))
    waits: list[float] = []
    lags: list[float] = []
    now, timer, done = 0.0, TIMER_S, 0
    while done < len(arrivals):
        now = max(now, min(arrivals[done], timer))
        while timer <= now:
            lags.append(now - timer)
            timer += TIMER_S
        turn = now
        while done < len(arrivals) and arrivals[done] <= turn:
            now += service_s
            waits.append(now - arrivals[done])
            done += 1
    return p99(waits), p99(lags)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9, 1.0, 1.2])
@pytest.mark.parametrize(("burst", "service_s"), [(200, 30e-6), (1000, 10e-6), (3000, 30e-6)])
def test_a_delivery_waits_no_longer_than_the_lag_times_the_factor(load: float, burst: int, service_s: float) -> None:
    wait, lag = loop(load, burst, service_s)
    assert lag < wait <= DEFAULT_LIMITS.lag_factor * lag
