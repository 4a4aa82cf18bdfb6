"""The service-level objectives (SLOs) of a capacity run.

An SLO bounds a figure of the load test, in the grammar of the load test's thresholds, or the value of a PromQL
expression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError
from capacity.formatting import figure
from stampede.verdict.slo import DEFAULT_SLOS, SloError
from stampede.verdict.slo import parse_slo as parse_client_slo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stampede.measure.figures import Figures
    from stampede.verdict.slo import Slo

__all__ = [
    "DEFAULT_DRILL_SLOS",
    "DEFAULT_SLOS",
    "DEFAULT_STORM_SLOS",
    "RunSlo",
    "Span",
    "check_drill_slos",
    "check_storm_slos",
    "parse_slo",
    "strictest_ms",
]

DEFAULT_STORM_SLOS: Final = ("resync_p95<5s",)
DEFAULT_DRILL_SLOS: Final = (*DEFAULT_STORM_SLOS, "deliver_p99<250ms", "loss<0.1%")


@dataclass(frozen=True, slots=True)
class Span:
    """The seconds of a step that an SLO covers: `window` seconds, after `grace` seconds. Both count from settling."""

    grace: float
    window: float

    @property
    def end(self) -> float:
        """Seconds after settling at which the span ends."""
        return self.grace + self.window


@dataclass(frozen=True, slots=True)
class RunSlo:
    """One SLO of a run.

    Attributes:
        text: as shown, e.g. `deliver_p99<250ms`; `figure`: the name of its figure.
        threshold: milliseconds or a fraction for a figure of the load test, else in the expression's own unit.
        above: whether the value must be above the threshold.
        client: the SLO on a figure of the load test; None for a PromQL expression.
        window, grace: seconds; a window of None means the measurement window of the step.
    """

    text: str
    figure: str
    threshold: float
    above: bool = False
    client: Slo | None = None
    promql: str | None = None
    window: float | None = None
    grace: float = 0.0
    description: str = ""

    @property
    def is_delivery_latency(self) -> bool:
        """Whether the SLO bounds a percentile of the delivery latency."""
        return self.client is not None and self.client.is_delivery_latency

    @property
    def is_resync(self) -> bool:
        """Whether the SLO bounds a percentile of the time from a drop until the user has resynced."""
        return self.client is not None and self.client.base == "resync"

    def span(self, step_window: float) -> Span:
        """Return the seconds that the SLO covers in a step with a measurement window of `step_window` seconds."""
        return Span(self.grace, self.window if self.window is not None else step_window)

    def query(self, step_window: float) -> str:
        """Return the PromQL expression with `$window` filled in."""
        seconds = max(1, round(self.span(step_window).window))
        return (self.promql or "").replace("$window", f"{seconds}s")

    def value(self, window: Figures) -> float | None:
        """Return the figure in the threshold's unit; None if the window has no sample of it."""
        return None if self.client is None else self.client.value(window)

    def is_met(self, value: float) -> bool:
        """Return whether a value meets the SLO."""
        if self.client is not None:
            return self.client.is_met(value)
        return value > self.threshold if self.above else value < self.threshold

    def show(self, value: float) -> str:
        """Format a value of this figure, e.g. `812 ms`."""
        return self.client.show(value) if self.client is not None else figure(value, 4)


def parse_slo(text: str) -> RunSlo:
    """Parse an SLO on a figure of the load test, e.g. `deliver_p99<250ms`.

    Raises:
        UsageError: the text does not follow the grammar or names an unknown figure.
    """
    try:
        client = parse_client_slo(text)
    except SloError as error:
        raise UsageError(str(error)) from None
    return RunSlo(client.text, client.figure, client.threshold, client=client)


def strictest_ms(slos: Sequence[RunSlo]) -> float | None:
    """Return the smallest threshold on delivery latency in milliseconds; None if no SLO bounds it."""
    return min((slo.threshold for slo in slos if slo.is_delivery_latency), default=None)


def check_storm_slos(slos: Iterable[RunSlo]) -> None:
    """Check the SLOs of a run with reconnect storms.

    Raises:
        UsageError: a storm cannot be judged by one of them, or none bounds the resync time.
    """
    slos = list(slos)
    for slo in slos:
        if not (slo.is_delivery_latency or slo.is_resync) or slo.window is not None:
            raise UsageError(f"--storm: cannot judge {slo.text}; use resync_pN, or deliver_pN for users not dropped")
    if not any(slo.is_resync for slo in slos):
        raise UsageError("--storm needs an SLO on the resync time, such as --slo 'resync_p95<5s'")


def check_drill_slos(slos: Iterable[RunSlo]) -> None:
    """Check the SLOs of a drill.

    Raises:
        UsageError: one of them is not on a figure of the load test, or has a window of its own.
    """
    for slo in slos:
        if slo.client is None or slo.window is not None or slo.grace:
            raise UsageError(f"a drill cannot judge {slo.text}: use a figure of the load test, without a window")
