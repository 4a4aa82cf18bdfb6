from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from capacity.cli.output import print_answer
from capacity.model.sizing import Demand, size_for
from capacity.search.search import Ending
from tests.capacity import make

if TYPE_CHECKING:
    from capacity.record.report import RunReport


def test_the_answer_names_scenario_and_dialect_and_wraps_with_its_indent() -> None:
    report = make.report(make.converged())
    sizing = size_for(Demand(10_000, 0.3), report.answer, report.steps)
    report = msgspec.structs.replace(report, sizing=sizing, dialect="socketio")
    terminal = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    print_answer(terminal, report, Path("report"))
    assert isinstance(terminal.file, io.StringIO)
    lines = [line.rstrip() for line in terminal.file.getvalue().splitlines()]
    assert "  users: ChattingUser=1; dialect: socketio" in lines
    second = next(index for index, line in enumerate(lines) if line.startswith("    10 000 / 980"))
    assert lines[second + 1].startswith("    ")
    assert max(map(len, lines)) <= 60
    log = Console(file=io.StringIO(), width=60)
    print_answer(log, report, Path("report"))
    assert isinstance(log.file, io.StringIO)
    assert report.answer.sentence in log.file.getvalue().splitlines()


def printed(report: RunReport) -> list[str]:
    log = Console(file=io.StringIO(), width=60)
    print_answer(log, report, Path("report"))
    assert isinstance(log.file, io.StringIO)
    return log.file.getvalue().splitlines()


def test_the_answer_says_what_to_do_next_and_what_it_costs() -> None:
    report = make.report(make.converged())
    sizing = size_for(Demand(10_000, 0.3, 2, 25.0), report.answer, report.steps)
    lines = printed(msgspec.structs.replace(report, sizing=sizing))
    assert [line for line in lines if line.startswith("next: ")] == [
        f"next: {text}" for text in report.answer.next_steps
    ]
    assert "  cost: 12 cores x 25 a month = 300 a month, in the currency of --price-per-core" in lines


def test_the_command_that_measures_further_is_printed_once() -> None:
    report = make.report([make.step(100)] * 3, Ending.BUDGET)
    assert any("--max-duration 300" in text for text in report.answer.next_steps)
    assert len([line for line in printed(report) if "--max-duration 300" in line]) == 1
