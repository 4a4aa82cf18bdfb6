"""Query a Prometheus: the value of an expression, or the latest raw samples of the server's processes."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.errors import RunError
from capacity.http_client import HttpError, Requester
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_S: Final = 5.0


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815 - the API's name
    result: msgspec.Raw

    def series(self) -> list[_Series]:
        """Return a vector or a matrix; a scalar as a vector with one element."""
        if self.resultType == "scalar":
            return [_Series(value=msgspec.json.decode(self.result, type=tuple[float, str]))]
        return msgspec.json.decode(self.result, type=list[_Series])


class _Answer(msgspec.Struct):
    status: str
    error: str = ""
    data: _Data | None = None


class PrometheusError(RunError):
    """Prometheus does not respond, or refuses the expression."""


class Prometheus:
    """The HTTP API at a base URL.

    Attributes:
        skew_s: seconds by which its clock was ahead of this machine's in the latest `check`.
    """

    __slots__ = ("_requester", "_url", "skew_s")

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._requester = Requester(_TIMEOUT_S)
        self.skew_s = 0.0

    @property
    def now(self) -> float:
        """The time by its clock, in seconds since the epoch."""
        return time.time() + self.skew_s

    def retry(self) -> None:
        """Query again after a query that was not answered in time; until then, all fail."""
        self._requester.retry()

    def value(self, expression: str, at: float | None = None) -> float | None:
        """Return the value of an expression at a time (seconds since the epoch); None for no value, several, or NaN.

        Raises:
            PrometheusError: no response, or the expression is refused.
        """
        series = self._query(expression, at)
        if len(series) != 1 or series[0].value is None:
            return None
        found = float(series[0].value[1])
        return found if math.isfinite(found) else None

    def samples(self, selector: str, seconds: int) -> list[tuple[dict[str, str], float, float]]:
        """Return (labels, seconds since the epoch, value) of each series' latest sample in the last `seconds`.

        Raises:
            PrometheusError: no response, or the selector is refused.
        """
        series = self._query(f"{selector}[{seconds}s]", None)
        return [(one.metric, one.values[-1][0], float(one.values[-1][1])) for one in series if one.values]

    def over(self, subquery: str) -> list[tuple[float, float]]:
        """Return (seconds since the epoch, value) of a subquery with one series, e.g. `sum(x)[1d:1h]`.

        Raises:
            PrometheusError: no response, or the expression is refused.
        """
        return [(at, float(value)) for series in self._query(subquery, None) for at, value in series.values]

    def interval(self, selector: str, seconds: int) -> float | None:
        """Return the seconds between two scrapes of the slowest series; None if no series has two samples.

        Raises:
            PrometheusError: no response, or the selector is refused.
        """
        series = self._query(f"{selector}[{seconds}s]", None)
        gaps = [[later[0] - one[0] for one, later in pairwise(found.values)] for found in series]
        return max((median(one) for one in gaps if one), default=None)

    def check(self, expressions: Sequence[str]) -> None:
        """Compare clocks, and evaluate each expression once, so that an invalid one fails before the run starts.

        Raises:
            PrometheusError: no response, or an expression is refused.
        """
        sent_at = time.time()
        its_time = self.value("time()")
        if its_time is not None:
            self.skew_s = its_time - (sent_at + time.time()) / 2
        for expression in expressions:
            self._query(expression, None)

    def _query(self, expression: str, at: float | None) -> list[_Series]:
        form = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        try:
            body = self._requester.fetch(f"{self._url}/api/v1/query", form, accepted=(200, 400, 422))
            answer = msgspec.json.decode(body, type=_Answer)
            series = answer.data.series() if answer.data else []
        except (HttpError, msgspec.MsgspecError) as error:
            raise PrometheusError(f"no Prometheus at {redact(self._url)}: {error}") from None
        if answer.status != "success":
            raise PrometheusError(f"Prometheus refuses {expression!r}: {answer.error}")
        return series
