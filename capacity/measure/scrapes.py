"""Whether a Prometheus can tell a run what it asks: its clock, how often it scrapes, and the expressions of levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError
from capacity.measure.prometheus import PrometheusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.promise import Promise
    from capacity.measure.prometheus import Prometheus

_LOOK_BACK_S: Final = 300
_INTERVALS: Final = 2
"""Scrapes that a window has to hold: a difference needs two samples, and most of the window between them."""
_REGULAR: Final = 0.95  # scrapes come a little early and late
_SKEW_S: Final = 2.0


def check_prometheus(
    prometheus: Prometheus, levels: Sequence[Promise], window_s: float, *, as_source: bool
) -> float | None:
    """Check before anything starts that a Prometheus can be used; return its scrape interval, None where unknown.

    Args:
        prometheus: asked for its time, too.
        levels: whose expressions it is to evaluate.
        window_s: measuring window of a step.
        as_source: whether the server's own figures come from it, too.

    Raises:
        UsageError: it does not answer, refuses an expression, or scrapes too seldom for a window; the text says what
            would do.
    """
    asked = [level for level in levels if level.promql]
    try:
        prometheus.check([level.query(window_s) for level in asked])
        interval_s = prometheus.interval("chat_connections", _LOOK_BACK_S)
    except PrometheusError as error:
        raise UsageError(str(error)) from None
    windows = [level.span(window_s).window for level in asked if "$window" in (level.promql or "")]
    shortest = min([*windows, *([window_s] if as_source else [])], default=math.inf)
    if interval_s is not None and shortest < _INTERVALS * interval_s * _REGULAR:
        raise UsageError(_too_seldom(interval_s, shortest, of_step=shortest == window_s))
    return interval_s


def _too_seldom(interval_s: float, window_s: float, *, of_step: bool) -> str:
    needed = math.ceil(_INTERVALS * round(interval_s, 1))
    longer = f"--window {needed}" if of_step else f"window = {needed} in its [[level]]"
    return (
        f"Prometheus scrapes the server every {interval_s:.3g} s, too seldom for a window of {window_s:g} s: use "
        f"{longer}, or scrape at least every {window_s / _INTERVALS:.3g} s (scrape_interval)"
    )


def skew_note(prometheus: Prometheus) -> str | None:
    """Say how far Prometheus' clock is off this machine's, where that is more than a moment."""
    skew = prometheus.skew_s
    if abs(skew) <= _SKEW_S:
        return None
    side = "ahead of" if skew > 0 else "behind"
    return f"Prometheus' clock is {abs(skew):.3g} s {side} this machine's; the age of its samples is taken by its own"
