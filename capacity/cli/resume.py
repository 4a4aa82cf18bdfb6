"""Go on where an earlier run stopped: its report holds the command and the steps, and the search needs no more."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.secrets import has_hidden
from capacity.errors import UsageError
from capacity.record import Report, read_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from capacity.record import Environment, StepRecord, StormRecord

# What may differ between a run and its continuation: how long it lasts, and where it leaves its report.
_FREE: Final = frozenset({"max_duration", "users_max", "target_users", "headroom"})
_MODULE: Final = ["-m", "capacity"]
"""What follows the name of Python in a report's command."""


def earlier_report(folder: Path) -> Report:
    """Read the report of the run that is to go on.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    try:
        return read_report(folder / "report.json")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--resume {folder}: no report.json to go on from: {reason}") from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"--resume {folder}: report.json is no report: {error}") from None


def continued(earlier: Report, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the earlier run, followed by those given now, which win.

    Raises:
        UsageError: an argument held a secret, which the report does not keep, and is not given now.
    """
    words = shlex.split(earlier.command)
    before = words[1 + len(_MODULE) :] if words[1 : 1 + len(_MODULE)] == _MODULE else []
    return [*_given_again(before, arguments), *arguments]


def _given_again(before: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the earlier arguments without those whose secrets the report hides.

    Raises:
        UsageError: one of them is not given now.
    """
    given = {word.partition("=")[0] for word in arguments}
    kept: list[str] = []
    for word in before:
        if not has_hidden(word):
            kept.append(word)
            continue
        flag = word.partition("=")[0] if word.startswith("--") else kept.pop()
        if flag not in given:
            raise UsageError(f"--resume: the report keeps no secrets: give {flag} again, with its secret")
    return kept


def measured_before(earlier: Report | None) -> tuple[list[StepRecord], list[StormRecord]]:
    """Return the steps and storms that need not be taken again."""
    if earlier is None:
        return [], []
    return list(earlier.steps), list(earlier.storm.storms) if earlier.storm else []


def without_resume(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without `--resume DIR`: a continuation does not go on from itself."""
    words = list(arguments)
    if "--resume" in words:
        at = words.index("--resume")
        return [*words[:at], *words[at + 2 :]]
    return [word for word in words if not word.startswith("--resume=")]


def check_same(
    earlier: Report,
    settings: dict[str, str | int | float | bool | None],
    levels: Sequence[str],
    environment: Environment,
) -> None:
    """Refuse to mix steps of different questions, or of different machines.

    Raises:
        UsageError: something that the answer depends on differs.
    """
    changed = [
        name for name, value in settings.items() if name not in _FREE and earlier.settings.get(name, value) != value
    ]
    if list(levels) != earlier.levels:
        changed.append("service levels")
    then = earlier.environment
    if (then.host, then.cpu_model, then.cores) != (environment.host, environment.cpu_model, environment.cores):
        changed.append("machine")
    if then.revision != environment.revision:
        changed.append("revision")
    if changed:
        raise UsageError(f"--resume: the earlier run had other {', '.join(name.replace('_', ' ') for name in changed)}")
