"""Run the command: read settings, run, write the report, print the answer, return the exit code."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from capacity.cli.commands import COMMANDS
from capacity.cli.display import open_display
from capacity.cli.drill import drill_command
from capacity.cli.execution import run_displayed
from capacity.cli.finish import VERDICT_EXIT_CODES, Outputs, finish
from capacity.cli.live_page import on_page, open_page
from capacity.cli.output import print_error, repeat_command, report_folder, write
from capacity.cli.resume import (
    check_same_question,
    combined_arguments,
    earlier_measurements,
    earlier_report,
    without_resume,
)
from capacity.cli.title import run_title
from capacity.config.secrets import redact_report
from capacity.config.settings import read_settings
from capacity.config.settings_table import settings_table
from capacity.errors import CapacityError, ExitCode, InterruptedRunError, UsageError
from capacity.model.scaling import point_of, scaling_of
from capacity.processes.cores import Cores, usable_cores
from capacity.run import CapacityRun
from capacity.run_report import Measured, build_report, report_so_far, slo_texts
from capacity.signals import Interrupts
from capacity.summary.files import check_summary_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.settings import RunSettings
    from capacity.errors import Problem
    from capacity.record.model import ProcessPoint
    from capacity.record.report import RunReport
    from capacity.web.live_page import LivePage


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code. An error is one line on stderr."""
    interrupts = Interrupts()
    interrupts.enable()
    try:
        if arguments and arguments[0] == "drill":
            return drill_command(arguments[1:], interrupts)
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return _run_command(arguments, interrupts)
    except (CapacityError, InterruptedRunError) as error:
        print_error(error)
        return error.exit_code


@dataclass(frozen=True, slots=True)
class _Session:
    """What the searches of one command share. `page`: the live page, with `--web`."""

    console: Console
    interrupts: Interrupts
    page: LivePage | None


def _run_command(arguments: Sequence[str], interrupts: Interrupts) -> int:
    environment = dict(os.environ)
    settings = read_settings(arguments, environment)
    earlier, resumed = None, settings.resume
    if resumed is not None:
        earlier = earlier_report(Path(resumed))
        arguments = combined_arguments(earlier, without_resume(arguments), environment)
        settings = read_settings(arguments, environment)
    folder = report_folder(settings.report)
    check_summary_files(settings)
    is_single = len(settings.worker_counts) == 1
    if resumed is not None and not is_single:
        begun = [str(part) for part in _search_folders(settings, Path(resumed)).values() if part.exists()]
        folder_name = (begun or [resumed])[-1]
        raise UsageError(f"--resume continues a single search: name its folder, such as {folder_name}")
    console = Console()
    with open_page(settings.web, console) as page:
        session = _Session(console, interrupts, page)
        if not is_single:
            return _run_several(session, settings, arguments)
        report, problem = _run(session, settings, repeat_command(arguments), earlier)
        return _finish(session, settings, report, problem, folder)


def _search_folders(settings: RunSettings, folder: Path) -> dict[int, Path]:
    """Return the folder of each search's report, by number of server processes."""
    return {workers: folder / f"workers-{workers}" for workers in settings.worker_counts}


def _run_several(session: _Session, settings: RunSettings, arguments: Sequence[str]) -> int:
    """Search once for each number of server processes. The last report also has the scaling."""
    folder = Path(settings.report)
    if session.page is not None:  # beside the cores of the search with the most server processes
        cores = Cores.for_bundled_server(usable_cores(), max(settings.worker_counts))
        session.page.start(run_title(settings), cores.generator)
    reports: list[RunReport] = []
    points: list[ProcessPoint] = []
    for workers, part in _search_folders(settings, folder).items():
        report_folder(str(part))
        command = repeat_command([*arguments, "--workers-list", str(workers), "--report", str(part)])
        report, problem = _run(session, replace(settings, workers_list=(workers,)), command, None)
        write(report, part, pictures=False)
        reports.append(report)
        points.append(point_of(report, workers, part.name))
        if problem is not None:
            break
        session.console.print(f"{report.answer.sentence}\n", highlight=False, soft_wrap=True)
    whole = msgspec.structs.replace(
        # If the last search was interrupted before its first step, show the result of the search before it.
        next((one for one in reversed(reports) if one.steps), report),
        status=report.status,
        status_reason=report.status_reason,
        scaling=scaling_of(points),
        command=repeat_command(arguments),
    )
    return _finish(session, settings, whole, problem, folder)


def _run(
    session: _Session, settings: RunSettings, command: str, earlier: RunReport | None
) -> tuple[RunReport, Problem | None]:
    """Run until the end or an interruption; return the report, and what interrupted the run."""
    title, page = run_title(settings), session.page
    display = on_page(
        open_display(session.console, title), page, lambda: partial(report_so_far, Measured.of(run), command)
    )
    steps, storms = earlier_measurements(earlier)
    run = CapacityRun(settings, display, steps=steps, storms=storms)
    if earlier is not None:
        check_same_question(earlier, settings_table(settings), slo_texts(settings), run.testbed.environment)
    if page is not None:
        page.start(title, run.testbed.cores.generator)
    problem = run_displayed(display, session.interrupts, run.execute)
    return redact_report(build_report(run, command, problem)), problem


def _finish(session: _Session, settings: RunSettings, report: RunReport, problem: Problem | None, folder: Path) -> int:
    """Write the report, print the answer, return the exit code."""
    outputs = Outputs(session.console, session.page, settings, folder)
    is_complete = not settings.given and problem is None  # pictures are for complete searches only
    code = problem.exit_code if problem is not None else _exit_code(settings, report)
    return finish(outputs, report, problem, code, pictures=is_complete)


def _exit_code(settings: RunSettings, report: RunReport) -> ExitCode:
    answer = report.answer
    if settings.storm is not None:
        measured = report.storm is not None and (report.storm.share or report.storm.failing_share)
        return ExitCode.ANSWERED if measured else ExitCode.INVALID
    if settings.bounded is not None:
        return VERDICT_EXIT_CODES[report.steps[-1].verdict]
    found = answer.supported_users is not None or answer.first_failing_users is not None
    return ExitCode.ANSWERED if found else ExitCode.INVALID
