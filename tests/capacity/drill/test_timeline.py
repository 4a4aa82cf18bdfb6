from __future__ import annotations

import pytest

from capacity.drill.timeline import CALM_READINGS, Timeline, latency_limit_ms


def filled(*readings: tuple[int, float | None, bool]) -> Timeline:
    made = Timeline(100, 250.0)
    for second, (ready, p99_ms, has_outage) in enumerate(readings, 1):
        made.add(float(second), ready, p99_ms, has_outage=has_outage)
    return made


GOOD = (100, 20.0, False)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (GOOD, True),
        ((99, 20.0, False), True),  # as a step allows it, for users that drop themselves
        ((98, 20.0, False), False),
        ((100, 20.0, True), False),
        ((100, 251.0, False), False),
        ((100, None, False), False),
    ],
)
def test_a_second_is_as_before_with_all_users_and_the_latency_of_before(
    reading: tuple[int, float | None, bool], *, expected: bool
) -> None:
    (second,) = filled(reading).seconds
    assert second.as_before is expected


def test_latency_does_not_count_if_no_message_was_delivered_before() -> None:
    silent = Timeline(100, latency_limit_ms(250.0, None))
    silent.add(1.0, 100, None, has_outage=False)
    assert silent.seconds[0].as_before


def test_the_limit_is_the_larger_of_the_slo_and_twice_the_latency_before() -> None:
    assert latency_limit_ms(250.0, 20.0) == 250
    assert latency_limit_ms(250.0, 200.0) == 400
    assert latency_limit_ms(None, 20.0) == 40


def test_all_is_as_before_from_the_first_of_the_last_good_readings() -> None:
    assert filled(GOOD, GOOD).recovered_s == 0
    assert filled(GOOD, (60, 20.0, True), GOOD, (100, 900.0, False), GOOD, GOOD).recovered_s == 5
    assert filled(GOOD, (60, 20.0, True)).recovered_s is None
    assert filled().recovered_s is None


def test_a_drill_goes_on_until_some_readings_in_a_row_after_the_command_are_good() -> None:
    calm = filled((60, 20.0, True), *[GOOD] * CALM_READINGS)
    assert calm.is_calm_since(0.5)
    assert not calm.is_calm_since(2.5), "the command still ran at the first of them"
    assert not filled(*[GOOD] * CALM_READINGS, (60, 20.0, True), *[GOOD] * (CALM_READINGS - 1)).is_calm_since(0.5)
