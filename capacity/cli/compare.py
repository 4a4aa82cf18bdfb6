"""The command `compare`: runs before and after a change, as text for 80 columns or as Markdown."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from capacity.config.invocation import command_line
from capacity.config.option_types import fraction
from capacity.config.options import argument_type
from capacity.errors import ExitCode, UsageError
from capacity.formatting import error_text
from capacity.record.report import RunReport, read_report
from capacity.report.compare import Comparison, compare
from capacity.report.comparison_markdown import comparison_markdown
from capacity.report.noise import Noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.report.comparison_rows import Row

_STYLES: Final = {"worse": "red", "better": "green"}
_WIDTH: Final = 80
"""Columns of a CI log."""

_DASH: Final = "\N{EN DASH}"


def compare_command(arguments: Sequence[str]) -> int:
    """Compare runs before and after; exit code 99 if the later ones are worse beyond the tolerance."""
    parser = argparse.ArgumentParser(
        prog=command_line("capacity", "compare"),
        description="Compare runs before and after a change, from two reports or several pairs of reports.",
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
    parser.add_argument(
        "--format",
        choices=("text", "markdown"),
        default="text",
        help="text for a terminal or a log, or Markdown for a comment on a pull request (default: text)",
    )
    given = parser.parse_args(list(arguments))
    found = compare(_read_reports(given.before), _read_reports(given.after), given.tolerance)
    if given.format == "markdown":
        print(comparison_markdown(found))
    else:
        _print_comparison(found)
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


def _print_comparison(found: Comparison) -> None:
    """Print the comparison: a heading for each level, and its figures below."""
    console = Console()
    console.width = min(console.width, _WIDTH)
    for side, text in (("before", found.before), ("after", found.after), ("of", found.question)):
        _print_item(console, f"{side:6}  ", text)
    console.print(_table(found))
    for text in _legend(found):
        console.print(Text(f"  {text}", style="dim"))
    for change, title in (("worse", "worsened"), ("better", "improved")):
        if rows := found.changed(change):
            console.print(Text(f"{title}:", style=_STYLES[change]))
            for row in rows:
                _print_item(console, "  ", row.name)
    for flag in found.flags:
        console.print(Text(f"caution: {flag}", style="yellow"))
    console.print(Text(f"{found.verdict}{':' if found.worse else ''}", style="bold"))
    for text in found.worse:
        _print_item(console, "  ", text)


def _table(found: Comparison) -> Table:
    has_interval = found.pairs > 1
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    for heading in ("before", "after", "ratio", *(["95 %"] if has_interval else [])):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("", overflow="fold")
    heading = ""
    for row in found.rows:
        level, _, name = row.name.rpartition(": ")
        if level != heading:
            table.add_row(Text(level, style="bold"))
            heading = level
        cells = [row.before, row.after, row.ratio_text, *([row.interval_text] if has_interval else [])]
        style = "" if row.is_noise else _STYLES.get(row.change, "")
        table.add_row(f"  {name}" if level else name, *map(_short, cells), Text(_mark(row), style=style))
    return table


def _short(text: str) -> str:
    """Return an interval in few columns."""
    return text.replace(" to ", _DASH)


def _mark(row: Row) -> str:
    if not row.change:
        return ""
    word = "noise" if row.is_noise else f"{row.change}?" if row.noise is Noise.UNKNOWN else row.change
    return f"{word} *" if row.decides else word


def _legend(found: Comparison) -> Iterator[str]:
    if found.worse:
        yield f"* beyond the tolerance of {found.tolerance * 100:g} %"
    if found.pairs > 1:
        yield f"95 %: interval of the mean ratio of {found.pairs} pairs"
    if any(row.noise is Noise.UNKNOWN for row in found.rows):
        yield f"? {Noise.UNKNOWN} of each side whether this is noise"
    if any(row.is_noise for row in found.rows):
        why = "the interval contains 1.00" if found.pairs > 1 else "the runs' own intervals or windows overlap"
        yield f"noise: {Noise.WITHIN}, {why}"


def _print_item(console: Console, indent: str, text: str) -> None:
    """Print one line of a list, indented also where it wraps."""
    grid = Table.grid()
    grid.add_column(width=len(indent))
    grid.add_column(overflow="fold")
    grid.add_row(indent, Text(text))
    console.print(grid)
