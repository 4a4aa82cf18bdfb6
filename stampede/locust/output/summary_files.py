"""The end of a run: its summary on the terminal and in the files that options ask for, and the exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stampede.locust.options import RUN, STEP_SUMMARY
from stampede.locust.settings import OptionError
from stampede.verdict.junit import junit_report
from stampede.verdict.step_summary import step_summary
from stampede.verdict.summary import summary
from stampede.verdict.summary_data import summary_data
from stampede.writable import why_not_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from locust.env import Environment

    from stampede.locust.settings import LoadTestSettings
    from stampede.verdict.summary import RunResult
    from stampede.verdict.summary_fields import SummaryData

_CANNOT_WRITE: Final = 2

_log = logging.getLogger(__name__)


def check_files(settings: LoadTestSettings) -> None:
    """Check, as far as possible before the run, that the files of a summary can be written.

    Raises:
        OptionError: one cannot.
    """
    for name, file in _files(settings, run=1):
        problem = why_not_writable(file)
        if problem:
            raise OptionError(f"{name} {file}: {problem}")


class SummaryWriter:
    """Prints and writes the summary of each run, and sets the exit code to that of the last run.

    Args:
        environment: of Locust.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._has_set_code = self._is_incomplete = False

    def begin(self) -> None:
        """Withdraw the exit code of the last run."""
        if self._has_set_code:
            self._environment.process_exit_code = None
            self._has_set_code = False

    def locust_exit_code(self) -> int:
        """Return the exit code that Locust 2.47 chooses unless the result of the run gives one."""
        environment = self._environment
        runner, options = environment.runner, environment.parsed_options
        if environment.process_exit_code is not None:
            return environment.process_exit_code
        if runner is not None and (runner.errors or runner.exceptions):
            return int(getattr(options, "exit_code_on_error", 1))
        return 0

    def finish(self, settings: LoadTestSettings | None, run: int, result: RunResult) -> SummaryData:
        """Print the summary of a run, write its files, set the exit code, and return the summary.

        Args:
            settings: of the run; None if there was none.
            run: its number in this process.
            result: of the run.
        """
        options = self._environment.parsed_options
        # With --json, stdout belongs to Locust's JSON.
        print("\n".join(summary(result)), file=sys.stderr if options and options.json else sys.stdout, flush=True)
        data, code = summary_data(result), result.exit_code
        if settings is not None and not _write_files(settings, run, result, data):
            self._is_incomplete = True
        if self._is_incomplete and not code:
            code = _CANNOT_WRITE
        if code is not None:
            self._environment.process_exit_code = code
            self._has_set_code = True
        return data


def _write_files(settings: LoadTestSettings, run: int, result: RunResult, data: SummaryData) -> bool:
    """Write the files of a run's summary; return whether all could be written, and log an error for each other."""
    contents: dict[str, Callable[[], bytes]] = {
        "--summary-json": data.to_json,
        "--junit": lambda: junit_report(data, summary(result)),
        STEP_SUMMARY: lambda: step_summary(data).encode(),
    }
    complete = True
    for name, file in _files(settings, run):
        try:
            with file.open("ab" if name == STEP_SUMMARY else "wb") as opened:
                opened.write(contents[name]())
        except OSError as error:
            _log.error("%s %s: %s", name, file, error.strerror)
            complete = False
    return complete


def _files(settings: LoadTestSettings, run: int) -> Iterator[tuple[str, Path]]:
    """Yield the files of a run, each with the option or variable that asks for it."""
    for name, given in (("--summary-json", settings.summary_json), ("--junit", settings.junit)):
        if given:
            yield name, Path(given.replace(RUN, str(run)))
    step_summary_file = os.environ.get(STEP_SUMMARY)
    if step_summary_file:
        yield STEP_SUMMARY, Path(step_summary_file)
