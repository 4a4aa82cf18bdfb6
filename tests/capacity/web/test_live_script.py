"""The script of the live page: what the reader looks at stays where it is while the report changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from capacity.web.messages import End, Progress
from tests.capacity.web.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

FIGURES = (
    ("users in rooms", "12 400 of 12 400"),
    ("deliveries/s", "235 600 of 235 600"),
    ("p50", "1.24 ms"),
    ("p99", "8.22 ms"),
    ("server CPU", "98 %"),
    ("generator CPU", "100 %"),
)


def report(steps: int, *, first: str = "", size: int = 600) -> bytes:
    """Return a report with a row for each step, after an optional section."""
    rows = "".join(f"<tr><td>step {number}</td></tr>" for number in range(steps))
    return f"""<!DOCTYPE html><title>{steps} steps</title><main><header><h1>{steps}</h1></header>{first}
        <section id="charts"><h2>Charts</h2>
        <figure style="height: {size}px"><svg><text>{steps}</text></svg></figure></section>
        <section id="steps"><h2>Steps</h2><div class="scroll" style="height: 60px; overflow: auto">
        <table style="width: 3000px"><tbody>{rows}</tbody></table></div></section>
        <section id="more"><details><summary>Details</summary><p>of {steps} steps</p></details>
        <p><a href="other.html">a file</a> <a href="#steps">Steps</a></p><div style="height: 2000px"></div></section>
        </main>""".encode()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def page(chromium: Browser, served: Served) -> Iterator[Page]:
    problems: list[str] = []
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{served.port}/")
        yield page
    assert problems == []


def test_an_update_keeps_the_position_the_open_details_and_scrolled_tables(page: Page, served: Served) -> None:
    served.board.show_report(report(20), b"{}")
    expect(page.locator("h1")).to_have_text("20")
    page.locator("summary").click()
    page.locator(".scroll").evaluate("one => { one.scrollLeft = 300; one.scrollTop = 40; }")
    page.locator("summary").evaluate("one => window.scrollTo(0, one.getBoundingClientRect().top + scrollY - 200)")
    before = page.locator("summary").bounding_box()
    assert before is not None

    evidence = '<section id="evidence"><h2>New</h2><p>above</p></section>'
    served.board.show_report(report(30, first=evidence, size=900), b"{}")
    expect(page.locator("h1")).to_have_text("30")
    expect(page.locator("#evidence")).to_have_count(1)
    expect(page.locator("details p")).to_be_visible()
    expect(page.locator("details p")).to_have_text("of 30 steps")
    assert page.locator("svg text").text_content() == "30"
    assert page.locator("tr").count() == 30
    assert page.locator(".scroll").evaluate("one => [one.scrollLeft, one.scrollTop]") == [300, 40]
    after = page.locator("summary").bounding_box()
    assert after is not None
    assert abs(after["y"] - before["y"]) < 1
    assert page.evaluate("[...document.querySelectorAll('section')].map(one => one.id)") == [
        "evidence",
        "charts",
        "steps",
        "more",
    ]


def test_closed_details_and_removed_parts_follow_the_report(page: Page, served: Served) -> None:
    served.board.show_report(report(3, first='<section id="evidence"><h2>Old</h2></section>'), b"{}")
    expect(page.locator("tr")).to_have_count(3)
    served.board.show_report(report(2), b"{}")
    expect(page.locator("tr")).to_have_count(2)
    expect(page.locator("#evidence")).to_have_count(0)
    expect(page.locator("details p")).to_be_hidden()


def test_the_bar_says_what_the_run_does_and_that_it_has_ended(page: Page, served: Served) -> None:
    bar = page.locator(".live")
    served.board.show_progress(Progress("step 3: 800 users (ramp)", "measuring", figures=FIGURES))
    expect(bar).to_contain_text("In progress")
    expect(bar).to_contain_text("step 3: 800 users (ramp) · measuring")
    expect(bar.locator("dt")).to_have_text([label for label, _ in FIGURES])
    expect(bar.locator("dd")).to_have_text([value for _, value in FIGURES])
    expect(page).to_have_title(re.compile("^In progress: "))
    served.board.show_problem("The latest measurements cannot be drawn: no memory")
    expect(bar).to_contain_text("no memory")
    served.board.show_report(report(1), b"{}")
    expect(bar).not_to_contain_text("no memory")
    expect(page).to_have_title("In progress: 1 steps")
    served.board.show_end(End("This is the final report, saved as /tmp/<b>.", report(2), b"{}"))
    expect(bar).to_contain_text("Ended")
    expect(bar).to_contain_text("saved as /tmp/<b>.")
    expect(bar).not_to_contain_text("In progress")
    expect(page.locator("h1")).to_have_text("2")
    expect(page).to_have_title("2 steps")
    # The page has what it needs, and its connection is closed.
    served.server.wait_idle(30)
    assert page.evaluate("stream.readyState") == 2


def test_only_files_that_are_served_have_links(page: Page, served: Served) -> None:
    served.board.show_report(report(1), b"{}")
    expect(page.locator("a[href]")).to_have_text(["Steps"])


def test_scripts_of_a_report_do_not_run(page: Page, served: Served) -> None:
    hostile = "<p><img src=x onerror='document.title = 1'><script>document.title = 2</script></p>"
    served.board.show_report(report(1, first=hostile), b"{}")
    expect(page.locator("h1")).to_have_text("1")
    expect(page).to_have_title("In progress: 1 steps")


def test_a_lost_connection_is_shown(chromium: Browser) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        with serving() as served:
            page.goto(f"http://127.0.0.1:{served.port}/")
            served.board.show_progress(Progress("step 3"))
            expect(page.locator(".live")).to_contain_text("step 3")
            page.route("**/events", lambda route: route.abort())
            page.evaluate("stream.dispatchEvent(new Event('error'))")
        expect(page.locator(".live")).to_contain_text("Connection lost")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_bar_has_the_same_height_with_and_without_figures(page: Page, served: Served, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    heights = []
    for number, figures in enumerate([(), FIGURES]):
        served.board.show_progress(Progress(f"step {number}: 800 users (ramp)", "measuring", 0.0, 0.0, figures))
        expect(page.locator(".live")).to_contain_text(f"step {number}")
        heights.append(page.locator(".live").evaluate("one => one.offsetHeight"))
    assert heights[0] == heights[1]
    assert page.evaluate("document.documentElement.scrollWidth") == width
