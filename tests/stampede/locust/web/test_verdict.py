"""The verdict on Locust's page, while a run lasts and after it, and in its HTML report."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from stampede.locust.web.verdict import verdict_html, verdict_line, with_section
from tests.stampede.fixtures import TIMEOUT, storm_is_over
from tests.stampede.locust.web.pages import expect_settled
from tests.stampede.verdict.summaries import result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust

FLAGS = ("--room-size", "5", "--message-rate", "5", "--threshold-window", "1", "ChattingUser")
FAILING, MET = "deliver_p50<1us", "deliver_p99<60s"


def test_the_section_escapes_the_texts_of_a_server() -> None:
    shown = verdict_html(result("a&b>:p95<1s", problems=["<img src=x>"]))
    assert "<li>&lt;img src=x&gt;</li>" in shown
    assert "<code>a&amp;b&gt;:p95&lt;1s</code>" in shown


def test_without_a_run_the_section_says_so_and_there_is_no_line() -> None:
    assert "There was no run yet." in verdict_html(None)
    assert verdict_line(None) is None


def test_a_text_of_a_server_does_not_end_the_data_in_a_report() -> None:
    report = with_section("<html><body><p></p></body></html>", result(problems=["</script><script>alert(1)"]))
    assert report.count("</script>") == 1
    (data,) = re.findall(r"<script[^>]*>(.*)</script>", report)
    assert json.loads(data)["reasons"] == ["</script><script>alert(1)"]
    assert report.startswith("<html><body><section")
    assert report.endswith("</script><p></p></body></html>")


def test_the_section_follows_the_last_body_and_is_the_end_of_a_page_without_one() -> None:
    assert with_section("'<body>'<body>rest", None).startswith("'<body>'<body><section")
    assert with_section("rest", None).startswith("rest<section")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        yield page


def start(page: Page, threshold: str) -> None:
    """Fill in the start form that is shown, and send it."""
    page.get_by_text("Custom parameters").click()
    page.locator("input[name=userCount]").fill("10")
    page.locator("input[name=spawnRate]").fill("10")
    page.locator("input[name=threshold]").fill(threshold)
    page.get_by_role("button", name="Start", exact=True).click()


def texts(page: Page) -> list[str]:
    """Return the texts of the section, without those of its layout."""
    section = page.get_by_role("region", name="Verdict")
    expect(section).to_be_visible(timeout=TIMEOUT * 1000)
    return section.locator("h2, h3, p, li, th, td").all_inner_texts()


def has_verdict(line: Locator, when: str, words: str) -> None:
    """Assert that the line shows a verdict; on a slow machine, the run may be invalid instead."""
    invalid = "invalid, the results are not usable"
    either = re.compile(f"^{when}: ({re.escape(words)}|{invalid}|{invalid}; {re.escape(words)})$")
    expect(line).to_have_text(either, timeout=TIMEOUT * 1000)


def has(locator: Locator, text: str) -> None:
    expect(locator).to_contain_text(text, timeout=TIMEOUT * 1000)


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_the_verdict_is_on_the_page_while_a_run_lasts_and_until_the_next_one(
    web_locust: Callable[..., WebLocust], server: RunningServer, page: Page, tmp_path: Path, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, *FLAGS, *processes)
    page.goto(web._url)
    line, section = page.get_by_role("status").filter(has_text="Verdict"), page.get_by_role("region", name="Verdict")
    expect(line).to_be_hidden()
    start(page, FAILING)
    has_verdict(line, "Verdict so far", f"failing now: {FAILING}")
    expect(section).to_be_hidden()
    line.get_by_role("link").click()
    has(section, f"{FAILING} failing now missed in")
    web.post("/stampede/storm", share="0.4")
    web.until(partial(storm_is_over, 10))
    has(section, "4 of 10")
    web.post("/stop")
    has_verdict(line, "Verdict", "failed, 1 of 1 thresholds not met")
    has(section, f"{FAILING} failed missed in")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    after_the_run = texts(page)

    page.get_by_role("tab", name="Storms").click()
    expect(section).to_be_hidden()
    page.reload()
    expect_settled(page)
    page.get_by_role("tab", name="Verdict").click()
    assert texts(page) == after_the_run
    assert_report_is_equal(web, page, tmp_path / "report.html")

    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="New").click()
    start(page, MET)
    has_verdict(line, "Verdict so far", "all thresholds met")
    has(section, f"{MET} met so far met in")
    expect(section).not_to_contain_text(FAILING)


def assert_report_is_equal(web: WebLocust, page: Page, file: Path) -> None:
    """Assert that the downloaded report has the section of the page, and the summary as data."""
    before, page = texts(page), page.context.new_page()
    file.write_bytes(web.get("/stats/report?download=1&theme=dark"))
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", name="Locust Test Report")).to_be_visible()
    assert texts(page) == before
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    data = page.locator("#stampede-summary").inner_text()
    assert json.loads(data) == json.loads(web.get("/stampede/summary"))
