"""Locust's CSV files and HTML report, written once more when the numbers are final.

Locust 2.47 writes its CSV files once per second, but not before it closes them, so they lack the last second of a run.
It writes the HTML report before its `quitting` event, so after Ctrl-C the last deliveries are missing. After SIGTERM it
writes no HTML report.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import locust.main
import locust.web
from locust.html import get_html_report, process_html_filename
from locust.stats import StatsCSVFileWriter

from stampede.locust.web.charts import report_charts
from stampede.locust.web.verdict import with_section
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust.env import Environment

    from stampede.locust.agents.master import MasterAgent


def complete_csv_files() -> None:
    """Make Locust write its CSV files before it closes them; it has no public access to its writer."""
    close, keep_writing = StatsCSVFileWriter.close_files, StatsCSVFileWriter.stats_writer

    def close_files(writer: StatsCSVFileWriter) -> None:
        _write_csv_files(writer)
        close(writer)

    def stats_writer(writer: StatsCSVFileWriter) -> None:
        try:
            keep_writing(writer)
        except ValueError:  # a write to a file that `close_files` has closed
            if not writer.requests_csv_filehandle.closed:
                raise

    StatsCSVFileWriter.close_files = close_files  # type: ignore[assignment,method-assign]
    StatsCSVFileWriter.stats_writer = stats_writer  # type: ignore[assignment,method-assign]


def _write_csv_files(writer: StatsCSVFileWriter) -> None:
    for file, write, rows in (
        (writer.requests_csv_filehandle, writer.requests_csv, writer.requests_csv_writer),
        (writer.failures_csv_filehandle, writer.failures_csv, writer.failures_csv_writer),
        (writer.exceptions_csv_filehandle, writer.exceptions_csv, writer.exceptions_csv_writer),
    ):
        file.seek(0)
        write(rows)
        file.truncate()
    if writer.stats_history_csv_filehandle.tell():  # otherwise Locust has not written the header yet
        writer._stats_history_data_rows(writer.stats_history_csv_writer, time.time())  # noqa: SLF001 # the only way


def write_html_report(environment: Environment) -> None:
    """Write the HTML report once more if `--html` asks for one."""
    options = environment.parsed_options
    if options is None or not getattr(options, "html_file", None):
        return
    process_html_filename(options)
    path = Path(options.html_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vars(locust.main)["get_html_report"](environment, show_download_link=False), encoding="utf-8")


@contextmanager
def hidden_secrets(environment: Environment) -> Iterator[None]:
    """Redact the host within the context, which must not switch to another greenlet."""
    host = environment.host
    environment.host = redact(host) if host else host
    try:
        yield
    finally:
        environment.host = host


def extend_html_report(master: MasterAgent) -> None:
    """Add the verdict and the charts to Locust's HTML report, and redact the host in it, wherever Locust makes it."""
    make: Any = get_html_report  # Locust does not annotate it

    def html_report(environment: Environment, **options: Any) -> str:
        with hidden_secrets(environment):
            report: str = make(environment, **options)
        return with_section(report, master.result(), report_charts(master))

    vars(locust.main)["get_html_report"] = vars(locust.web)["get_html_report"] = html_report
