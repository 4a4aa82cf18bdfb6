"""Medians, spreads and ratios of rounds, and their tables in the documents."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import parser
from benchmarks.comparison import report
from benchmarks.comparison.chart import draw
from benchmarks.comparison.results import Outcome, Results, load
from benchmarks.comparison.servers import BUN, NODE_WS, OURS, SERVERS
from benchmarks.comparison.workloads import WORKLOADS
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.comparison.workloads import Workload

RATE = "granted_per_s"


def results(ours: list[float | None], theirs: list[float | None], key: str = "big", figure: str = RATE) -> Results:
    found = Results(key, 2.0, "2 cores")
    for number, pair in enumerate(zip(ours, theirs, strict=True)):
        for server, value in zip((OURS, BUN), pair, strict=True):
            problem = "other processes used its CPU" if value is None else None
            found.outcomes.append(Outcome(server, number, {figure: 1.0 if value is None else value}, problem))
    return found


def complete_results(value: float = 3.0, rounds: int = report.ROUNDS) -> dict[str, Results]:
    """Return results in which every figure of every server is the same."""
    return {key: _results_of(workload, value, rounds) for key, workload in WORKLOADS.items()}


def _results_of(workload: Workload, value: float, rounds: int) -> Results:
    figures = {row.figure: value for row in workload.rows}
    servers = workload.only or tuple(SERVERS)
    return Results(
        workload.key, 2.0, "2 cores", [Outcome(s, number, figures) for number in range(rounds) for s in servers]
    )


def test_a_ratio_compares_two_servers_of_one_round() -> None:
    found = results([100, 300, 900], [100, 100, 100])
    ratio = found.ratio(OURS, BUN, RATE)
    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high, ratio.rounds) == (3, 1, 9, 3)
    ours = found.spread(OURS, RATE)
    assert ours is not None
    assert ours.show(",.0f") == "300 (100-900)"
    assert found.rounds == 3


def test_an_invalid_round_is_ignored() -> None:
    found = results([100, None, 300], [None, 100, 100])
    ratio = found.ratio(OURS, BUN, RATE)
    assert ratio is not None
    assert (ratio.middle, ratio.rounds) == (3, 1)
    assert found.ratio(OURS, NODE_WS, RATE) is None
    assert results([None], [1]).spread(OURS, RATE) is None


def test_results_survive_saving_and_loading(tmp_path: Path) -> None:
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


def test_the_readme_has_five_rows_with_titles_of_their_own() -> None:
    everything = complete_results()
    shown = report.of_the_readme(everything).splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in shown[2:]] == list(report.README_ROWS.values())
    assert len(report.README_ROWS) == 5
    assert len({tuple(line.split(" | ")[1:]) for line in shown} & _cells(report.against_goals(everything))) >= 2


def _cells(table: str) -> set[tuple[str, ...]]:
    return {tuple(line.split(" | ")[1:]) for line in table.splitlines()}


def test_the_committed_readme_has_the_rows_of_the_committed_table() -> None:
    whole = _cells((ROOT / "benchmarks" / "README.md").read_text())
    text = (ROOT / "README.md").read_text()
    for title in report.README_ROWS.values():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {title} | ")]
        assert tuple(line.split(" | ")[1:]) in whole, title


def test_a_goal_without_another_server_is_compared_with_our_figure() -> None:
    idle = results([7 * 1024], [1024], "crowd", "rss_bytes_each")
    assert "7.0 KB" in report.against_goals({"crowd": idle})
    assert "7 KB: met" in report.against_goals({"crowd": idle})
    assert "7 KB: **missed**" in report.against_goals({"crowd": results([7200], [1024], "crowd", "rss_bytes_each")})


def test_the_comparison_has_a_column_for_each_server() -> None:
    shown = report.side_by_side(complete_results(3000.0)).splitlines()
    assert shown[0].strip(" |").split(" | ")[1:] == ["", *(server.title for server in SERVERS.values())]
    assert len(shown) == 2 + sum(len(workload.rows) for workload in WORKLOADS.values())
    assert shown[2].startswith("| 200 clients in 2 rooms, saturated | deliveries/s | 3,000 | 3,000 |")
    assert shown[-1].endswith("| 3,000" + " | -" * (len(SERVERS) - 1) + " |")  # uploads


def test_the_method_states_the_number_of_invalid_measurements() -> None:
    text = report.method({"big": results([100, None], [1, 2])})
    assert text.startswith("Median of 2 rounds on 2 cores")
    assert "1 of 4 measurements were invalid" in text


def test_only_complete_results_update_the_documents() -> None:
    good = complete_results()
    assert report.missing(good) is None
    assert report.missing({key: found for key, found in good.items() if key != "huge"}) == "huge is not measured yet"
    assert report.missing(complete_results(rounds=report.ROUNDS - 1)) == "big has fewer than 5 rounds"
    lean = replace(good["big"], outcomes=[outcome for outcome in good["big"].outcomes if outcome.server != BUN])
    assert report.missing(good | {"big": lean}) == "big is not measured on Bun yet"


def test_a_table_replaces_the_text_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.replace_between_markers(document, "new")
    assert document.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        report.replace_between_markers(document, "new")


@pytest.mark.parametrize("document", ["README.md", "benchmarks/README.md"])
def test_the_documents_have_their_markers(document: str) -> None:
    text = (ROOT / document).read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


@pytest.mark.parametrize("document", ["README.md", "benchmarks/README.md"])
def test_the_commands_in_the_documents_are_valid(document: str) -> None:
    shown = re.findall(r'make bench ARGS="(.*?)"', (ROOT / document).read_text())
    assert shown
    for arguments in shown:
        parser().parse_args(arguments.split())


def test_the_readme_describes_every_server_and_workload() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    for server in SERVERS.values():
        assert f"| {server.title} |" in text or f"| [{server.title}](" in text
    for key in WORKLOADS:
        assert f"| `{key}` |" in text


def test_the_chart_is_a_small_png() -> None:
    image = draw(complete_results(1234.5))
    assert image.startswith(b"\x89PNG")
    assert len(image) < 300_000
