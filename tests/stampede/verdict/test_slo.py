"""The grammar of SLOs, and the counters behind each figure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.ledger.counts import OrderCounts
from stampede.measure.figures import Figures, RequestCounts
from stampede.measure.formatting import format_ms
from stampede.verdict.slo import Slo, SloError, parse_slo, split_slos
from tests.figures import figures, histogram


def window(**other: object) -> Figures:
    """Return a window in which every figure differs from every other."""
    distinct = {
        "latency_intended": histogram(400),
        "latency_sent": histogram(200, 200),
        "resync": histogram(3000, 3000, 3000),
        "expected": 1000,
        "lost": 10,
        "duplicated": 20,
        "reordered": 30,
        "order": OrderCounts(samples=7, members=200, messages=90, divergent=8),
        "operations": 500,
        "failures": 25,
    }
    return figures(**(distinct | other))


@pytest.mark.parametrize(
    ("text", "value", "samples"),
    [
        ("loss<1%", 0.01, 1000),
        ("duplicates<1%", 0.02, 1000),
        ("reordered<1%", 0.03, 1000),
        ("divergent<1%", 0.04, 200),
        ("errors<1%", 0.05, 500),
        ("deliver_p99<250ms", pytest.approx(400, rel=0.02), 2),
        ("resync_p95<5s", pytest.approx(3000, rel=0.02), 3),
    ],
)
def test_each_figure_uses_its_own_counters(text: str, value: object, samples: int) -> None:
    level = parse_slo(text)
    assert level.value(window()) == value
    assert level.samples(window()) == samples


def test_a_duration_is_in_milliseconds_exactly() -> None:
    exact = histogram(400).quantile(0.99)
    assert exact is not None
    assert parse_slo("deliver_p99<250ms").value(window()) == exact / 1e6


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        ("loss<1%", {"expected": 0}),
        ("errors<1%", {"operations": 0}),
        ("divergent<1%", {"order": OrderCounts()}),
        ("deliver_p99<250ms", {"latency_sent": histogram()}),
        ("deliver_p99<250ms", {"latency_intended": histogram()}),
        ("resync_p95<5s", {"resync": histogram()}),
    ],
)
def test_without_samples_a_figure_has_no_value(text: str, empty: dict[str, object]) -> None:
    assert parse_slo(text).value(window(**empty)) is None


@pytest.mark.parametrize(
    ("text", "rank"), [("deliver_p50<1s", 0.5), ("deliver_p99.9<1s", 0.999), ("resync_p0.5<1s", 0.005)]
)
def test_a_percentile_is_a_rank_of_its_duration(text: str, rank: float) -> None:
    level = parse_slo(text)
    assert level.rank == pytest.approx(rank)
    assert (level.base, level.is_delivery_latency) == (text.partition("_")[0], text.startswith("deliver"))


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("deliver_p99<1s", 100),
        ("deliver_p50<1s", 2),
        ("loss<0.1%", 1000),
        ("loss<0%", 1),
        ("loss<=100%", 1),
        ("deliver_p99.9999<1s", 10_000),
    ],
)
def test_a_window_needs_enough_samples_that_a_single_one_is_not_decisive(text: str, samples: int) -> None:
    assert parse_slo(text).min_samples == samples


def test_a_value_equal_to_the_threshold_meets_an_inclusive_slo_only() -> None:
    assert not parse_slo("loss<1%").is_met(0.01)
    assert parse_slo("loss<=1%").is_met(0.01)
    assert not parse_slo("loss<=1%").is_met(0.0101)


@pytest.mark.parametrize(
    ("value_ms", "shown"),
    [(1.234, "1.23 ms"), (999.4, "999 ms"), (999.5, "1.00 s"), (1000.0, "1.00 s"), (12_345.0, "12.35 s")],
)
def test_durations_are_shown_with_a_unit_that_fits(value_ms: float, shown: str) -> None:
    assert format_ms(value_ms) == shown


def test_a_value_is_shown_in_the_unit_of_its_figure() -> None:
    assert parse_slo("deliver_p99<250ms").show(0.5) == "0.5 ms"
    assert parse_slo("loss<1%").show(0.00123) == "0.123 %"


def test_an_slo_is_parsed_into_its_parts() -> None:
    assert parse_slo(" deliver_p95 <= 1.5 s ") == Slo("deliver_p95<=1.5s", "deliver", 0.95, 1500.0, True)
    assert parse_slo("errors<2.5%") == Slo("errors<2.5%", "errors", None, 0.025, False)
    assert parse_slo("deliver_p99<800us").threshold == pytest.approx(0.8)


SEE = "; see docs/reference/load-test.md"
KNOWN = (
    "deliver_p50, deliver_p90, deliver_p99, deliver_p99.9, resync_p95, loss, duplicates, reordered, divergent, errors"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "threshold 'nonsense' is not of the form deliver_p99<250ms, loss<0.1% or errors<1%" + SEE),
        ("loss<5ms", "threshold 'loss<5ms': loss is a share, give it in %, e.g. loss<0.1%"),
        (
            "resync_p9<5%",
            "threshold 'resync_p9<5%': resync_p9 is a duration, give it in us, ms or s, e.g. resync_p9<250ms",
        ),
        ("los<5%", f"unknown figure 'los' in a threshold; did you mean loss? (known: {KNOWN}){SEE}"),
        ("q<5%", f"unknown figure 'q' in a threshold (known: {KNOWN}){SEE}"),
        (
            "deliver_p0<1s",
            f"unknown figure 'deliver_p0' in a threshold; did you mean deliver_p90? (known: {KNOWN}){SEE}",
        ),
        ("send_p99<1s", f"unknown figure 'send_p99' in a threshold; did you mean resync_p95? (known: {KNOWN}){SEE}"),
    ],
)
def test_an_invalid_slo_is_refused_with_the_expected_form(text: str, message: str) -> None:
    with pytest.raises(SloError) as caught:
        parse_slo(text, "threshold")
    assert str(caught.value) == message


def test_an_error_names_the_option_or_a_service_level() -> None:
    with pytest.raises(SloError, match=r"^service level 'nonsense' is not of the form "):
        parse_slo("nonsense")


def test_slos_in_one_text_are_split_at_spaces_and_commas() -> None:
    assert split_slos("loss < 1 %, errors<1%  deliver_p99 <= 250 ms") == [
        "loss<1%",
        "errors<1%",
        "deliver_p99<=250ms",
    ]


def with_requests() -> Figures:
    """Return a window with requests of a scenario, of another client and of a built-in name."""
    made = window()
    made.requests |= {
        "WS look around": RequestCounts(5, 1, {"no reply": 1}, histogram(10, 10, 10, 90)),
        "GET /login": RequestCounts(4, 2, {"HTTPError": 2}, histogram(30, 30)),
        "WS join": RequestCounts(1, 0, {}, histogram(7)),
    }
    made.send_lag = histogram(3)
    return made


@pytest.mark.parametrize(
    ("text", "value", "samples"),
    [
        ("look around:p50<1s", pytest.approx(10, rel=0.02), 4),
        ("look around:p99<1s", pytest.approx(90, rel=0.02), 4),
        ("look around:max<1s", pytest.approx(90, rel=0.02), 4),
        ("look around:errors<1%", 0.2, 5),
        ("GET /login:p99<1s", pytest.approx(30, rel=0.02), 2),
        ("GET /login:errors<1%", 0.5, 4),
        ("join:p99<1s", pytest.approx(7, rel=0.02), 1),
        ("WS join:p99<1s", pytest.approx(7, rel=0.02), 1),
        ("send:p99<1s", pytest.approx(3, rel=0.02), 1),
        ("deliver:p99<1s", pytest.approx(400, rel=0.02), 2),
        ("deliver:max<1s", pytest.approx(400, rel=0.02), 2),
        ("resync:p95<1s", pytest.approx(3000, rel=0.02), 3),
        ("never used:p99<1s", None, 0),
        ("never used:errors<1%", None, 0),
    ],
)
def test_requests_of_every_name_have_percentiles_a_maximum_and_errors(text: str, value: object, samples: int) -> None:
    level = parse_slo(text)
    assert level.value(with_requests()) == value
    assert level.samples(with_requests()) == samples


def test_deliveries_are_judged_alike_in_both_forms() -> None:
    assert parse_slo("deliver:p99<1s").is_delivery_latency
    assert (parse_slo("resync:p95<1s").base, parse_slo("resync_p95<1s").base) == ("resync", "resync")


@pytest.mark.parametrize(
    ("text", "request_name", "compact"),
    [
        ("look around:p99<200ms", "look around", "look around:p99<200ms"),
        (" look  around : p99 <= 200 ms ", "look  around", "look  around:p99<=200ms"),
        ("GET http://127.0.0.1:80/a:p99.9<1s", "GET http://127.0.0.1:80/a", "GET http://127.0.0.1:80/a:p99.9<1s"),
        ("a:b:errors<1%", "a:b", "a:b:errors<1%"),
        ("loss:errors<1%", "loss", "loss:errors<1%"),
        ("deliver_p99:max<1s", "deliver_p99", "deliver_p99:max<1s"),
    ],
)
def test_the_last_colon_ends_the_name_of_a_request(text: str, request_name: str, compact: str) -> None:
    level = parse_slo(text)
    assert (level.request, level.text, level.figure) == (request_name, compact, compact.partition("<")[0])
    assert parse_slo(level.text) == level


def test_one_sample_decides_about_a_maximum() -> None:
    assert parse_slo("look around:max<1s").min_samples == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "look around:p0<1s",
            "unknown figure 'p0' of 'look around' in a threshold (known: p50, p95, p99, p99.9, max, errors)",
        ),
        (
            "look around:loss<1%",
            "unknown figure 'loss' of 'look around' in a threshold (known: p50, p95, p99, p99.9, max, errors)",
        ),
        (
            "look:p99<5%",
            "threshold 'look:p99<5%': look:p99 is a duration, give it in us, ms or s, e.g. look:p99<250ms",
        ),
        (
            "x:errors<5ms",
            "threshold 'x:errors<5ms': x:errors is a share, give it in %, e.g. x:errors<0.1%",
        ),
        (":p99<1s", f"unknown figure ':p99' in a threshold (known: {KNOWN}){SEE}"),
        ("look around<1s", f"unknown figure 'look around' in a threshold (known: {KNOWN}){SEE}"),
    ],
)
def test_an_invalid_figure_of_a_request_is_refused(text: str, message: str) -> None:
    with pytest.raises(SloError) as caught:
        parse_slo(text, "threshold")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "look around:p99<200ms,top 5 ms page:max<1s,GET /a b:errors<1%,loss<1%",
        "look around:p99<200ms top 5 ms page:max<1s GET /a b:errors<1% loss<1%",
        "look around:p99 < 200 ms top 5 ms page:max <1 s,  GET /a b:errors< 1 %\nloss<1%,",
    ],
)
def test_a_name_with_spaces_stays_whole_among_several_slos(text: str) -> None:
    assert split_slos(text) == ["look around:p99<200ms", "top 5 ms page:max<1s", "GET /a b:errors<1%", "loss<1%"]


@given(
    names=st.lists(st.text(st.characters(codec="ascii", exclude_characters="<,"), min_size=1), min_size=1),
    separators=st.lists(st.sampled_from([",", " ", ", ", "\n"]), min_size=1),
)
def test_slos_on_any_names_are_the_same_after_they_were_joined_and_split(
    names: list[str], separators: list[str]
) -> None:
    slos = [f"{name.strip() or 'x'}:p99<{number}ms" for number, name in enumerate(names)]
    joined = "".join(slo + separators[number % len(separators)] for number, slo in enumerate(slos))
    assert split_slos(joined) == slos
