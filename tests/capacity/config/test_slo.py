from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.config.slo import DEFAULT_SLOS, parse_slo, strictest_ms
from capacity.errors import UsageError
from tests.capacity import make


@pytest.mark.parametrize(
    ("text", "figure", "threshold"),
    [
        ("deliver_p99<250ms", "deliver_p99", 250.0),
        ("deliver_p99.9 <= 1.5s", "deliver_p99.9", 1500.0),
        ("deliver_p50<800us", "deliver_p50", 0.8),
        ("resync_p95<5s", "resync_p95", 5000.0),
        ("loss<0.1%", "loss", 0.001),
        ("errors<1%", "errors", 0.01),
    ],
)
def test_an_slo_is_parsed_with_its_unit(text: str, figure: str, threshold: float) -> None:
    level = parse_slo(text)
    assert level.figure == figure
    assert level.threshold == pytest.approx(threshold)


@given(st.integers(1, 10**6), st.sampled_from(["us", "ms", "s"]), st.sampled_from(["<", "<="]))
def test_an_slo_is_parsed_from_its_own_text(number: int, unit: str, sign: str) -> None:
    level = parse_slo(f"deliver_p99 {sign} {number}{unit}")
    assert parse_slo(level.text) == level


@given(st.text(max_size=40))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    try:
        parse_slo(text)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - some random texts are fine levels


def test_an_unknown_figure_is_refused_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"did you mean deliver_p99\?.*known: .*errors"):
        parse_slo("delivery_p99<250ms")


@pytest.mark.parametrize(
    "text", ["loss<5ms", "loss<0.1", "deliver_p99<5%", "deliver_p99<250", "deliver_p99>250ms", "deliver_p0<1ms"]
)
def test_a_wrong_unit_or_direction_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_slo(text)


def test_the_stricter_clock_counts() -> None:
    level = parse_slo("deliver_p99<250ms")
    window = make.client(latency_intended=make.histogram(300), latency_sent=make.histogram(100))
    value = level.value(window)
    assert value is not None
    assert value == pytest.approx(300, rel=0.02)
    assert not level.is_met(value)


def test_one_clock_without_samples_leaves_the_figure_unknown() -> None:
    window = make.client(latency_intended=make.histogram(3), latency_sent=make.histogram())
    assert parse_slo("deliver_p99<250ms").value(window) is None


def test_shares_refer_to_expected_deliveries_and_operations() -> None:
    window = make.client(lost=114, failures=6)
    assert parse_slo("loss<0.1%").value(window) == pytest.approx(0.01)
    assert parse_slo("errors<1%").value(window) == pytest.approx(0.01)


def test_a_share_of_nothing_is_unknown() -> None:
    assert parse_slo("loss<0.1%").value(make.client(expected=0)) is None
    assert parse_slo("errors<1%").value(make.client(operations=0)) is None


def test_only_an_inclusive_slo_is_met_at_its_threshold() -> None:
    assert not parse_slo("loss<1%").is_met(0.01)
    assert parse_slo("loss<=1%").is_met(0.01)


def test_the_strictest_latency_is_the_smallest_delivery_threshold() -> None:
    levels = tuple(map(parse_slo, ("deliver_p99<250ms", "deliver_p50<20ms", "resync_p95<1ms", "loss<1%")))
    assert strictest_ms(levels) == pytest.approx(20)
    assert strictest_ms((parse_slo("loss<1%"),)) is None


def test_the_default_slos_are_valid() -> None:
    assert [parse_slo(text).text for text in DEFAULT_SLOS] == list(DEFAULT_SLOS)
