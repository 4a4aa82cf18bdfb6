"""Run a drill: hold users, run a command, write the report, and return the exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from rich.console import Console

from capacity.cli.display import open_display
from capacity.cli.execution import run_displayed
from capacity.cli.output import print_answer, print_error, repeat_command, report_folder, write
from capacity.config.drill_settings import read_drill_settings
from capacity.config.secrets import redact_report
from capacity.drill.drill import Drill
from capacity.drill.report import drill_report
from capacity.errors import ExitCode
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.signals import Interrupts

_EXIT_CODES: Final = {
    Verdict.PASS: ExitCode.ANSWERED,
    Verdict.FAIL: ExitCode.LEVEL_FAILED,
    Verdict.INVALID: ExitCode.INVALID,
}


def drill_command(arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Run a drill, and report what its command did to the users."""
    settings = read_drill_settings(arguments, dict(os.environ))
    folder = report_folder(settings.run_settings.report)
    console = Console()
    display = open_display(console, settings.title)
    drill = Drill(settings, display)
    problem = run_displayed(display, interrupts, drill.execute)
    report = redact_report(drill_report(drill, repeat_command(["drill", *arguments]), problem))
    write(report, folder, pictures=False)
    if problem is not None:
        print_error(problem)
    print_answer(console, report, folder)
    if problem is not None:
        return problem.exit_code
    return _EXIT_CODES[drill.verdict]
