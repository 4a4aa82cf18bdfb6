"""The section of HTML with the charts: what it says before, during and after a test, and how storms are marked."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from stampede.locust.web.charts import charts_html
from stampede.measure.figures import no_figures
from stampede.measure.storm import Storm
from stampede.measure.storm_results import results
from stampede.measure.time_series import TimeSeries

if TYPE_CHECKING:
    from stampede.measure.storm_results import StormResult

SECOND = 1_000_000_000


def series() -> TimeSeries:
    """Return ten seconds with 100 deliveries a second of 20 ms."""
    made, figures = TimeSeries(), no_figures()
    for at in range(11):
        copied = no_figures()
        copied.deliveries.received = 100 * at
        copied.latency.intended = figures.latency.intended.copy()
        made.add("one", float(at), copied)
        figures.latency.intended.record(20_000_000)
    return made


def storm(dropped: int, *resynced_after: float) -> StormResult:
    """Return a storm of 10 users four seconds after the start of the test."""
    one = Storm(1, 0, 4.0, 10)
    for _ in range(dropped):
        one.drop(0)
    for seconds in resynced_after:
        one.resync(round(seconds * SECOND), round(seconds * SECOND), [], 0)
    return results([one.part(20 * SECOND)])[0]


def section(*storms: StormResult, has_ended: bool = True) -> ET.Element:
    html = charts_html(series(), storms, seconds=10.0, has_ended=has_ended)
    return ET.fromstring(html)  # noqa: S314 # our own page


def text(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def test_each_interval_has_a_reading() -> None:
    plots = section().findall(".//div[@class='plot']")
    received, latency, resync = (json.loads(plot.get("data-readings", "")) for plot in plots)
    assert received == [[5.0 + 10 * index, f"0:{index:02d}  received 100"] for index in range(10)]
    assert latency[3] == [35.0, "0:03  p50 20.2 ms, p99 20.2 ms"]
    assert resync == []


def test_each_chart_names_its_lines_with_their_latest_and_highest_value() -> None:
    received, latency, resync = section(has_ended=False).findall(".//figure")
    assert "received 100, at most 100" in text(received)
    assert "p50 20.2 ms, at most 20.2 ms" in text(latency)
    assert "No dropped user has resynced" in text(resync)
    ended = section().findall(".//figure")
    assert "received at most 100" in text(ended[0])


def test_a_storm_is_marked_from_its_start_until_the_last_user_has_resynced() -> None:
    found = section(storm(3, 0.5, 1.0, 2.0))
    bands = found.findall(".//g[@class='storm']/rect")
    assert len(bands) == 3  # on the time axis of each chart
    assert {(float(band.get("x", "")), float(band.get("width", ""))) for band in bands} == {(400.0, 200.0)}
    labels = found.findall(".//span[@class='share']")
    assert {(label.get("style"), label.text) for label in labels} == {("left:40.0%", "30 %")}
    assert [text(item) for item in found.findall(".//li")] == [
        "Storm 1 at 0:04: dropped 3 of 10 users (30 %). The last one resynced after 2.00 s."
    ]


def test_a_storm_lasts_as_long_as_a_user_has_not_resynced() -> None:
    found = section(storm(5, 1.0), has_ended=False)
    band = found.find(".//g[@class='storm']/rect")
    assert band is not None
    assert (band.get("x"), band.get("width")) == ("400.0", "600.0")
    assert text(found.findall(".//li")[0]).endswith("(50 %). 1 resynced so far.")


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_test_that_has_just_begun_has_charts_without_lines(seconds: float) -> None:
    html = charts_html(TimeSeries(), [], seconds=seconds, has_ended=False)
    assert "No interval has ended yet." in html
    assert 'd=""' in html


def test_a_long_test_has_a_section_of_bounded_size() -> None:
    made, figures = TimeSeries(), no_figures()
    for at in range(20_000):
        figures.deliveries.received += 1000
        made.add("one", float(at), figures)
    html = charts_html(made, [], seconds=20_000.0, has_ended=True)
    assert len(html) < 50_000
    assert "each point covers 128 s" in html
