"""Keep the report of every run in a folder, with an index that charts the capacity over git revisions.

`index.html` lists the runs and works without scripts. `compare.html` opens two of them side by side: its address names
them, so that the form of the index leads to it, also from a file. It has the figures of all runs as data, and shows the
two reports in frames, since a page that is opened from a file may not read another.
"""

from __future__ import annotations

import re
import shutil
from functools import partial
from html import unescape
from typing import TYPE_CHECKING, Final

import msgspec
from markupsafe import Markup

from capacity.formatting import count
from capacity.record.report import RunReport, read_report
from capacity.report.html import page_environment
from capacity.report.saved_run import REVISION_LENGTH, SavedRun
from capacity.report.writer import PROFILE_FILES, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from capacity.report.drawing import Pen

_CHARTED_RUNS: Final = 30
_SECTION: Final = re.compile(r'<(?:section|figure) id="([\w-]+)">\s*(?:<figcaption>\s*)?<h[23]>(.*?)</h[23]>')
"""A section or a chart of a report: its anchor and its title."""


def save_run(folder: Path, runs: Path, report: RunReport) -> None:
    """Copy a report into the folder of runs and update its index.

    Raises:
        OSError: the folder cannot be written.
    """
    stamp = report.environment.started_at[:19].replace(":", "-")
    name = f"{stamp}-{(report.environment.revision or 'unknown')[:REVISION_LENGTH]}"
    place, number = runs / name, 1
    while place.exists():
        number += 1
        place = runs / f"{name}-{number}"
    parts = [point.folder for point in report.scaling.points] if report.scaling else []
    for part in ("", *parts):
        (place / part).mkdir(parents=True)
        for file in ("report.json", "report.html"):
            shutil.copyfile(folder / part / file, place / part / file)
        for file in PROFILE_FILES:
            if (folder / part / file).exists():
                shutil.copyfile(folder / part / file, place / part / file)
    write_index(runs)


def write_index(runs: Path) -> list[SavedRun]:
    """Write `index.html` and `compare.html` into the folder of runs; return the listed runs, oldest first.

    Raises:
        OSError: the folder cannot be read or written.
    """
    found = saved_runs(runs)
    groups: dict[tuple[str, ...], list[SavedRun]] = {}
    for run in found:
        groups[run.question] = [*groups.pop(run.question, []), run]  # the group of the latest run comes last
    drawn = [
        (f"question-{i}", question, members, [Markup(svg) for svg in _chart(f"history-{i}", members)])  # noqa: S704 - our drawings
        for i, (question, members) in enumerate(reversed(groups.items()))
    ]
    environment = page_environment()
    page = environment.get_template("index.html.j2").render(
        groups=drawn, several=len(found) > 1, chosen=_chosen(groups)
    )
    replace_file(runs / "index.html", page.encode())
    page = environment.get_template("compare.html.j2").render(runs=[run.data() for run in reversed(found)])
    replace_file(runs / "compare.html", page.encode())
    return found


def _chosen(groups: dict[tuple[str, ...], list[SavedRun]]) -> tuple[str, str]:
    """Return the names of the two latest runs of the latest question that has two; empty without one."""
    for members in reversed(groups.values()):
        if len(members) > 1:
            return members[-2].name, members[-1].name
    return "", ""


def saved_runs(runs: Path) -> list[SavedRun]:
    """Return the runs in a folder, oldest first; invalid reports are skipped."""
    found = []
    for path in runs.glob("*/report.json"):
        try:
            report = read_report(path)
        except msgspec.MsgspecError:
            continue
        found.append(SavedRun(path.parent.name, report, _sections(path.with_suffix(".html"))))
    return sorted(found, key=lambda run: (run.report.environment.started_at, run.name))


def _sections(page: Path) -> tuple[tuple[str, str], ...]:
    """Return the anchors and titles of a report's sections and charts; none if it cannot be read."""
    try:
        text = page.read_text(errors="replace")
    except OSError:
        return ()
    return tuple((key, unescape(title)) for key, title in _SECTION.findall(text))


def _chart(key: str, members: Sequence[SavedRun]) -> tuple[str, ...]:
    """Return the chart of capacity over revisions; none for runs of given levels."""
    if not members[0].is_search:
        return ()
    shown = [run for run in members if run.report.answer.supported_users or run.report.answer.first_failing_users]
    shown = shown[-_CHARTED_RUNS:]
    if not shown:
        return ()
    from capacity.report.drawing import svgs  # noqa: PLC0415 - Matplotlib takes time to load

    return svgs(partial(_draw, shown), key, "Capacity over revisions", _description(shown))


def _draw(runs: Sequence[SavedRun], figure: Figure, pen: Pen) -> None:
    axes = figure.subplots()
    pen.style(axes, x="git revision, oldest first", y="users")
    lows = [run.report.answer.supported_users or 0 for run in runs]
    places = range(len(runs))
    for place, run, low in zip(places, runs, lows, strict=True):
        high = run.report.answer.first_failing_users
        if high:
            axes.plot([place, place], [low, high], color=pen.palette.first, linewidth=5, alpha=0.35)
        pen.mark(axes, place, low, "pass" if run.report.answer.confirmed else "invalid")
        if not high:  # the limit is higher
            axes.annotate("↑", (place, low), xytext=(0, 6), textcoords="offset points", ha="center",
                          color=pen.palette.muted)  # fmt: skip
    axes.plot(places, lows, color=pen.palette.first, linewidth=1.4)
    axes.set_xlim(-0.5, len(runs) - 0.5)
    pen.whole_numbers(axes)
    axes.set_ylim(0, max([*lows, *(run.report.answer.first_failing_users or 0 for run in runs)]) * 1.15)
    every = max(1, len(runs) // (12 if pen.is_wide else 4))
    axes.set_xticks(list(places)[::every], [run.revision for run in runs][::every], rotation=35, ha="right")


def _description(runs: Sequence[SavedRun]) -> str:
    parts = []
    for run in runs:
        answer = run.report.answer
        high = f" to {count(answer.first_failing_users)}" if answer.first_failing_users else " or more"
        parts.append(f"{run.revision}: {count(answer.supported_users or 0)}{high}")
    return f"Users held, from the highest level that passed to the lowest that failed. {'; '.join(parts)}."
