"""Exceptions of scenarios that are raised outside of tasks: in scheduled actions, logins and callbacks."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locust import User
    from locust.env import Environment

_log = logging.getLogger(__name__)


def count_exception(environment: Environment, user: User | None, error: Exception) -> None:
    """Count an exception as Locust counts those of tasks, and log it."""
    hook: Any = environment.events.user_error  # Locust does not annotate its hooks
    hook.fire(user_instance=user, exception=error, tb=error.__traceback__)
    _log.error("%s\n%s", error, "".join(traceback.format_exception(error)))
