"""What the commands print and write: errors, answers and reports."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from capacity.config.invocation import command_line
from capacity.config.secrets import redact_arguments
from capacity.config.settings import secret_flags
from capacity.errors import RunError, UsageError
from capacity.formatting import count, error_text
from capacity.report.next_steps import FURTHER
from capacity.summary.data import summary_of
from capacity.summary.files import write_summary
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from capacity.config.settings import RunSettings
    from capacity.errors import Problem
    from capacity.record.report import RunReport


def repeat_command(arguments: Sequence[str]) -> str:
    """Return how to repeat the run, with its secrets redacted."""
    return command_line("capacity", *redact_arguments(arguments, secret_flags()))


def print_error(error: Problem) -> None:
    """Print an error as one line on stderr."""
    # Redact here too: the last output of a child process may contain a URL.
    print(f"capacity: {redact(str(error))}", file=sys.stderr)


def report_folder(name: str) -> Path:
    """Create the folder of a report.

    Raises:
        UsageError: it cannot be created or written.
    """
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {name}: {error_text(error)}") from None
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--report {name}: the folder is not writable")
    return folder


def keep(report: RunReport, folder: Path, runs: str) -> None:
    """Save a written report in the folder of runs, unless it measured nothing, or `runs` is empty.

    Raises:
        RunError: the folder of runs cannot be written.
    """
    if runs and report.steps:
        from capacity.report.history import save_run  # noqa: PLC0415 - see `write`

        with write_errors():
            save_run(folder, Path(runs), report)


def write(report: RunReport, folder: Path, *, pictures: bool) -> None:
    """Write a report; with `pictures` also its charts as PNG.

    Raises:
        RunError: the folder cannot be written.
    """
    # Matplotlib takes a second to load: not before a wrong option is reported, nor during a measurement.
    from capacity.report.writer import write_report  # noqa: PLC0415 - see above

    with write_errors():
        write_report(report, folder, pictures=pictures)


def finish_summary(settings: RunSettings, report: RunReport, folder: Path, code: int) -> int:
    """Write the files of a run's summary; return its exit code, or that of an invalid run if a file was not written."""
    data = summary_of(report, code)
    try:
        write_summary(settings, data, [line.plain for line in answer_lines(report, folder)])
    except RunError as error:
        print_error(error)
        return code or error.exit_code
    return code


@contextlib.contextmanager
def write_errors() -> Iterator[None]:
    """Turn an error of the file system in the block into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write the report: {error_text(error)}") from None


def answer_lines(report: RunReport, folder: Path) -> list[Text]:
    """Return the answer of a report as lines, and where the report is."""
    answer = report.answer
    lines = [Text(answer.sentence, style="bold")]
    lines.append(Text(f"users: {report.scenario}; dialect: {report.dialect}", style="dim"))
    lines += [Text(f"not measured: {text}", style="yellow") for text in report.missing]
    if answer.projection_missing:
        lines.append(Text(f"not projected: {answer.projection_missing}", style="yellow"))
    lines += [Text(f"note: {text}", style="yellow") for text in report.notes]
    lines += [Text(f"next: {text}") for text in answer.next_steps if not text.startswith(FURTHER)]
    if answer.confirm_with:
        needs = f", {answer.confirm_needs}" if answer.confirm_needs else ""
        lines.append(Text(f"to measure further{needs}: {answer.confirm_with}"))
    if report.sizing is not None:
        lines += [Text(f"for {count(report.sizing.target_users)} users: {report.sizing.headline}", style="bold")]
        lines += [Text(f"  cost: {report.sizing.cost}")] if report.sizing.cost else []
        lines += [Text(f"  {text}") for text in report.sizing.arithmetic]
        lines += [Text(f"  note: {text}", style="dim") for text in report.sizing.caveats]
    if report.scaling is not None:
        lines += [Text("more server processes"), *(Text(f"  {text}") for text in report.scaling.lines)]
    if report.model is not None:
        lines += [Text("scalability model over in-flight deliveries")]
        lines += [Text(f"  {text}", style="dim") for text in report.model.lines]
    lines.append(Text(f"report: {folder / 'report.html'}"))
    return lines


def print_answer(console: Console, report: RunReport, folder: Path) -> None:
    """Print the answer of a report, and where the report is."""
    console.print()
    for line in answer_lines(report, folder):
        # Wrap lines for a terminal only, not for a log.
        console.print(_padded(line) if console.is_terminal else line, soft_wrap=not console.is_terminal)


def _padded(line: Text) -> Padding:
    """Return a line for a terminal, with its indent also where it wraps."""
    indent = len(line.plain) - len(line.plain.lstrip())
    return Padding(line[indent:], (0, 2, 0, 2 + indent))
