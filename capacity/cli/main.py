"""Run the command: read settings, run, write the report, print the answer, return the exit code."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from capacity.cli.commands import COMMANDS
from capacity.cli.display import open_display
from capacity.cli.drill import drill_command
from capacity.cli.execution import run_displayed
from capacity.cli.output import print_answer, print_error, repeat_command, report_folder, write, write_errors
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
from capacity.errors import CapacityError, ExitCode, UsageError
from capacity.model.scaling import point_of, scaling_of
from capacity.record.step import Verdict
from capacity.run import CapacityRun
from capacity.run_report import build_report, slo_texts
from capacity.signals import Interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.settings import RunSettings
    from capacity.record.model import ProcessPoint
    from capacity.record.report import RunReport


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
    except CapacityError as error:
        print_error(error)
        return error.exit_code


def _run_command(arguments: Sequence[str], interrupts: Interrupts) -> int:
    environment = dict(os.environ)
    settings = read_settings(arguments, environment)
    earlier, resumed = None, settings.resume
    if resumed is not None:
        earlier = earlier_report(Path(resumed))
        arguments = combined_arguments(earlier, without_resume(arguments), environment)
        settings = read_settings(arguments, environment)
    folder = report_folder(settings.report)
    console = Console()
    if len(settings.worker_counts) > 1:
        if resumed is not None:
            begun = [str(part) for part in _search_folders(settings, Path(resumed)).values() if part.exists()]
            folder_name = (begun or [resumed])[-1]
            raise UsageError(f"--resume continues a single search: name its folder, such as {folder_name}")
        return _run_several(console, settings, arguments, interrupts)
    report, problem = _run(console, settings, repeat_command(arguments), earlier, interrupts)
    return _finish(console, settings, report, problem, folder)


def _search_folders(settings: RunSettings, folder: Path) -> dict[int, Path]:
    """Return the folder of each search's report, by number of server processes."""
    return {workers: folder / f"workers-{workers}" for workers in settings.worker_counts}


def _run_several(console: Console, settings: RunSettings, arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Search once for each number of server processes. The last report also has the scaling."""
    folder = Path(settings.report)
    reports: list[RunReport] = []
    points: list[ProcessPoint] = []
    for workers, part in _search_folders(settings, folder).items():
        report_folder(str(part))
        command = repeat_command([*arguments, "--workers-list", str(workers), "--report", str(part)])
        report, problem = _run(console, replace(settings, workers_list=(workers,)), command, None, interrupts)
        write(report, part, pictures=False)
        reports.append(report)
        points.append(point_of(report, workers, part.name))
        if problem is not None:
            break
        console.print(f"{report.answer.sentence}\n", highlight=False, soft_wrap=True)
    whole = msgspec.structs.replace(
        # If the last search was interrupted before its first step, show the result of the search before it.
        next((one for one in reversed(reports) if one.steps), report),
        status=report.status,
        status_reason=report.status_reason,
        scaling=scaling_of(points),
        command=repeat_command(arguments),
    )
    return _finish(console, settings, whole, problem, folder)


def _run(
    console: Console, settings: RunSettings, command: str, earlier: RunReport | None, interrupts: Interrupts
) -> tuple[RunReport, CapacityError | None]:
    """Run until the end or an interruption; return the report, and what interrupted the run."""
    display = open_display(console, run_title(settings))
    steps, storms = earlier_measurements(earlier)
    run = CapacityRun(settings, display, steps=steps, storms=storms)
    if earlier is not None:
        check_same_question(earlier, settings_table(settings), slo_texts(settings), run.testbed.environment)
    problem = run_displayed(display, interrupts, run.execute)
    return redact_report(build_report(run, command, problem)), problem


def _finish(
    console: Console, settings: RunSettings, report: RunReport, problem: CapacityError | None, folder: Path
) -> int:
    """Write the report, print the answer, return the exit code."""
    # Pictures are for complete searches only.
    write(report, folder, pictures=not settings.given and problem is None)
    if settings.runs and report.steps:
        from capacity.report.history import save_run  # noqa: PLC0415 - see _write

        with write_errors():
            save_run(folder, Path(settings.runs), report)
    if problem is not None:
        print_error(problem)
    print_answer(console, report, folder)
    return problem.exit_code if problem else _exit_code(settings, report)


def _exit_code(settings: RunSettings, report: RunReport) -> ExitCode:
    answer = report.answer
    if settings.storm is not None:
        measured = report.storm is not None and (report.storm.share or report.storm.failing_share)
        return ExitCode.ANSWERED if measured else ExitCode.INVALID
    if settings.bounded is not None:
        by_verdict = {
            Verdict.PASS: ExitCode.ANSWERED,
            Verdict.FAIL: ExitCode.LEVEL_FAILED,
            Verdict.INVALID: ExitCode.INVALID,
        }
        return by_verdict[report.steps[-1].verdict]
    found = answer.supported_users is not None or answer.first_failing_users is not None
    return ExitCode.ANSWERED if found else ExitCode.INVALID
