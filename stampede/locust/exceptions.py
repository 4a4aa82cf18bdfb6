"""Exceptions of scenarios: how those outside of tasks are counted, and what all of them say of a run."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

from stampede.generator_faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust import User
    from locust.env import Environment

_log = logging.getLogger(__name__)


def faults_of(exceptions: Mapping[int, Mapping[str, Any]]) -> list[Fault]:
    """Return one fault per distinct exception, given those that Locust has counted."""
    return [
        Fault(FaultKind.USER_CODE, f"{row['msg']}, {_raised_at(row['traceback'])}", row["count"])
        for row in exceptions.values()
    ]


def _raised_at(traceback_text: str) -> str:
    """Return where an exception was raised, given its traceback as Locust formats it."""
    frames = [line.strip() for line in traceback_text.splitlines() if line.lstrip().startswith('File "')]
    return frames[-1].replace('"', "") if frames else "at an unknown place"


def count_exception(environment: Environment, user: User | None, error: Exception) -> None:
    """Count an exception as Locust counts those of tasks, and log it."""
    hook: Any = environment.events.user_error  # Locust does not annotate its hooks
    hook.fire(user_instance=user, exception=error, tb=error.__traceback__)
    _log.error("%s\n%s", error, "".join(traceback.format_exception(error)))
