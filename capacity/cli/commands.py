"""The commands besides the run: `compare`, `mix`, `history`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from capacity.config.invocation import command_line
from capacity.config.option_types import fraction
from capacity.config.options import argument_type
from capacity.errors import ExitCode, UsageError
from capacity.formatting import error_text
from capacity.http_client import HttpError, fetch
from capacity.measure.prometheus import Prometheus, PrometheusError
from capacity.model.mix import busiest_traffic, derive_mix, describe_traffic, seconds_between, traffic_between
from capacity.record.report import RunReport, read_report
from capacity.report.compare import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT_SCRAPE_INTERVAL_S: Final = 60.0
_STYLES: Final = {"worse": "red", "better": "green"}


def compare_command(arguments: Sequence[str]) -> int:
    """Compare runs before and after; exit code 99 if the later ones are worse beyond the tolerance."""
    parser = argparse.ArgumentParser(
        prog=command_line("capacity", "compare"),
        description="Compare the capacity before and after a change, from two reports or several pairs of reports.",
        epilog="Exit code 0: not worse; 99: worse beyond the tolerance; 98: worse, but a single pair of runs of the "
        "same revision, which shows only noise; 2: the runs cannot be compared.",
    )
    parser.add_argument(
        "before", metavar="A", help="folder of the report before the change, or several folders separated by commas"
    )
    parser.add_argument("after", metavar="B", help="folder of the report after the change, or as many folders as in A")
    parser.add_argument(
        "--tolerance",
        metavar="SHARE",
        default="10%",
        type=argument_type(fraction),
        help="share by which B may be worse than A (default: 10%%)",
    )
    given = parser.parse_args(list(arguments))
    found = compare(_read_reports(given.before), _read_reports(given.after), given.tolerance)
    _print_comparison(Console(), found, given.tolerance)
    if found.worse:
        return ExitCode.INVALID if found.unjudged else ExitCode.LEVEL_FAILED
    return ExitCode.ANSWERED


def _read_reports(text: str) -> list[RunReport]:
    found = []
    for name in text.split(","):
        path = Path(name)
        path = path / "report.json" if path.is_dir() else path
        try:
            found.append(read_report(path))
        except OSError as error:
            raise UsageError(f"{path}: {error_text(error)}") from None
        except msgspec.MsgspecError as error:
            raise UsageError(f"{path} is not the report of a capacity run: {error}") from None
    return found


def _print_comparison(console: Console, found: Comparison, tolerance: float) -> None:
    """Print the comparison for the 80 columns of a CI log: a heading for each level, and its figures below."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for heading in ("before", "after", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("")
    heading = ""
    for row in found.rows:
        level, _, name = row.name.rpartition(": ")
        if level != heading:
            table.add_row(Text(level, style="bold"))
            heading = level
        mark = Text(row.change + (" *" if row.decides else ""), style=_STYLES.get(row.change, ""))
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(f"  {name}" if level else name, row.before, row.after, ratio, mark)
    console.print(table)
    if found.worse:
        console.print(f"  * beyond the tolerance of {_percent(tolerance)}", style="dim", highlight=False)
    for change, title in (("worse", "worsened"), ("better", "improved")):
        if names := [row.name for row in found.rows if row.change == change]:
            console.print(Text(f"{title}:", style=_STYLES[change]))
            for name in names:
                console.print(_item(name))
    for flag in found.flags:
        console.print(Text(f"caution: {flag}", style="yellow"))
    if found.worse:
        doubt = f"not judged: {found.unjudged}; it would be " if found.unjudged else ""
        console.print(Text(f"{doubt}worse by more than {_percent(tolerance)}:", style="bold"))
        for text in found.worse:
            console.print(_item(text))
    else:
        console.print(Text(f"not worse by more than {_percent(tolerance)}", style="bold"))


def _item(text: str) -> Padding:
    """Return one line of a list, indented also where it wraps."""
    return Padding(Text(text), (0, 0, 0, 2), expand=False)


def _percent(value: float) -> str:
    return f"{value * 100:g} %"


