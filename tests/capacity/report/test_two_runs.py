"""Two saved runs side by side, opened from files without a server, in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from playwright.sync_api import expect

from capacity.record.step import Verdict
from capacity.report.compare import compare
from capacity.report.history import save_run, saved_runs
from capacity.report.writer import write_report
from capacity.search.search import Ending
from capacity.storms.result import storm_answer
from tests.capacity import make
from tests.capacity.compared_runs import searched
from tests.capacity.drill import make_drill
from tests.capacity.storms.test_storms import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page, ViewportSize

    from capacity.record.report import RunReport

CHART: Final = "Users and verdicts over time"
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
NARROW: Final[ViewportSize] = {"width": 390, "height": 844}


def stormed(*shares: tuple[int, Verdict]) -> RunReport:
    """Return a run of storms on 100 users."""
    storms = [record(share, verdict) for share, verdict in shares]
    answer = storm_answer(storms, users=100, slos=["resync_p95<5s"], backoff="none", ending=Ending.CONVERGED)
    return make.report([make.step(100)], Ending.STEPS_DONE, storm=answer, levels=["resync_p95<5s"])


def save(folder: Path, day: int, report: RunReport, **settings: Any) -> None:
    """Save a report as the run of a day in January, in `folder/runs`."""
    environment = msgspec.structs.replace(
        report.environment, started_at=f"2026-01-{day:02}T03:04:05+00:00", revision=f"{day:09}"
    )
    made = msgspec.structs.replace(report, environment=environment, settings=report.settings | settings)
    (folder / "report").mkdir(exist_ok=True)
    write_report(made, folder / "report")
    save_run(folder / "report", folder / "runs", made)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save runs of every kind."""
    folder = tmp_path_factory.mktemp("history")
    save(folder, 1, searched(1.0, 1200, 1300, ""))
    save(folder, 2, searched(0.8, 1500, 1590, ""), load="--room-size 10")
    save(folder, 3, stormed((10, Verdict.PASS), (20, Verdict.FAIL)), steps="100", storm=100)
    save(folder, 4, stormed((20, Verdict.PASS), (40, Verdict.FAIL)), steps="100", storm=100)
    save(folder, 5, make_drill.report(make_drill.record(make_drill.untouched())), users=100)
    save(folder, 6, make_drill.report(make_drill.record()), users=100)
    save(folder, 7, make.report([make.step(400)]), steps="400", bounded=True)
    return folder / "runs"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(viewport=WIDE) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        assert problems == []


def address(runs: Path, before: int, after: int) -> str:
    names = [run.name for run in saved_runs(runs)]
    return f"{(runs / 'compare.html').as_uri()}?before={names[before - 1]}&after={names[after - 1]}"


def cells(row: Locator) -> list[str]:
    return [" ".join(text.split()) for text in row.locator("th, td").all_inner_texts()]


def row(page: Page, name: str) -> list[str]:
    return cells(page.locator("tbody tr", has=page.locator(f'th:text-is("{name}")')))


def differences(page: Page) -> dict[str, str]:
    """Return the differences of the question and the machine by name."""
    texts = page.locator("#asked > *").all_inner_texts()
    return dict(zip(texts[::2], texts[1::2], strict=True))


def test_the_index_lists_runs_of_every_kind_with_their_results(runs: Path) -> None:
    kinds = [run.kind for run in saved_runs(runs)]
    storms, drills = ["storms on 100 users"] * 2, ["drill on 100 users"] * 2
    assert kinds == ["search", "search", *storms, *drills, "bounded 400"]
    text = re.sub(r"<[^>]+>|\s+", " ", (runs / "index.html").read_text()).replace("\N{NO-BREAK SPACE}", " ")
    text = re.sub(" +", " ", text)
    assert "drill on 100 users · ./deploy.sh" in text
    assert "000000006 40 of 100 pass 1.60 s 400 9.04 ms complete" in text
    assert re.search(r"000000004 \S+ \d+ 20 % 40 % ", text)


def test_two_runs_are_chosen_in_the_index_and_open_side_by_side(page: Page, runs: Path) -> None:
    page.goto((runs / "index.html").as_uri())
    page.get_by_label("before: 2026-01-01 03:04, 000000001").check()
    page.get_by_label("after: 2026-01-02 03:04, 000000002").check()
    page.get_by_role("button", name="Open both side by side").click()
    expect(page.get_by_role("heading", name="Two runs side by side")).to_be_visible()
    names = [run.name for run in saved_runs(runs)]
    assert [page.locator(f"select[name={side}]").input_value() for side in ("before", "after")] == names[:2]
    for side, users in (("before", "1 200"), ("after", "1 500")):
        report = page.frame_locator(f'iframe[title="report {side}"]')
        expect(report.locator(".number").first).to_have_text(re.compile(users.replace(" ", r"\s")))


