"""The commands besides the run: `compare` and `history`, and the table of all of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from capacity.cli.mix import mix_command
from capacity.config.invocation import command_line
from capacity.config.option_types import fraction
from capacity.config.options import argument_type
from capacity.errors import ExitCode, UsageError
from capacity.formatting import error_text
from capacity.record.report import RunReport, read_report
from capacity.report.compare import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        bottleneck = f", bottleneck {answer.bottleneck_name}" if answer.bottleneck_name else ""
        print(
            f"{report.environment.started_at}  {run.revision:10}  {answer.headline:>8} {answer.headline_label}: "
            f"{report.scenario}, dialect {report.dialect}, {run.kind}{bottleneck}"
        )
    print(f"index: {folder / 'index.html'}")
    return ExitCode.ANSWERED


COMMANDS: Final = {"compare": compare_command, "mix": mix_command, "history": history_command}
