"""A run in the folder of runs: its kind, its question, and what the index and the comparison show of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from capacity.formatting import count, format_ms
from capacity.report.question import QuestionText, asked, question_of
from capacity.report.run_figures import figures_of, is_search, verdicts_of

if TYPE_CHECKING:
    from capacity.record.report import RunReport

REVISION_LENGTH: Final = 9
_UNKNOWN: Final = "\N{EN DASH}"

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A saved run; `name` is its folder, `sections` are the anchors and titles of its page, charts included."""

    name: str
    report: RunReport
    sections: tuple[tuple[str, str], ...] = ()

    @property
    def revision(self) -> str:
        """The abbreviated git revision, with `+` if files differed from it."""
        revision = self.report.environment.revision or "unknown"
        return revision[:REVISION_LENGTH] + ("+" if revision.endswith("-dirty") else "")

    @property
    def started(self) -> str:
        """When it started, such as `2026-01-02 03:04`."""
        return self.report.environment.started_at[:16].replace("T", " ")

    @property
    def is_search(self) -> bool:
        """Whether the run searched for the capacity, instead of measuring given levels or a drill."""
        return is_search(self.report)

    @property
    def kind(self) -> str:
        """The kind of run, e.g. `bounded 400`."""
        settings = self.report.settings
        if self.report.drill is not None:
            return f"drill on {settings.get('users') or self.report.drill.users} users"
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
        asked_for, machine = self.asked, self.report.environment
        return (
            asked_for.users,
            asked_for.dialect,
            asked_for.server,
            *asked_for.settings,
            *asked_for.load,
            *([] if self.is_search else [self.kind]),
            *([self.report.drill.command] if self.report.drill else []),
            *self.report.levels,
            f"{machine.host}, {machine.cores} x {machine.cpu_model or 'unknown CPU'}",
        )

    @property
    def results(self) -> dict[str, str]:
        """The main results of this kind of run, by the heading of their column."""
        answer, storm, drill = self.report.answer, self.report.storm, self.report.drill
        if drill is not None:
            return {
                "verdict": drill.verdict,
                "95 % back": _seconds(drill.resync_p95_seconds),
                "messages missed": count(drill.messages_missed),
                "p99 of others": _UNKNOWN if drill.unaffected_p99_ms is None else format_ms(drill.unaffected_p99_ms),
            }
        if storm is not None:
            return {"share passed": _percent(storm.share), "share failed": _percent(storm.failing_share)}
        return {
            "passed": _number(answer.supported_users),
            "failed": _number(answer.first_failing_users),
            "bottleneck": answer.bottleneck_name or _UNKNOWN,
        }

    @property
    def ending(self) -> str:
        """Why it ended."""
        return self.report.answer.ending + (", partial" if self.report.status == "partial" else "")

    def data(self) -> Json:
        """Return what the page of two runs needs: texts, the question, and the figures with their measurements."""
        report, machine = self.report, self.report.environment
        parts = {"kind of run": self.kind, **asked(report), "server at": self.asked.server}
        if report.drill is not None:
            parts["command"] = report.drill.command
        made = {
            "revision": self.revision,
            "machine": f"{machine.host}, {machine.cores} x {machine.cpu_model or 'unknown CPU'}",
            "system": machine.system,
            "python": machine.python,
            **{f"version of {name}": version for name, version in machine.libraries.items()},
        }
        shown: dict[str, Json] = {
            name.replace("_", " "): value if value is None else str(value) for name, value in (parts | made).items()
        }
        figures: dict[str, Json] = {
            figure.name: [
                _whole(figure.text),
                figure.value,
                [None if end == float("inf") else end for end in figure.measured],
                figure.kind.is_interval,
                figure.kind.more_is_better,
                figure.kind.min_difference,
            ]
            for figure in figures_of(report)
        }
        return {
            "name": self.name,
            "title": f"{self.started}, {self.revision}",
            "headline": _whole(f"{report.answer.headline} {report.answer.headline_label}"),
            "sentence": _whole(report.answer.sentence),
            "asked": shown,
            "verdicts": {group: str(verdict) for group, verdict in verdicts_of(report).items()},
            "figures": figures,
            "sections": [[key, title] for key, title in self.sections],
        }


def _whole(text: str) -> str:
    """Keep the groups of a number, and a number and its unit, on one line."""
    return re.sub(r"(?<=\d) (?=\d{3}\b|(us|ms|s|%)\b|%)", "\N{NO-BREAK SPACE}", text)


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else count(value)


def _percent(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value} %"


def _seconds(value: float | None) -> str:
    return _UNKNOWN if value is None else format_ms(value * 1000)