def mix_command(arguments: Sequence[str]) -> int:
    """Derive the users' mix from a production server's counters."""
    parser = argparse.ArgumentParser(
        prog=command_line("capacity", "mix"),
        description="Derive the mix of users from a production server's counters, as options of the load test.",
    )
    parser.add_argument(
        "scrapes", metavar="FILE", nargs="*", help="two saved scrapes of /metrics, taken --seconds apart"
    )
    parser.add_argument(
        "--prometheus", metavar="URL", help="in place of files: read the busiest hours from this Prometheus"
    )
    parser.add_argument("--metrics", metavar="URL", help="in place of files: scrape this page twice, --seconds apart")
    parser.add_argument(
        "--seconds",
        metavar="SECONDS",
        type=float,
        help="time between the scrapes (required for files without timestamps; default with --metrics: 60)",
    )
    parser.add_argument(
        "--days", metavar="N", type=int, default=7, help="days of data to consider with --prometheus (default: 7)"
    )
    parser.add_argument(
        "--hours",
        metavar="N",
        type=int,
        default=3,
        help="number of busiest hours to use with --prometheus (default: 3)",
    )
    given = parser.parse_args(list(arguments))
    if sum((bool(given.scrapes), bool(given.prometheus), bool(given.metrics))) != 1:
        raise UsageError("mix takes one of: two files, --metrics URL, --prometheus URL")
    if not 0 < (1 if given.seconds is None else given.seconds) < float("inf") or given.days < 1 or given.hours < 1:
        raise UsageError("--seconds, --days and --hours must be more than 0")
    if given.prometheus:
        try:
            traffic, ends = busiest_traffic(Prometheus(given.prometheus), days=given.days, hours=given.hours)
        except PrometheusError as error:
            raise UsageError(str(error)) from None
        hours = ", ".join(datetime.fromtimestamp(at, UTC).strftime("%a %d %b %H:%M") for at in ends)
        print(f"busiest hours, ending {hours} UTC:")
    else:
        traffic = traffic_between(*_scrapes(given.scrapes, given.metrics, given.seconds))
    found = derive_mix(traffic)
    print(f"{describe_traffic(traffic)}\n")
    print(command_line("capacity"), found.capacity_options())
    print(command_line("locust", "-f", "loadtest"), found.locust_options())
    return ExitCode.ANSWERED


def _scrapes(files: list[str], url: str | None, seconds: float | None) -> tuple[str, str, float]:
    """Return two scrapes of a page or from files, and the seconds between them."""
    if url is not None:
        return _scrape_twice(url, _DEFAULT_SCRAPE_INTERVAL_S if seconds is None else seconds)
    if len(files) != 2:
        raise UsageError(f"mix needs two scrapes for a difference, not {len(files)}")
    paths = [Path(name) for name in files]
    try:
        first, second = (path.read_text() for path in paths)
        written = paths[1].stat().st_mtime - paths[0].stat().st_mtime
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None
    apart = seconds or seconds_between(first, second)
    if apart is None:
        hint = f" (the files were written {written:.0f} s apart)" if written >= 1 else ""
        raise UsageError(f"--seconds is required: the scrapes have no timestamps{hint}")
    if apart <= 0:
        raise UsageError("the second scrape is not later than the first: swap them")
    return first, second, apart


def _scrape_twice(url: str, seconds: float) -> tuple[str, str, float]:
    try:
        first = fetch(url).decode()
        began = time.monotonic()
        time.sleep(seconds)
        second = fetch(url).decode()
    except (HttpError, ValueError) as error:
        raise UsageError(f"no metrics at {error}") from None
    return first, second, time.monotonic() - began


def history_command(arguments: Sequence[str]) -> int:
    """Update the index page of the saved runs, and list them."""
    parser = argparse.ArgumentParser(
        prog=command_line("capacity", "history"),
        description="Chart the capacity over the git revisions of all saved runs.",
    )
    parser.add_argument(
        "runs", metavar="DIR", nargs="?", default="runs", help="folder of the saved runs (default: runs)"
    )
    folder = Path(parser.parse_args(list(arguments)).runs)
    if not folder.is_dir():
        raise UsageError(f"no saved runs in {folder}: name their folder")
    # Matplotlib takes a second to load; a wrong argument is reported first.
    from capacity.report.history import write_index  # noqa: PLC0415 - see above

    for run in write_index(folder):
        report, answer = run.report, run.report.answer
        bottleneck = f", bottleneck {answer.limited_by}" if answer.limited_by else ""
        print(
            f"{report.environment.started_at}  {run.revision:10}  {answer.headline:>8} {answer.headline_label}: "
            f"{report.scenario}, dialect {report.dialect}, {run.kind}{bottleneck}"
        )
    print(f"index: {folder / 'index.html'}")
    return ExitCode.ANSWERED


COMMANDS: Final = {"compare": compare_command, "mix": mix_command, "history": history_command}
