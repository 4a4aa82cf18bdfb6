"""Continue an earlier run: its report has the command, and the steps that the search needs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.options import flag, variable
from capacity.config.secrets import has_redaction
from capacity.config.settings import OPTIONS
from capacity.config.settings_table import RESUME_MAY_CHANGE
from capacity.errors import UsageError
from capacity.formatting import error_text
from capacity.record.report import RunReport, read_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from capacity.config.settings_table import Shown
    from capacity.record.report import Environment
    from capacity.record.step import StepRecord
    from capacity.record.storm import StormRecord

_MODULE: Final = ["-m", "capacity"]
"""The words after the name of Python in a report's command."""


def earlier_report(folder: Path) -> RunReport:
    """Read the report of the run to continue.

    Raises:
        UsageError: there is no report, or it is invalid, or of a drill.
    """
    try:
        report = read_report(folder / "report.json")
    except OSError as error:
        raise UsageError(f"--resume {folder}: cannot read report.json: {error_text(error)}") from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"--resume {folder}: report.json is not a report: {error}") from None
    if report.drill is not None:
        raise UsageError(f"--resume {folder}: a drill cannot be continued, start it again")
    return report


def combined_arguments(
    earlier: RunReport, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return the arguments of the earlier run, followed by the current ones, which take precedence.

    Args:
        earlier: report of the earlier run.
        arguments: the current ones.
        environment: may give the secrets.

    Raises:
        UsageError: an argument has a secret, which reports do not keep, and is not given again.
    """
    words = shlex.split(earlier.command)
    before = words[1 + len(_MODULE) :] if words[1 : 1 + len(_MODULE)] == _MODULE else []
    given = {word.partition("=")[0] for word in arguments}
    given |= {flag(name) for name in OPTIONS if variable(name) in (environment or {})}
    return [*_without_redacted(before, given), *arguments]


def _without_redacted(before: Sequence[str], given: AbstractSet[str]) -> list[str]:
    """Return the earlier arguments without those that have a redacted secret.

    Raises:
        UsageError: one of those is not among the flags that are given again.
    """
    usable: list[str] = []
    for word in before:
        if not has_redaction(word):
            usable.append(word)
            continue
        name = word.partition("=")[0] if word.startswith("--") else usable.pop()
        if name not in given:
            raise UsageError(f"--resume: the report keeps no secrets: give {name} again, with its secret")
    return usable


def earlier_measurements(earlier: RunReport | None) -> tuple[list[StepRecord], list[StormRecord]]:
    """Return the steps and storms of the earlier run."""
    if earlier is None:
        return [], []
    return list(earlier.steps), list(earlier.storm.storms) if earlier.storm else []


def without_resume(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without `--resume DIR`."""
    words = list(arguments)
    if "--resume" in words:
        at = words.index("--resume")
        return [*words[:at], *words[at + 2 :]]
    return [word for word in words if not word.startswith("--resume=")]


def check_same_question(
    earlier: RunReport, settings: dict[str, Shown], slos: Sequence[str], environment: Environment
) -> None:
    """Check that the steps of the earlier run belong to the same question and machine.

    Raises:
        UsageError: something that the answer depends on has changed.
    """
    changed = [
        name
        for name, value in settings.items()
        if name not in RESUME_MAY_CHANGE and earlier.settings.get(name, value) != value
    ]
    if list(slos) != earlier.levels:
        changed.append("SLOs")
    then = earlier.environment
    if (then.host, then.cpu_model, then.cores) != (environment.host, environment.cpu_model, environment.cores):
        changed.append("machine")
    if then.revision != environment.revision:
        changed.append("revision")
    if changed:
        names = ", ".join(name.replace("_", " ") for name in changed)
        raise UsageError(f"--resume: the earlier run had different {names}: start a new run instead")
