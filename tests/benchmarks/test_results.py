"""Medians, spreads and ratios of rounds; what they look like in the documents."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks import report
from benchmarks.__main__ import parser
from benchmarks.chart import draw
from benchmarks.results import Outcome, Results, load
from benchmarks.roster import BEST, OURS, ROSTER, USUAL
from benchmarks.workloads import WORKLOADS
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.workloads import Workload

RATE = "granted_per_s"


def results(ours: list[float | None], theirs: list[float | None], key: str = "big", figure: str = RATE) -> Results:
    found = Results(key, 2.0, "2 cores")
    for number, pair in enumerate(zip(ours, theirs, strict=True)):
        for server, value in zip((OURS, BEST), pair, strict=True):
            problem = "others used its CPU" if value is None else None
            found.outcomes.append(Outcome(server, number, {figure: 1.0 if value is None else value}, problem))
    return found


def whole(value: float = 3.0, rounds: int = report.ROUNDS) -> dict[str, Results]:
    """Every figure of every server is the same."""
    return {key: _whole(workload, value, rounds) for key, workload in WORKLOADS.items()}


def _whole(workload: Workload, value: float, rounds: int) -> Results:
    figures = {row.figure: value for row in workload.rows}
    servers = workload.only or tuple(ROSTER)
    return Results(
        workload.key, 2.0, "2 cores", [Outcome(s, number, figures) for number in range(rounds) for s in servers]
    )


def test_the_ratio_is_taken_round_by_round() -> None:
    found = results([100, 300, 900], [100, 100, 100])
    ratio = found.ratio(OURS, BEST, RATE)
    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high, ratio.rounds) == (3, 1, 9, 3)
    ours = found.of(OURS, RATE)
    assert ours is not None
    assert ours.show(",.0f") == "300 (100-900)"
    assert found.rounds == 3


def test_an_invalid_round_counts_for_nothing() -> None:
    found = results([100, None, 300], [None, 100, 100])
    ratio = found.ratio(OURS, BEST, RATE)
    assert ratio is not None
    assert (ratio.middle, ratio.rounds) == (3, 1)
    assert found.ratio(OURS, USUAL, RATE) is None
    assert results([None], [1]).of(OURS, RATE) is None


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    found = results([100, None], [1, 2])
    found.save(tmp_path / "deep")
    assert load(tmp_path / "deep", WORKLOADS) == {"big": found}


def test_a_goal_is_met_or_missed_by_the_median() -> None:
    met = report.against_goals({"big": results([100, 100, 1], [100, 100, 100])})
    assert "| 200 clients in 2 rooms, saturated | 100 deliveries/s | 1.00 (0.01-1.00) x | - |" in met
    assert "\N{GREATER-THAN OR EQUAL TO} 1 x Bun: met" in met
    assert "20 x Node ws: not measured" in met
    assert "1 x Bun: **missed**" in report.against_goals({"big": results([99], [100])})
    less = results([2.1], [2.0], "latency", "latency_p99_ms")
    assert "\N{LESS-THAN OR EQUAL TO} 1 x Bun: **missed**" in report.against_goals({"latency": less})


def test_a_goal_of_our_own_is_held_against_our_figure_in_its_unit() -> None:
    idle = results([7 * 1024], [1024], "crowd", "rss_bytes_each")
    assert "7.0 KB" in report.against_goals({"crowd": idle})
    assert "7 KB: met" in report.against_goals({"crowd": idle})
    assert "7 KB: **missed**" in report.against_goals({"crowd": results([7200], [1024], "crowd", "rss_bytes_each")})


def test_all_servers_stand_side_by_side() -> None:
    shown = report.side_by_side(whole(3000.0)).splitlines()
    assert shown[0].strip(" |").split(" | ")[1:] == ["", *(server.title for server in ROSTER.values())]
    assert len(shown) == 2 + sum(len(workload.rows) for workload in WORKLOADS.values())
    assert shown[2].startswith("| 200 clients in 2 rooms, saturated | deliveries/s | 3,000 | 3,000 |")
    assert shown[-1].endswith("| 3,000 | - | - | - | - | - | - | - |")  # uploads


def test_how_it_was_measured_tells_of_invalid_rounds() -> None:
    told = report.how({"big": results([100, None], [1, 2])})
    assert told.startswith("Median of 2 rounds on 2 cores")
    assert "1 of 4 measurements were invalid" in told


def test_only_whole_results_make_documents() -> None:
    good = whole()
    assert report.missing(good) is None
    assert report.missing({key: found for key, found in good.items() if key != "huge"}) == "huge is not measured yet"
    assert report.missing(whole(rounds=report.ROUNDS - 1)) == "big has less than 5 rounds"
    lean = replace(good["big"], outcomes=[outcome for outcome in good["big"].outcomes if outcome.server != BEST])
    assert report.missing(good | {"big": lean}) == "big is not measured on Bun yet"


def test_a_table_is_put_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.put(document, "new")
    assert document.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        report.put(document, "new")


@pytest.mark.parametrize("document", ["README.md", "benchmarks/README.md"])
def test_the_documents_have_their_markers(document: str) -> None:
    text = (ROOT / document).read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


@pytest.mark.parametrize("document", ["README.md", "benchmarks/README.md"])
def test_the_documents_commands_are_understood(document: str) -> None:
    shown = re.findall(r'make bench ARGS="(.*?)"', (ROOT / document).read_text())
    assert shown
    for arguments in shown:
        parser().parse_args(arguments.split())


def test_the_readme_describes_every_server_and_workload() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    for server in ROSTER.values():
        assert f"| {server.title} |" in text or f"| [{server.title}](" in text
    for key in WORKLOADS:
        assert f"| `{key}` |" in text


def test_the_picture_is_one_and_small() -> None:
    picture = draw(whole(1234.5))
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
