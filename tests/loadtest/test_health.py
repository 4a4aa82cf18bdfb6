"""The limits beyond which a run is invalid, and what they forgive."""

from __future__ import annotations

from loadtest._health import CANARY, LAG_LIMIT, WINDOW_SECONDS, Health, canary_lags
from loadtest._measures import Measures


class Watched:
    """A health check and the process it watches, window by window."""

    def __init__(self) -> None:
        self.measures = Measures()
        self.health = Health(0.0, 0.0)
        self.at = self.cpu = 0.0

    def window(self, *, cpu: float = 0.1, send_lag: int = 0, loop_lag: int = 0) -> list[str]:
        for _ in range(200):
            self.measures.send_lag.record(send_lag)
            self.measures.loop_lag.record(loop_lag)
        self.at += WINDOW_SECONDS
        self.cpu += cpu * WINDOW_SECONDS
        return self.health.look(self.at, self.cpu, self.measures)


def test_a_generator_that_keeps_up_has_no_problems() -> None:
    watched = Watched()
    for _ in range(20):
        assert watched.window(cpu=0.9, send_lag=LAG_LIMIT // 2, loop_lag=LAG_LIMIT // 2) == []


def test_one_bad_window_is_forgiven() -> None:
    watched = Watched()
    for _ in range(5):
        assert watched.window(cpu=1.0, send_lag=2 * LAG_LIMIT, loop_lag=2 * LAG_LIMIT) == []
        assert watched.window() == []


def test_two_in_a_row_are_told_once_for_each_signal() -> None:
    for limit, words in (
        ({"cpu": 0.97}, "CPU: 97% of a core"),
        ({"send_lag": 2 * LAG_LIMIT}, "send lag: p99 199"),
        ({"loop_lag": 2 * LAG_LIMIT}, "loop lag: p99 199"),
    ):
        watched = Watched()
        watched.window(**limit)
        (problem,) = watched.window(**limit)
        assert problem.startswith(words)
        assert watched.window(**limit) == []
        assert watched.health.problems == [problem]


def test_a_few_late_samples_are_no_percentile() -> None:
    watched = Watched()
    for _ in range(4):
        watched.measures.send_lag.record(10 * LAG_LIMIT)
        watched.at += WINDOW_SECONDS
        assert watched.health.look(watched.at, watched.cpu, watched.measures) == []


def test_a_stall_counts_for_all_the_looks_it_swallowed() -> None:
    assert list(canary_lags(0)) == [0]
    assert list(canary_lags(-5)) == [0]
    assert list(canary_lags(3)) == [3]
    assert list(canary_lags(3 * CANARY + 7)) == [3 * CANARY + 7, 2 * CANARY + 7, CANARY + 7, 7]
