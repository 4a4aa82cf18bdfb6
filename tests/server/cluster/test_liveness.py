"""The probe timeouts of the bus."""

from __future__ import annotations

import pytest

from server.cluster.liveness import ABANDON_SECONDS, SILENT_SECONDS, Liveness
from server.cluster.membership import HEARTBEAT_SECONDS

START = 0.0


def check_until(liveness: Liveness, end: float) -> None:
    """Call `detect_suspend` four times per heartbeat interval, as the cluster does."""
    for quarter in range(1, int(4 * (end - START) / HEARTBEAT_SECONDS) + 1):
        liveness.detect_suspend(START + quarter * HEARTBEAT_SECONDS / 4)


def test_the_bus_is_silent_after_the_timeout() -> None:
    liveness = Liveness(START)
    check_until(liveness, START + SILENT_SECONDS)
    assert not liveness.is_silent(START + SILENT_SECONDS - 0.01)
    assert liveness.is_silent(START + SILENT_SECONDS)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_one_direction_alone_does_not_keep_the_bus_alive(direction: str) -> None:
    liveness, later = Liveness(START), START + SILENT_SECONDS
    check_until(liveness, later)
    if direction == "inbound":
        liveness.record_inbound(later, later)
    else:
        liveness.record_outbound(later)
    assert liveness.is_silent(later)
    liveness.record_inbound(later, later)
    liveness.record_outbound(later)
    assert not liveness.is_silent(later)


def test_connecting_starts_the_timeouts_again() -> None:
    liveness = Liveness(START)
    check_until(liveness, START + 60.0)
    assert liveness.is_silent(START + 60.0)
    liveness.restart(START + 60.0)
    assert not liveness.is_silent(START + 60.0)


def test_a_suspend_extends_the_timeout_once_until_probes_arrive() -> None:
    liveness, now = Liveness(START), START + 600.0
    liveness.detect_suspend(now)
    assert not liveness.is_silent(now)
    now += 600.0
    liveness.detect_suspend(now)
    assert liveness.is_silent(now)
    liveness.record_inbound(now, now)
    liveness.record_outbound(now)
    now += 600.0
    liveness.detect_suspend(now)
    assert not liveness.is_silent(now)


def test_a_suspend_extends_the_timeouts_before_it_is_detected_and_asking_changes_nothing() -> None:
    liveness, now = Liveness(START), START + 600.0
    for _ in range(2):
        assert not liveness.is_silent(now)
        assert not liveness.is_dead(now, START)
    later = now + SILENT_SECONDS
    assert not liveness.is_silent(later), "the timeout starts when the suspend is detected"
    liveness.detect_suspend(later)
    assert not liveness.is_silent(later)
    assert liveness.is_silent(later + SILENT_SECONDS + 0.01)


def test_regular_checks_are_no_suspend() -> None:
    liveness = Liveness(START)
    check_until(liveness, START + SILENT_SECONDS)
    assert liveness.is_silent(START + SILENT_SECONDS)


def test_a_connection_is_replaced_after_a_longer_time_without_probes() -> None:
    liveness = Liveness(START)
    end = START + ABANDON_SECONDS
    check_until(liveness, end)
    assert [liveness.is_dead(now, START) for now in (end - 0.01, end)] == [False, True]
    assert not liveness.is_dead(end, connected_at=START + 1.0), "a new connection gets its full time"


def test_the_delay_is_that_of_the_last_probe_or_of_the_overdue_one() -> None:
    liveness = Liveness(START)
    assert liveness.delay(START) == 0.0
    liveness.record_inbound(START + 1.0, sent_at=START + 0.75)
    assert liveness.delay(START + 1.0) == 0.25
    assert liveness.delay(START + 1.0 + HEARTBEAT_SECONDS + 2.0) == 2.0


def test_one_check_per_heartbeat_interval_is_no_suspend() -> None:
    liveness = Liveness(START)
    for number in range(1, 4):
        liveness.detect_suspend(START + number * HEARTBEAT_SECONDS)
    assert liveness.is_silent(START + 3 * HEARTBEAT_SECONDS)
