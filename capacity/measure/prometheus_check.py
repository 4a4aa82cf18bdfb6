"""Check a Prometheus before a run: its clock, its scrape interval, and the expressions of the SLOs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError
from capacity.measure.prometheus import PrometheusError
from capacity.measure.series import BUNDLED, query_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.slo import RunSlo
    from capacity.measure.prometheus import Prometheus
    from capacity.measure.series import Series

_LOOKBACK_S: Final = 300
_SCRAPES_PER_WINDOW: Final = 2  # a difference needs two samples that span most of the window
_JITTER: Final = 0.95  # scrapes come slightly early and late
_SKEW_S: Final = 2.0


def check_prometheus(
    prometheus: Prometheus,
    slos: Sequence[RunSlo],
    window_s: float,
    *,
    is_source: bool,
    series: Series = BUNDLED,
) -> float | None:
    """Check a Prometheus, and return its scrape interval in seconds; None if unknown.

    Args:
        prometheus: its clock is compared with this machine's.
        slos: their expressions are evaluated once.
        window_s: measurement window of a step.
        is_source: whether the server's own figures come from it.
        series: the server's series.

    Raises:
        UsageError: no response, an expression is refused, or the scrape interval is too long for a window.
    """
    expressions = [slo for slo in slos if slo.promql]
    try:
        prometheus.check([slo.query(window_s) for slo in expressions])
        interval_s = prometheus.interval(query_for(series.of_the_chat), _LOOKBACK_S)
    except PrometheusError as error:
        raise UsageError(str(error)) from None
    windows = [slo.span(window_s).window for slo in expressions if "$window" in (slo.promql or "")]
    shortest = min([*windows, *([window_s] if is_source else [])], default=math.inf)
    if interval_s is not None and shortest < _SCRAPES_PER_WINDOW * interval_s * _JITTER:
        raise UsageError(_too_seldom(interval_s, shortest, of_step=shortest == window_s))
    return interval_s


def _too_seldom(interval_s: float, window_s: float, *, of_step: bool) -> str:
    needed = math.ceil(_SCRAPES_PER_WINDOW * round(interval_s, 1))
    longer = f"--window {needed}" if of_step else f"window = {needed} in its [[level]]"
    return (
        f"Prometheus scrapes the server every {interval_s:.3g} s, too seldom for a window of {window_s:g} s: use "
        f"{longer}, or scrape at least every {window_s / _SCRAPES_PER_WINDOW:.3g} s (scrape_interval)"
    )


def skew_note(prometheus: Prometheus) -> str | None:
    """Return a note if Prometheus' clock and this machine's differ by more than 2 s."""
    skew = prometheus.skew_s
    if abs(skew) <= _SKEW_S:
        return None
    side = "ahead of" if skew > 0 else "behind"
    return f"Prometheus' clock is {abs(skew):.3g} s {side} this machine's; ages of its samples use its own clock"