def test_the_differences_are_on_top_and_those_of_the_command(page: Page, runs: Path) -> None:
    page.goto(address(runs, 1, 2))
    asked = differences(page)
    assert (asked["revision"], asked["load"]) == ("000000001 → 000000002", "none → --room-size 10")
    assert "scenario" not in asked
    assert "machine" not in asked
    one, two = (msgspec.structs.replace(saved.report, settings={}) for saved in saved_runs(runs)[:2])
    found = {line.name: line for line in compare([one], [two], 0.1).rows}
    page.locator("#unchanged summary").click()
    shown = [cells(line) for line in page.locator("tbody tr").all()]
    assert {line[0] for line in shown} == set(found)
    for name, before, after, ratio, change in shown:
        line = found[name]
        assert (before, after, ratio) == (line.before, line.after, line.ratio_text), name
        assert change == ("within the spread" if line.is_noise else line.change), name
    page_top = page.locator("#differences").bounding_box()
    frames = page.locator("#frames").bounding_box()
    assert page_top is not None
    assert frames is not None
    assert page_top["y"] < frames["y"]
    assert "cannot tell whether a difference is noise" in page.locator("#doubt").inner_text()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["desktop", "phone"])
def test_a_chart_of_both_runs_is_on_one_screen(page: Page, runs: Path, viewport: ViewportSize) -> None:
    page.set_viewport_size(viewport)
    page.goto(address(runs, 1, 2))
    for side in ("before", "after"):
        expect(page.frame_locator(f'iframe[title="report {side}"]').locator(".number").first).to_be_visible()
    page.get_by_role("button", name=CHART).click()
    page.locator("#sections").evaluate("bar => bar.scrollIntoView()")
    for side in ("before", "after"):
        frame = page.frame_locator(f'iframe[title="report {side}"]')
        drawing = frame.locator("figure", has=frame.get_by_role("heading", name=CHART)).locator("svg:visible")
        expect(drawing).to_be_in_viewport(ratio=0.9)
        box, place = drawing.bounding_box(), page.locator(f'iframe[title="report {side}"]').bounding_box()
        assert box is not None
        assert place is not None
        assert box["y"] >= place["y"] - 1
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= viewport["width"]
        assert place["y"] + place["height"] <= viewport["height"] + 20
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


@pytest.mark.parametrize(
    ("pair", "shown"),
    [
        ((3, 4), ["storm, share of users", "10 % to 20 %", "20 % to 40 %", "2.00", "better"]),
        ((3, 4), ["storm of 20 %: verdict", "fail", "pass", "", "better"]),
        ((5, 6), ["drill: messages missed", "0", "400", "", "worse"]),
        ((6, 5), ["drill: users dropped", "40", "0", "0.00", "better"]),
    ],
)
def test_storms_and_drills_are_compared_by_their_figures(
    page: Page, runs: Path, pair: tuple[int, int], shown: list[str]
) -> None:
    page.goto(address(runs, *pair))
    assert row(page, shown[0]) == shown


def test_runs_of_different_kinds_say_so(page: Page, runs: Path) -> None:
    page.goto(address(runs, 1, 6))
    asked = differences(page)
    assert asked["kind of run"] == "search → drill on 100 users"
    assert asked["command"] == "none → ./deploy.sh"


def test_another_run_can_be_chosen_on_the_page(page: Page, runs: Path) -> None:
    page.goto(address(runs, 1, 2))
    page.get_by_role("button", name="Swap").click()
    page.wait_for_url(address(runs, 2, 1))
    with page.expect_navigation():
        page.locator("select[name=after]").select_option(saved_runs(runs)[3].name)
    assert page.url == address(runs, 2, 4)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "Choose two runs."),
        ("?before=javascript:alert(1)&after=../../x", "One of the runs is not in this folder. Choose two runs."),
    ],
)
def test_an_address_without_two_saved_runs_asks_for_them(page: Page, runs: Path, query: str, problem: str) -> None:
    page.goto((runs / "compare.html").as_uri() + query)
    assert page.locator("#problem").inner_text() == problem
    assert page.locator("iframe").count() == 0


def test_texts_of_a_run_are_no_markup(page: Page, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    for day in (1, 2):
        save(tmp_path, day, make.report([make.step(400)]), host=f"ws://{evil}{day}")
    folder = tmp_path / "runs"
    page.goto(address(folder, 1, 2))
    assert page.locator("img").count() == 0
    assert f"{evil}1 → ws://{evil}2" in page.locator("#asked").inner_text()


def test_a_single_run_has_nothing_to_choose(tmp_path: Path) -> None:
    save(tmp_path, 1, make.report([make.step(100, window_s=None)]))
    assert "<input" not in (tmp_path / "runs" / "index.html").read_text()
