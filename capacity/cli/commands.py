"""The commands besides the run, and the table of all of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.cli.compare import compare_command
from capacity.cli.mix import mix_command
from capacity.config.invocation import command_line
from capacity.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
