"""Keep the report of every run in a folder, with an index page that charts the capacity over git revisions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from markupsafe import Markup

from capacity.config.settings_table import SELECT_LEVELS
from capacity.formatting import count
from capacity.record.report import RunReport, read_report
from capacity.report.html import page_environment
from capacity.report.question import QuestionText, question_of
from capacity.report.writer import PROFILE_FILES, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from capacity.report.drawing import Pen

_CHARTED_RUNS: Final = 30
_REVISION_LENGTH: Final = 9


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A saved run; `name` is its folder."""

    name: str
    report: RunReport

    @property
    def revision(self) -> str:
        """The abbreviated git revision, with `+` if files differed from it."""
        revision = self.report.environment.revision or "unknown"
        return revision[:_REVISION_LENGTH] + ("+" if revision.endswith("-dirty") else "")

    @property
    def is_search(self) -> bool:
        """Whether the run searched for the capacity, instead of measuring given levels."""
        return not any(self.report.settings.get(name) for name in SELECT_LEVELS)

    @property
    def kind(self) -> str:
        """The kind of run, e.g. `bounded 400`."""
        settings = self.report.settings
        if settings.get("storm"):
            return f"storms on {settings['storm']} users"
        if settings.get("bounded"):
            return f"bounded {settings['steps']}"
        return f"steps {settings['steps']}" if settings.get("steps") else "search"

    @property
    def asked(self) -> QuestionText:
        """The question in words."""
        return question_of(self.report)

    @property
    def question(self) -> tuple[str, ...]:
        """The machine and the question, in words: only answers to one question share a chart."""
        asked, machine = self.asked, self.report.environment
        return (
            asked.users,
            asked.dialect,
            asked.server,
            *asked.settings,
            *asked.load,
            *([] if self.is_search else [self.kind]),
            *self.report.levels,
            f"{machine.host}, {machine.cores} x {machine.cpu_model or 'unknown CPU'}",
        )


def save_run(folder: Path, runs: Path, report: RunReport) -> None:
    """Copy a report into the folder of runs and update its index.

    Raises:
        OSError: the folder cannot be written.
    """
    stamp = report.environment.started_at[:19].replace(":", "-")
    name = f"{stamp}-{(report.environment.revision or 'unknown')[:_REVISION_LENGTH]}"
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
    """Write `index.html` into the folder of runs; return the listed runs, oldest first.

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
    page = page_environment().get_template("index.html.j2").render(groups=drawn)
    replace_file(runs / "index.html", page.encode())
    return found


def saved_runs(runs: Path) -> list[SavedRun]:
    """Return the runs in a folder, oldest first; invalid reports are skipped."""
    found = []
    for path in runs.glob("*/report.json"):
        try:
            found.append(SavedRun(path.parent.name, read_report(path)))
        except msgspec.MsgspecError:
            continue
    return sorted(found, key=lambda run: (run.report.environment.started_at, run.name))


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
