"""Judge synthetic windows by the default SLOs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capacity.config.slo import parse_slo
from capacity.judge.verdict import judge
from capacity.record.step import Cause, invalid_cause
from tests.capacity import make

if TYPE_CHECKING:
    from capacity.judge.judgement import Judgement
    from capacity.measure.server_window import ServerWindow

SLOS = tuple(map(parse_slo, make.SLOS))
MISSED = {"latency_intended": make.histogram(*[900.0] * 100)}
"""Figures of a window that misses the latency SLO."""


def verdict(server: ServerWindow | None = None, **figures: Any) -> Judgement:
    """Return the judgement on a window of 100 users."""
    return judge(make.client(**figures), server or make.server(), target_users=100, slos=SLOS)


def is_generator_limited(found: Judgement) -> bool:
    """Return whether the load generator was the limit."""
    causes = [reason.cause for reason in found.reasons]
    return invalid_cause(found.verdict, causes) is Cause.GENERATOR
