"""The geometry of a chart: ticks, gaps, and labels that do not cover each other."""

from __future__ import annotations

import pytest

from stampede.locust.web.plot import HEIGHT, WIDTH, Line, Mark, Scale, value_scale


@pytest.mark.parametrize(
    ("highest", "top", "texts"),
    [
        (0.0, 0.5, ["0", "0.5"]),
        (1.0, 1.0, ["0", "0.5", "1"]),
        (7.0, 10.0, ["0", "5", "10"]),
        (1822.0, 2000.0, ["0", "1000", "2000"]),
        (2001.0, 3000.0, ["0", "1000", "2000", "3000"]),
    ],
)
def test_the_value_axis_begins_at_zero_and_has_round_ticks(highest: float, top: float, texts: list[str]) -> None:
    found, ticks = value_scale(highest, lambda value: f"{value:g}")
    assert found == top
    assert [tick.label for tick in ticks] == texts
    assert [tick.percent for tick in ticks] == pytest.approx([100 * float(text) / top for text in texts])


@pytest.mark.parametrize(
    ("begins", "ends", "texts"),
    [
        (0.0, 1.0, ["0:00", "0:01"]),
        (0.0, 28.0, ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25"]),
        (12.5, 75.0, ["0:15", "0:30", "0:45", "1:00", "1:15"]),
        (0.0, 7200.0, ["0:00", "30:00", "60:00", "90:00", "120:00"]),
    ],
)
def test_the_time_axis_has_few_ticks_at_round_times(begins: float, ends: float, texts: list[str]) -> None:
    ticks = Scale(begins, ends, 1.0).times()
    assert [tick.label for tick in ticks] == texts
    assert all(0 <= tick.percent <= 100 for tick in ticks)


def test_a_gap_interrupts_a_line_and_a_lone_value_is_a_dot() -> None:
    scale = Scale(0.0, 10.0, 100.0)
    line = Line("p50", [(0.0, 0.0), (1.0, 50.0), (2.0, None), (5.0, 100.0), (6.0, None)])
    assert scale.path(line) == f"M0 {HEIGHT}L{WIDTH // 10} {HEIGHT // 2}"
    assert scale.dots(line) == f"M{WIDTH // 2} 0h0"
    assert line.known == [0.0, 50.0, 100.0]


def test_a_mark_is_a_band_and_its_label_does_not_cover_that_of_another() -> None:
    marks = [Mark(at, at + 5, f"{at:g}", "") for at in (50.0, 10.0, 15.0, 23.0)]
    placed = Scale(0.0, 100.0, 1.0).marks(marks)
    assert [(one.x, one.width, one.percent) for one in placed] == [
        (100.0, 50.0, 10.0),
        (150.0, 50.0, 15.0),
        (230.0, 50.0, 23.0),
        (500.0, 50.0, 50.0),
    ]
    assert [one.label for one in placed] == ["10", "", "23", "50"]
