"""Every run's report, kept in a folder, and an index page that charts the capacity over git revisions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from markupsafe import Markup

from capacity.formatting import count
from capacity.record import Report, read_report
from capacity.report.drawing import Pen, svgs
from capacity.report.report import page_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

_SHOWN: Final = 30
_ABBREVIATED: Final = 9
# What a section must not mix; how long and how finely it was searched does not matter.
_QUESTION: Final = ("host", "mix", "load", "work_per_message", "workers")
# Runs of given levels: they belong together where the levels are the same.
_GIVEN: Final = ("steps", "bounded", "storm")


@dataclass(frozen=True, slots=True)
class Kept:
    """A run in the folder: `name` of its own folder there."""

    name: str
    report: Report

    @property
    def revision(self) -> str:
        """The git revision, short, marked when files differed from it."""
        revision = self.report.environment.revision or "unknown"
        return revision[:_ABBREVIATED] + ("+" if revision.endswith("-dirty") else "")

    @property
    def searched(self) -> bool:
        """Whether the run was a search, whose answer is a capacity; one of given levels answers for those alone."""
        return not any(self.report.settings.get(name) for name in _GIVEN)

    @property
    def kind(self) -> str:
        """What kind of run it was, in words."""
        settings = self.report.settings
        if settings.get("storm"):
            return f"storms on {settings['storm']} users"
        if settings.get("bounded"):
            return f"bounded {settings['steps']}"
        return f"steps {settings['steps']}" if settings.get("steps") else "search"

    @property
    def question(self) -> tuple[str, ...]:
        """What was asked, on which machine: only answers to one question share a chart."""
        settings, machine = self.report.settings, self.report.environment
        asked = [f"{name.replace('_', ' ')} {settings[name]}" for name in _QUESTION if settings.get(name)]
        asked = [text for text in asked if text != "workers 1"]  # as every run before there could be more
        if not self.searched:
            asked.insert(0, self.kind)
        return (f"{machine.host}, {machine.cores} x {machine.cpu_model or 'unknown CPU'}", *asked, *self.report.levels)


def keep(folder: Path, runs: Path, report: Report) -> None:
    """Copy a report into the folder of runs and write its index anew.

    Raises:
        OSError: the folder cannot be written.
    """
    stamp = report.environment.started_at[:19].replace(":", "-")
    name = f"{stamp}-{(report.environment.revision or 'unknown')[:_ABBREVIATED]}"
    place, number = runs / name, 1
    while place.exists():
        number += 1
        place = runs / f"{name}-{number}"
    parts = [point.folder for point in report.scaling.points] if report.scaling else []
    for part in ("", *parts):
        (place / part).mkdir(parents=True)
        for file in ("report.json", "report.html"):
            shutil.copyfile(folder / part / file, place / part / file)
    write_index(runs)


def write_index(runs: Path) -> list[Kept]:
    """Write `index.html` into the folder of runs; return what it lists, oldest first.

    Raises:
        OSError: the folder cannot be read or written.
    """
    found = kept(runs)
    groups: dict[tuple[str, ...], list[Kept]] = {}
    for run in found:
        groups.setdefault(run.question, []).append(run)
    drawn = [
        (question, members, [Markup(svg) for svg in _chart(f"history-{i}", members)])  # noqa: S704 - drawn by us
        for i, (question, members) in enumerate(reversed(groups.items()))
    ]
    page = page_environment().get_template("index.html.j2").render(groups=drawn)
    partial_page = runs / "index.html.part"
    partial_page.write_text(page)
    partial_page.replace(runs / "index.html")
    return found


def kept(runs: Path) -> list[Kept]:
    """Return the runs in a folder, oldest first; what is no report is passed over."""
    found = []
    for path in runs.glob("*/report.json"):
        try:
            found.append(Kept(path.parent.name, read_report(path)))
        except msgspec.MsgspecError:
            continue
    return sorted(found, key=lambda run: (run.report.environment.started_at, run.name))


def _chart(key: str, members: Sequence[Kept]) -> tuple[str, ...]:
    """Return the chart of capacity over revisions; none for runs of given levels, which did not look for it."""
    if not members[0].searched:
        return ()
    shown = [run for run in members if run.report.answer.supported_users or run.report.answer.first_failing_users]
    shown = shown[-_SHOWN:]
    if not shown:
        return ()
    return svgs(partial(_draw, shown), key, "Capacity over revisions", _words(shown))


def _draw(runs: Sequence[Kept], figure: Figure, pen: Pen) -> None:
    axes = figure.subplots()
    pen.style(axes, x="git revision, oldest first", y="users")
    lows = [run.report.answer.supported_users or 0 for run in runs]
    places = range(len(runs))
    for place, run, low in zip(places, runs, lows, strict=True):
        high = run.report.answer.first_failing_users
        if high:
            axes.plot([place, place], [low, high], color=pen.palette.first, linewidth=5, alpha=0.35)
        pen.mark(axes, place, low, "pass" if run.report.answer.confirmed else "invalid")
        if not high:  # the limit lies somewhere above
            axes.annotate("↑", (place, low), xytext=(0, 6), textcoords="offset points", ha="center",
                          color=pen.palette.muted)  # fmt: skip
    axes.plot(places, lows, color=pen.palette.first, linewidth=1.4)
    axes.set_xlim(-0.5, len(runs) - 0.5)
    pen.whole_numbers(axes)
    axes.set_ylim(0, max([*lows, *(run.report.answer.first_failing_users or 0 for run in runs)]) * 1.15)
    every = max(1, len(runs) // (12 if pen.is_wide else 4))
    axes.set_xticks(list(places)[::every], [run.revision for run in runs][::every], rotation=35, ha="right")


def _words(runs: Sequence[Kept]) -> str:
    told = []
    for run in runs:
        answer = run.report.answer
        high = f" to {count(answer.first_failing_users)}" if answer.first_failing_users else " or more"
        told.append(f"{run.revision}: {count(answer.supported_users or 0)}{high}")
    return f"Users held, from the highest level that passed to the lowest that failed. {'; '.join(told)}."
