from __future__ import annotations

import io
from pathlib import Path

import msgspec
from rich.console import Console

from capacity.cli.output import print_answer
from capacity.model.sizing import Demand, size_for
from tests.capacity import make


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
