"""Our sections in tabs of Locust's page: the charts with marked storms, and how to make a storm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.stampede.fixtures import TIMEOUT, storm_is_over
from tests.stampede.locust.web.pages import expect_settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust

TALK = ("--room-size", "10", "--message-rate", "5", "ChattingUser")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_a_storm_made_on_the_page_is_marked_on_the_time_axis_of_each_chart(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, *TALK, *processes)
    web.start_test(10)
    web.until(lambda now: now["ready"] == 10 and now["deliveries"]["received"] > 100)
    page.goto(web._url)
    expect_settled(page)
    open_tab(page, "Delivery Charts")
    form = page.get_by_role("form", name="Storm")
    form.get_by_role("spinbutton").fill("40")
    form.get_by_role("button", name="Start storm").click()
    expect(page.locator(".plot .share")).to_have_text(["40 %"] * 3)
    web.until(lambda now: storm_is_over(10, now))
    web.post("/stop")
    (storm,) = web.snapshot()["storms"]
    clock = f"{int(storm['at_s']) // 60}:{int(storm['at_s']) % 60:02d}"
    resynced = re.compile(rf"Storm 1 at {clock}: dropped 4 of 10 users \(40\s%\)\. The last one resynced after")
    expect(page.get_by_role("listitem")).to_have_text(resynced)
    expect(page.locator("figcaption", has_text="Time from drop to resync")).to_contain_text("p99 at most")
    ticks = page.locator(".plot").first.locator(".time")
    before, after = storm["at_s"], storm["at_s"] + storm["resync_ns"]["1"] / 1e9
    for mark in page.locator("g.storm rect").all():
        left, width = (float(mark.get_attribute(name) or "") / 10 for name in ("x", "width"))
        assert left == pytest.approx(before / seconds_per_percent(page), abs=0.1)
        assert left + width == pytest.approx(after / seconds_per_percent(page), abs=2)
    assert ticks.count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    drawn = page.locator(".plot path.line1").first.get_attribute("d")
    page.goto(f"{web._url}/stats/report")
    report = page.get_by_role("region", name="Delivery charts")
    expect(report.locator(".plot .share")).to_have_text(["40 %"] * 3)
    expect(report.get_by_role("listitem")).to_have_text(resynced)
    expect(report.locator("path.line1").first).to_have_attribute("d", str(drawn))
    report.locator(".plot").first.hover()
    expect(report.locator(".reading:not(.line)")).to_have_text(re.compile("received"))


def seconds_per_percent(page: Page) -> float:
    """Return the scale of the time axis, from the last tick of the first chart."""
    last = page.locator(".plot").first.locator(".time").last
    minutes, seconds = last.inner_text().split(":")
    percent = re.search(r"left: *([\d.]+)%", last.get_attribute("style") or "")
    assert percent is not None
    return (60 * int(minutes) + int(seconds)) / float(percent[1])


def test_the_charts_grow_during_a_test_and_stay_until_the_next_one_starts(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page
) -> None:
    web = web_locust("--host", server.url, *TALK)
    page.goto(web._url)
    web.start_test(10)
    page.goto(f"{web._url}/?tab=charts_of_deliveries")
    received = page.locator("figcaption", has_text="Deliveries received per second")
    expect(received).to_contain_text(re.compile(r"received \d[\d.]*, at most"))
    line = page.locator("path.line1").first
    grown = line.get_attribute("d") or ""
    page.wait_for_function(
        "length => document.querySelector('.plot path.line1').getAttribute('d').length > length", arg=len(grown)
    )
    web.post("/stop")
    expect(received).to_contain_text(re.compile(r"received at most \d"))
    web.until(lambda now: now["state"] == "stopped")
    kept = line.get_attribute("d")
    page.reload()
    expect(line).to_have_attribute("d", str(kept))
    web.start_test(2)
    expect(line).not_to_have_attribute("d", str(kept))
    open_tab(page, "Statistics")
    expect(page.locator(".stampede-charts")).to_have_count(0)


def test_the_charts_show_the_values_at_the_pointer_while_they_grow(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page
) -> None:
    web = web_locust("--host", server.url, *TALK)
    assert b"There was no test yet." in web.get("/stampede/charts")
    web.start_test(10)
    page.goto(f"{web._url}/?tab=charts_of_deliveries")
    expect(page.locator(".plot path.line1").first).to_have_attribute("d", re.compile("L"))
    latency = page.locator(".plot").nth(1)
    latency.hover()
    reading = latency.locator(".reading:not(.line)")
    expect(reading).to_have_text(re.compile(r"^0:\d\d\s+p50 [\d.]+ ms, p99 [\d.]+ ms$"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    drawn = latency.get_attribute("data-readings")
    expect(latency).not_to_have_attribute("data-readings", str(drawn))
    expect(reading).to_have_count(1)
    page.get_by_role("tab", name="Delivery Charts").hover()
    expect(reading).to_have_count(0)


def test_a_reset_of_the_statistics_restarts_the_charts(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page
) -> None:
    web = web_locust("--host", server.url, *TALK)
    web.start_test(10)
    page.goto(f"{web._url}/?tab=charts_of_deliveries")
    first = page.locator(".plot").first.locator(".time").first
    expect(first).to_have_text("0:00")
    web.until(lambda now: now["ready"] == 10)
    expect(page.locator(".plot").first.locator(".time").nth(2)).to_be_visible()  # two seconds
    web.post("/stats/reset")
    expect(first).not_to_have_text("0:00")


def test_the_storms_tab_says_how_to_make_a_storm_until_there_was_one(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page
) -> None:
    web = web_locust("--host", server.url, *TALK)
    web.start_test(10)
    web.until(lambda now: now["ready"] == 10)
    page.goto(f"{web._url}/?tab=storms")
    advice = page.get_by_role("region", name="How to make a storm")
    expect(advice).to_contain_text("There was no storm in this test yet.")
    expect(advice).to_contain_text("press Start storm")
    web.post("/stop")
    expect(advice).to_contain_text("There was no storm in this test. No storm can be started now: no test is running.")
    web.start_test(10)
    web.until(lambda now: now["ready"] == 10)
    page.reload()
    form = page.get_by_role("form", name="Storm")
    form.get_by_role("button", name="Start storm").click()
    expect(page.get_by_role("cell", name="5 of 10")).to_be_visible()
    expect(advice).to_have_count(0)


def test_the_button_is_disabled_with_the_reason_while_a_watch_is_in_progress(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page
) -> None:
    web = web_locust("--host", server.url, *TALK)
    web.start_test(2)
    web.until(lambda now: now["ready"] == 2)
    page.goto(f"{web._url}/?tab=storms")
    button = page.get_by_role("button", name="Start storm")
    expect(button).to_be_enabled()
    web.post("/stampede/watch")
    expect(button).to_be_disabled()
    refusal = "a watch is in progress: a storm would count as dropped by the server"
    expect(page.get_by_role("form", name="Storm")).to_contain_text(f"Refused: {refusal}")
    expect(page.get_by_role("region", name="How to make a storm")).to_contain_text(
        f"No storm can be started now: {refusal}."
    )
    web.post("/stampede/watch/end")
    expect(button).to_be_enabled()
    expect(page.get_by_role("form", name="Storm")).not_to_contain_text("Refused")
