"""Run a drill: hold users, run a command, write the report, and return the exit code."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.console import Console

from capacity.cli.display import open_display
from capacity.cli.execution import run_displayed
from capacity.cli.finish import VERDICT_EXIT_CODES, Outputs, finish
from capacity.cli.live_page import on_page, open_page
from capacity.cli.output import repeat_command, report_folder
from capacity.config.drill_settings import read_drill_settings
from capacity.config.secrets import redact_report
from capacity.drill.drill import Drill
from capacity.drill.report import drill_report, drill_so_far
from capacity.summary.files import check_summary_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.signals import Interrupts


def drill_command(arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Run a drill, and report what its command did to the users."""
    settings = read_drill_settings(arguments, dict(os.environ))
    folder = report_folder(settings.run_settings.report)
    check_summary_files(settings.run_settings)
    console = Console()
    command = repeat_command(["drill", *arguments])
    with open_page(settings.run_settings.web, console) as page:
        # A report is data for the process of the page; `replace` returns it there.
        display = on_page(
            open_display(console, settings.title), page, lambda: partial(replace, drill_so_far(drill, command))
        )
        drill = Drill(settings, display)
        if page is not None:
            page.start(settings.title, drill.testbed.cores.generator)
        problem = run_displayed(display, interrupts, drill.execute)
        report = redact_report(drill_report(drill, command, problem))
        outputs = Outputs(console, page, settings.run_settings, folder)
        code = problem.exit_code if problem is not None else VERDICT_EXIT_CODES[drill.verdict]
        return finish(outputs, report, problem, code)
