"""Write the summary of a run to the files that options and the environment ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from capacity.errors import RunError, UsageError
from capacity.formatting import error_text
from capacity.summary.junit import junit_report
from capacity.summary.markdown import markdown_summary
from stampede.locust.options import STEP_SUMMARY
from stampede.writable import why_not_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from capacity.config.settings import RunSettings
    from capacity.summary.fields import CapacitySummary


def check_summary_files(settings: RunSettings) -> None:
    """Check, as far as possible before the run, that the files of its summary can be written.

    Raises:
        UsageError: one cannot.
    """
    for name, file in _files(settings):
        problem = why_not_writable(file)
        if problem:
            raise UsageError(f"{name} {file}: {problem}")


def write_summary(settings: RunSettings, data: CapacitySummary, lines: Sequence[str]) -> None:
    """Write all files of a summary. A job's summary in Markdown is added to what its file contains.

    Args:
        settings: of the run.
        data: the summary.
        lines: the answer as text.

    Raises:
        RunError: a file cannot be written; the others are.
    """
    contents: dict[str, Callable[[], bytes]] = {
        "--summary-json": data.to_json,
        "--junit": lambda: junit_report(data, lines),
        STEP_SUMMARY: lambda: markdown_summary(data).encode(),
    }
    problems = []
    for name, file in _files(settings):
        try:
            with file.open("ab" if name == STEP_SUMMARY else "wb") as opened:
                opened.write(contents[name]())
        except OSError as error:
            problems.append(f"{name} {file}: {error_text(error)}")
    if problems:
        raise RunError("; ".join(problems))


def _files(settings: RunSettings) -> Iterator[tuple[str, Path]]:
    """Yield the files, each with the option or variable that asks for it."""
    given = {
        "--summary-json": settings.summary_json,
        "--junit": settings.junit,
        STEP_SUMMARY: os.environ.get(STEP_SUMMARY),
    }
    yield from ((name, Path(file)) for name, file in given.items() if file)
