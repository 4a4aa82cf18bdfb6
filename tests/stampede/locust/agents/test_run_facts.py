"""Facts about a test that its summary tells besides the figures."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from stampede.locust.agents.run_facts import PeakUsers, notes_on
from stampede.locust.settings import read_settings
from tests.stampede.measure.reports import report

if TYPE_CHECKING:
    from locust import User

    from stampede.measure.report import WorkerReport


def reported(index: int, users: int, *, final: bool = False) -> WorkerReport:
    one = report(index)
    return replace(one, final=final, figures=replace(one.figures, users=users, timed_users=users // 2))


def test_the_peak_is_the_largest_sum_at_one_time() -> None:
    peak = PeakUsers()
    assert (peak.users, peak.timed) == (None, None)
    for index, users in ((0, 8), (1, 4), (0, 5), (1, 7), (0, 2)):
        peak.add(reported(index, users), {"w0", "w1"})
    assert (peak.users, peak.timed) == (12, 6)


def test_the_users_of_a_process_that_ends_first_count() -> None:
    peak = PeakUsers()
    peak.add(reported(0, 5, final=True), {"w0", "w1"})
    peak.add(reported(0, 0, final=True), {"w0", "w1"})
    peak.add(reported(1, 5, final=True), {"w1"})
    assert peak.users == 10


def test_the_users_of_a_process_that_died_do_not_count_twice() -> None:
    peak = PeakUsers()
    peak.add(reported(0, 5), {"w0", "w1"})
    peak.add(reported(1, 5), {"w0", "w1"})
    peak.add(reported(1, 10), {"w1"})
    assert peak.users == 10


class Storming:
    weight, drops_periodically = 1, True


def test_a_run_that_lasts_may_still_have_its_storm() -> None:
    settings, classes = read_settings(Namespace(storm_period=30.0)), cast("list[type[User]]", [Storming])
    assert list(notes_on(settings, classes, None, None)) == []
    assert list(notes_on(settings, classes, 31, None)) == []
    (note,) = notes_on(settings, classes, 5, None)
    assert note == "no storm: Stormings drop every 30 s (--storm-period), the test took 5 s"
