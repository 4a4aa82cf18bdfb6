"""Run something with its display, until its end or an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.errors import CapacityError, InterruptedRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.cli.display import Display
    from capacity.errors import Problem
    from capacity.signals import Interrupts


def run_displayed(display: Display, interrupts: Interrupts, execute: Callable[[], object]) -> Problem | None:
    """Run `execute` while the display is shown; return what interrupted it. Signals are deferred afterwards.

    Raises:
        UsageError: the request cannot be carried out; without measurements, an older report in the folder is kept.
    """
    problem: Problem | None = None
    with display:
        try:
            interrupts.enable()
            execute()
        except UsageError:
            raise
        except (CapacityError, InterruptedRunError) as error:
            problem = error
    interrupts.defer()
    return problem
