"""Find the option with which a search could measure further: more time, a higher cap, more processes. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.judge.generator_health import FAULT
from capacity.search.search import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.model.projection import Projection
    from capacity.record.step import StepRecord
    from capacity.search.search import Plan

_MARGIN: Final = 1.2


@dataclass(frozen=True, slots=True)
class Remedy:
    """Options to add to the command, and their effect on the search as text, e.g. 'with more time'."""

    options: str
    needs: str


def remedy_for(
    plan: Plan,
    steps: Sequence[StepRecord],
    ending: Ending | None,
    projection: Projection | None,
    max_duration: float,
    *,
    has_remote_workers: bool = False,
    has_core: bool = True,
) -> Remedy | None:
    """Return options that would let the search continue; None if no option helps.

    Args:
        plan: the plan of the search.
        steps: all of its steps.
        ending: why it ended; None if it was interrupted.
        projection: where the server's core is expected to be full.
        max_duration: time limit of the search in seconds.
        has_remote_workers: whether the load generator runs on other machines.
        has_core: whether this machine has a core for another process of the load generator.
    """
    if ending is Ending.IN_PROGRESS:
        return None
    found: list[Remedy] = []
    if ending is Ending.BUDGET:
        found.append(Remedy(f"--max-duration {2 * max_duration:g}", "with more time"))
    elif ending is Ending.NOT_REACHED and not plan.given:  # the cap of storms is all users
        reach = projection.users if projection else plan.largest
        cap = math.ceil(_MARGIN * max(reach, plan.largest))
        found.append(Remedy(f"--users-max {cap}", "with a higher cap"))
    elif ending is Ending.STEPS_DONE and projection is not None:
        levels = sorted({max(1, round(projection.users * part)) for part in (0.8, 1.0, _MARGIN)})
        found.append(Remedy(f"--steps {','.join(map(str, levels))}", "at these levels"))
    if (processes := _processes(steps, ending, projection)) is not None:
        if has_remote_workers:
            found.append(Remedy(f"--expect-workers {processes}", f"with {processes} workers of the load generator"))
        else:
            place = "on" if has_core else "on a machine with"
            found.append(Remedy(f"--processes {processes}", f"{place} {processes} cores for the load generator"))
    if not found:
        return None
    return Remedy(" ".join(one.options for one in found), " and ".join(one.needs for one in found))


def _processes(steps: Sequence[StepRecord], ending: Ending | None, projection: Projection | None) -> int | None:
    """Return the generator processes that the projected users need, if this run had too few.

    None also if the generator's machine was at a limit that more processes would share, such as its local ports.
    """
    if any(FAULT in step.signals for step in steps):
        return None
    used = max((len(step.generator_cpu) for step in steps), default=0)
    planned = projection.generator_cores if projection else None
    if ending is Ending.GENERATOR and (planned or used):
        return max(planned or 0, used + 1)
    return planned if ending is not None and planned is not None and planned > used > 0 else None
