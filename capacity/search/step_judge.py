"""Judge the measurement of a step by all SLOs, including those with their own span or a PromQL expression."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from capacity.config.slo import Span
from capacity.judge.judgement import Judgement, lost_worker, missing_window
from capacity.judge.verdict import judge
from capacity.measure.prometheus import PrometheusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.config.slo import RunSlo
    from capacity.measure.prometheus import Prometheus
    from capacity.search.step_measurement import StepMeasurement


class StepJudge:
    """Judges the steps of a run."""

    __slots__ = ("_clock", "_prometheus", "_slos", "_window_s")

    def __init__(
        self,
        slos: Sequence[RunSlo],
        window_s: float,
        prometheus: Prometheus | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a judge.

        Args:
            slos: the SLOs that each step must meet.
            window_s: measurement window of a step.
            prometheus: evaluates PromQL expressions.
            clock: the monotonic clock of the measurements.
        """
        self._slos = tuple(slos)
        self._window_s = window_s
        self._prometheus = prometheus
        self._clock = clock

    def spans(self) -> list[Span]:
        """Return the spans that SLOs need besides the measurement window, ordered by their end."""
        spans = {slo.span(self._window_s) for slo in self._slos}
        return sorted(spans - {self._window}, key=lambda span: span.end)

    @property
    def _window(self) -> Span:
        return Span(0.0, self._window_s)

    def judge(self, measurement: StepMeasurement, users: int) -> Judgement:
        """Judge the measurement of a step with `users` requested users."""
        if measurement.client is None:
            problem = measurement.problem or "the window could not be measured"
            return lost_worker(measurement.lost_worker, problem) if measurement.lost_worker else missing_window(problem)
        return judge(
            measurement.client,
            measurement.server,
            target_users=users,
            slos=self._slos,
            values=self._values(measurement),
        )

    def _values(self, measurement: StepMeasurement) -> dict[str, float | None]:
        """Return the figures that the measurement window does not contain, by the text of their SLO."""
        values = {}
        for slo in self._slos:
            span = slo.span(self._window_s)
            if slo.promql is not None:
                values[slo.text] = self._query(slo, seconds_ago=self._clock() - measurement.settled_at - span.end)
            elif span != self._window:
                client = measurement.spans.get(span)
                values[slo.text] = None if client is None else slo.value(client)
        return values

    def _query(self, slo: RunSlo, seconds_ago: float) -> float | None:
        """Return the value of an expression at a past time; None, which never passes, without a response."""
        if self._prometheus is None:
            return None
        try:
            return self._prometheus.value(slo.query(self._window_s), self._prometheus.now - seconds_ago)
        except PrometheusError:
            return None
