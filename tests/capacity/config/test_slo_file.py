"""SLOs from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capacity.config.settings import read_settings
from capacity.config.slo import RunSlo, Span, parse_slo
from capacity.config.slo_file import read_slo_file
from capacity.errors import UsageError
from capacity.judge.verdict import judge
from capacity.record.step import Verdict
from tests.capacity import make

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = """
[[level]]
figure = "deliver_p99"
threshold = "100ms"
window = 4
grace = 1.5
description = "replies are immediate"

[[level]]
name = "fanout_p99"
promql = "histogram_quantile(0.99, sum by (le) (rate(chat_fanout_duration_seconds_bucket[$window])))"
threshold = 0.05
window = 10

[[level]]
name = "open"
promql = "chat_connections"
threshold = 5
direction = "above"
"""


@pytest.fixture
def levels(tmp_path: Path) -> Callable[[str], tuple[RunSlo, ...]]:
    def read(text: str) -> tuple[RunSlo, ...]:
        path = tmp_path / "levels.toml"
        path.write_text(text)
        return read_slo_file(path)

    return read


def test_a_file_defines_figures_and_expressions_with_their_spans(levels: Callable[[str], tuple[RunSlo, ...]]) -> None:
    latency, fanout, connections = levels(EXAMPLE)
    assert [level.text for level in (latency, fanout, connections)] == [
        "deliver_p99<100ms",
        "fanout_p99<0.05",
        "open>5",
    ]
    assert latency.is_delivery_latency
    assert latency.span(6.0) == Span(1.5, 4.0)
    assert fanout.query(6.0).endswith("[10s])))")
    assert connections.span(6.0) == Span(0.0, 6.0)


def test_the_direction_decides_which_values_are_met(levels: Callable[[str], tuple[RunSlo, ...]]) -> None:
    _, fanout, connections = levels(EXAMPLE)
    assert (fanout.is_met(0.04), fanout.is_met(0.05)) == (True, False)
    assert (connections.is_met(6), connections.is_met(5)) == (True, False)


LEVEL = '[[level]]\nfigure = "deliver_p99"\nthreshold = "1s"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the file has no [[level]] table"),
        ("[[level", "not valid TOML"),
        ("[level]\nx = 1", "write each SLO as a [[level]] table"),
        ('[[level]]\nfigur = "loss"\nthreshold = "1%"', "unknown key 'figur'; did you mean figure? (known: "),
        ('[[level]]\nfigure = "deliver_p9"\nthreshold = "1s"', ""),
        ('[[level]]\nfigure = "losss"\nthreshold = "1%"', "level 1: unknown figure 'losss' in a service level"),
        ('[[level]]\nfigure = "loss"\nthreshold = "1s"', "give it in %"),
        ('[[level]]\nfigure = "loss"', "missing required field `threshold`"),
        (LEVEL + 'promql = "up"', "either a figure or a promql"),
        ("[[level]]\nthreshold = 1", "either a figure or a promql"),
        ('[[level]]\npromql = "up"\nthreshold = 1', "needs a name"),
        ('[[level]]\npromql = "up"\nname = "up"\nthreshold = "fast"', "'fast' is not a number"),
        (LEVEL + 'direction = "sideways"', "must be below or above"),
        (LEVEL + 'direction = "above"', "less is better for deliver_p99"),
        (LEVEL + "window = 0", "window and grace must be numbers of seconds"),
        (LEVEL + "grace = -1", "window and grace must be numbers of seconds"),
        (LEVEL + 'window = "long"', "expected `float"),
        (LEVEL + LEVEL, "is defined twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_in_one_line(levels: Callable[[str], tuple[RunSlo, ...]], text: str, error: str) -> None:
    if not error:
        assert levels(text)[0].figure == "deliver_p9"  # any percentile is a figure
        return
    with pytest.raises(UsageError) as caught:
        levels(text)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_slo_file(Path("/nowhere/levels.toml"))


def test_a_file_replaces_the_defaults_and_options_add_to_it(tmp_path: Path) -> None:
    path = tmp_path / "levels.toml"
    path.write_text(LEVEL)
    settings = read_settings(["--slo-file", str(path), "--slo", "loss<1%"], {})
    assert [level.text for level in settings.slos] == ["deliver_p99<1s", "loss<1%"]


def test_an_slo_may_be_about_requests_whose_name_has_spaces(tmp_path: Path) -> None:
    path = tmp_path / "levels.toml"
    path.write_text('[[level]]\nfigure = "look around:p99"\nthreshold = "200ms"\n')
    settings = read_settings(["--slo-file", str(path), "--slo", "GET /login:errors<1%"], {})
    assert [(level.text, level.figure) for level in settings.slos] == [
        ("look around:p99<200ms", "look around:p99"),
        ("GET /login:errors<1%", "GET /login:errors"),
    ]


def test_an_expression_without_a_prometheus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.toml"
    path.write_text(EXAMPLE)
    with pytest.raises(UsageError, match="add --prometheus URL"):
        read_settings(["--slo-file", str(path)], {})


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.01, Verdict.PASS), (0.2, Verdict.FAIL), (None, Verdict.INVALID)], ids=str
)
def test_an_expression_is_judged_by_its_value_and_none_never_passes(
    levels: Callable[[str], tuple[RunSlo, ...]], value: float | None, outcome: Verdict
) -> None:
    fanout = levels(EXAMPLE)[1]
    found = judge(make.client(), make.server(), target_users=100, slos=[fanout], values={fanout.text: value})
    assert found.verdict is outcome
    assert found.figures == {"fanout_p99<0.05": value}


def test_an_slo_with_its_own_span_is_judged_by_that_span() -> None:
    slo = parse_slo("deliver_p99<250ms")
    found = judge(make.client(), make.server(), target_users=100, slos=[slo], values={slo.text: 900.0})
    assert found.verdict is Verdict.FAIL
    assert found.reasons[0].text == "missed deliver_p99<250ms: 900 ms"
