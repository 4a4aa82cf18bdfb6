"""The command: settings in, a run, the report, one answer and an exit code out."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from capacity.cli.commands import COMMANDS
from capacity.cli.display import open_display
from capacity.cli.interrupts import Stops
from capacity.cli.resume import check_same, continued, earlier_report, measured_before, without_resume
from capacity.config.invocation import as_started
from capacity.config.secrets import scrubbed, without_secret_arguments
from capacity.config.settings import read_settings
from capacity.config.settings_table import settings_table
from capacity.errors import CapacityError, ExitCode, RunError, UsageError
from capacity.formatting import count
from capacity.model.scaling import point_of, scaling_of
from capacity.run import CapacityRun
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.config.settings import Settings
    from capacity.record import ProcessPoint, Report
    from capacity.search.search import Ending


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; whatever goes wrong is one line on stderr."""
    stops = Stops()
    stops.heed()
    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return _capacity(arguments, stops)
    except CapacityError as error:
        _complain(error)
        return error.exit_code


def _capacity(arguments: Sequence[str], stops: Stops) -> int:
    environment = dict(os.environ)
    settings = read_settings(arguments, environment)
    earlier, resumed = None, settings.resume
    if resumed is not None:
        earlier = earlier_report(Path(resumed))
        arguments = continued(earlier, without_resume(arguments))
        settings = read_settings(arguments, environment)
    folder = _report_folder(settings.report)
    console = Console()
    if len(settings.workers_list) > 1:
        if resumed is not None:
            begun = [str(place) for place in _places(settings, Path(resumed)).values() if place.exists()]
            raise UsageError(f"--resume goes on with one search: name its folder, such as {(begun or [resumed])[-1]}")
        return _several(console, settings, arguments, stops)
    report, problem = _measured(console, settings, _command(arguments), earlier, stops)
    return _finish(console, settings, report, problem, folder)


def _command(arguments: Sequence[str]) -> str:
    """Return how to repeat the run, without its secrets."""
    return as_started("capacity", *without_secret_arguments(arguments))


def _places(settings: Settings, folder: Path) -> dict[int, Path]:
    """Return where the report of each search lies, by its number of server processes."""
    return {workers: folder / f"workers-{workers}" for workers in settings.workers_list}


def _several(console: Console, settings: Settings, arguments: Sequence[str], stops: Stops) -> int:
    """Search once for each number of server processes; the last report tells what they bring, too."""
    folder = Path(settings.report)
    reports: list[Report] = []
    points: list[ProcessPoint] = []
    for workers, place in _places(settings, folder).items():
        _report_folder(str(place))
        command = _command([*arguments, "--workers-list", str(workers), "--report", str(place)])
        report, problem = _measured(console, replace(settings, workers_list=(workers,)), command, None, stops)
        _write(report, place, pictures=False)
        reports.append(report)
        points.append(point_of(report, workers, place.name))
        if problem is not None:
            break
        console.print(f"{report.answer.sentence}\n", highlight=False, soft_wrap=True)
    whole = msgspec.structs.replace(
        # A search that was cut short before its first step must not hide what the one before it found.
        next((one for one in reversed(reports) if one.steps), report),
        status=report.status,
        status_reason=report.status_reason,
        scaling=scaling_of(points),
        command=_command(arguments),
    )
    return _finish(console, settings, whole, problem, folder)


def _complain(error: CapacityError) -> None:
    # Once more here: what a process of ours wrote last may name a URL, too.
    print(f"capacity: {redact(str(error))}", file=sys.stderr)


def _report_folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {name}: {(error.strerror or str(error)).lower()}") from None
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--report {name}: cannot write there")
    return folder


def _measured(
    console: Console, settings: Settings, command: str, earlier: Report | None, stops: Stops
) -> tuple[Report, CapacityError | None]:
    """Take a run to its end, its own or one that was forced on it; return its report and what forced it."""
    display = open_display(console, settings.title)
    steps, storms = measured_before(earlier)
    run = CapacityRun(settings, command, display, steps=steps, storms=storms)
    if earlier is not None:
        check_same(earlier, settings_table(settings), run.level_texts, run.environment())
    ending: Ending | None = None
    problem: CapacityError | None = None
    with display:
        try:
            stops.heed()
            ending = run.execute()
        except UsageError:
            raise  # nothing was measured: an older report in the folder stays
        except CapacityError as error:
            problem = error
    stops.remember()
    return scrubbed(run.report(ending, problem)), problem


def _finish(console: Console, settings: Settings, report: Report, problem: CapacityError | None, folder: Path) -> int:
    """Write the report, tell the answer, return the exit code."""
    # Levels that were given are no search for the capacity: nothing to paste.
    _write(report, folder, pictures=not settings.given and problem is None)
    if settings.runs is not None and report.steps:
        from capacity.report.history import keep  # noqa: PLC0415 - see _write

        with _writing():
            keep(folder, Path(settings.runs), report)
    if problem is not None:
        _complain(problem)
    _tell(console, report, folder)
    return problem.exit_code if problem else _exit_code(settings, report)


def _write(report: Report, folder: Path, *, pictures: bool) -> None:
    # Matplotlib takes a second to load: not before a wrong flag is told, nor while anything is measured.
    from capacity.report.report import write_report  # noqa: PLC0415 - see above

    with _writing():
        write_report(report, folder, pictures=pictures)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"the report cannot be written: {(error.strerror or str(error)).lower()}") from None


def _tell(console: Console, report: Report, folder: Path) -> None:
    """Print the answer below the display."""
    answer = report.answer
    lines = [Text(answer.sentence, style="bold")]
    lines += [Text(f"not measured: {text}", style="yellow") for text in report.missing]
    lines += [Text(f"note: {text}", style="yellow") for text in report.notes]
    if answer.confirm_with:
        needs = f", {answer.confirm_needs}" if answer.confirm_needs else ""
        lines.append(Text(f"to measure further{needs}: {answer.confirm_with}"))
    if report.sizing is not None:
        lines += [Text(f"for {count(report.sizing.target_users)} users: {report.sizing.headline}", style="bold")]
        lines += [Text(f"  {text}") for text in report.sizing.arithmetic]
        lines += [Text(f"  note: {text}", style="dim") for text in report.sizing.caveats]
    if report.scaling is not None:
        lines += [Text("more server processes"), *(Text(f"  {text}") for text in report.scaling.lines)]
    if report.model is not None:
        lines += [Text("scalability model over deliveries in flight")]
        lines += [Text(f"  {text}", style="dim") for text in report.model.lines]
    lines.append(Text(f"report: {folder / 'report.html'}"))
    console.print()
    for line in lines:
        # Only a terminal has a width; a log keeps its lines whole.
        console.print(Padding(line, (0, 2)) if console.is_terminal else line, soft_wrap=not console.is_terminal)


def _exit_code(settings: Settings, report: Report) -> ExitCode:
    answer = report.answer
    if settings.storm is not None:
        told = report.storm is not None and (report.storm.share or report.storm.failing_share)
        return ExitCode.ANSWERED if told else ExitCode.INVALID
    if settings.bounded:
        by_verdict = {"pass": ExitCode.ANSWERED, "fail": ExitCode.LEVEL_FAILED, "invalid": ExitCode.INVALID}
        return by_verdict[report.steps[-1].verdict]
    measured = answer.supported_users is not None or answer.first_failing_users is not None
    return ExitCode.ANSWERED if measured else ExitCode.INVALID
