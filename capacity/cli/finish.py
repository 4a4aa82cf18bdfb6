"""End a command: save its report, show it everywhere, print the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.cli.live_page import show_report
from capacity.cli.output import finish_summary, keep, print_answer, print_error, write
from capacity.errors import ExitCode
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from capacity.config.settings import RunSettings
    from capacity.errors import Problem
    from capacity.record.report import RunReport
    from capacity.web.live_page import LivePage

VERDICT_EXIT_CODES: Final = {
    Verdict.PASS: ExitCode.ANSWERED,
    Verdict.FAIL: ExitCode.LEVEL_FAILED,
    Verdict.INVALID: ExitCode.INVALID,
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a command shows its results. `page`: the live page, with `--web`."""

    console: Console
    page: LivePage | None
    settings: RunSettings
    folder: Path


def finish(
    outputs: Outputs, report: RunReport, problem: Problem | None, code: ExitCode, *, pictures: bool = False
) -> int:
    """Write the report, print the answer, return the exit code.

    Args:
        outputs: where to.
        report: of what was measured.
        problem: what interrupted the command.
        code: exit code of the command, if its summary can be written.
        pictures: whether the charts are also written as PNG files.
    """
    write(report, outputs.folder, pictures=pictures)
    show_report(outputs.page, outputs.folder, problem)
    keep(report, outputs.folder, outputs.settings.runs)
    if problem is not None:
        print_error(problem)
    print_answer(outputs.console, report, outputs.folder)
    return finish_summary(outputs.settings, report, outputs.folder, code)
