"""The Universal Scalability Law, fitted: X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)).

Neil Gunther, Guerrilla Capacity Planning (2007), with the rate at N = 1 as a third coefficient. N is the work in flight
(deliveries, by Little's law: rate x mean latency) or the number of server processes. N is never the number of users
with think time: their throughput is a straight line until saturation. The fit is bounded least squares; intervals are
those of the linearised fit (Student's t), cut at the bounds.

The intervals treat N as exact. That holds for processes. In-flight deliveries are computed from a measured rate and
latency, so both axes carry noise. Simulated with 8 to 10 points, 2 % of noise on the rate and 10 % on the latency, the
95 % intervals contain the true lambda in about 97 of 100 fits, sigma in 92 and kappa in 87. Resampling the points
(pairs bootstrap) reached 89, 86 and 84 and needs a hundred more fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from capacity.model.student_t import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_POINTS: Final = 6
_MIN_LEVELS: Final = 4
_SUSPICIOUS: Final = 1.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Usl:
    """A fitted law.

    Attributes:
        rate: lambda, throughput of one unit alone; `sigma`: contention; `kappa`: coherency (crosstalk).
        residual: standard error of the residuals, in units of throughput.
        points: (N, X) as measured; `efficiency`: X / (lambda N) of each, 1 being linear.
    """

    rate: Estimate
    sigma: Estimate
    kappa: Estimate
    residual: float
    points: tuple[tuple[float, float], ...]
    _covariance: tuple[tuple[float, ...], ...]

    @property
    def efficiency(self) -> tuple[float, ...]:
        """Throughput of each point relative to linear."""
        return tuple(x / (self.rate.value * n) for n, x in self.points)

    @property
    def suspicious(self) -> bool:
        """Whether a point is well above linear, which the law does not allow: the measurement is in doubt."""
        return max(self.efficiency) > _SUSPICIOUS

    @property
    def peak(self) -> float | None:
        """N at the highest throughput, sqrt((1 - sigma) / kappa); None if kappa is indistinguishable from 0."""
        if self.kappa.low <= 0 or self.kappa.value <= 0:
            return None
        return math.sqrt(max(0.0, 1 - self.sigma.value) / self.kappa.value)

    @property
    def ceiling(self) -> float | None:
        """Throughput with contention alone, lambda / sigma; None if sigma is indistinguishable from 0."""
        return self.rate.value / self.sigma.value if self.sigma.low > 0 else None

    def throughput(self, n: float) -> float:
        """Return X(N)."""
        return float(_law(n, self._coefficients))

    def band(self, n: float) -> tuple[float, float]:
        """Return the 95 % confidence band of X at N, by the delta method."""
        gradient = _gradient(n, self._coefficients)
        variance = sum(map(mul, gradient, (sum(map(mul, gradient, row)) for row in self._covariance)))
        margin = t_quantile(len(self.points) - 3) * math.sqrt(max(0.0, variance))
        middle = self.throughput(n)
        return max(0.0, middle - margin), middle + margin

    def in_flight_at(self, latency: float) -> float | None:
        """Return the N at which the latency N / X(N) reaches a value in seconds; None if it never or always does.

        From N / X = (1 + sigma (N - 1) + kappa N (N - 1)) / lambda: the positive root of
        kappa N^2 + (sigma - kappa) N + 1 - sigma - lambda latency = 0.
        """
        rate, sigma, kappa = self._coefficients
        excess = rate * latency - 1 + sigma
        half = sigma - kappa
        # This form of the root avoids subtracting nearly equal numbers: kappa may be close to 0.
        below = half + math.sqrt(half * half + 4 * kappa * max(excess, 0.0))
        return float(2 * excess / below) if excess > 0 and below > 0 else None

    @property
    def _coefficients(self) -> tuple[float, float, float]:
        return self.rate.value, self.sigma.value, self.kappa.value


def fit_usl(points: Sequence[tuple[float, float]]) -> Usl | None:
    """Fit the law to (N, X) points; None with fewer than six points, or fewer than four different N.

    Raises:
        ValueError: an N or an X is not positive.
    """
    if any(n <= 0 or x <= 0 for n, x in points):
        raise ValueError("the law is defined for positive N and X")
    if len(points) < MIN_POINTS or len({n for n, _ in points}) < _MIN_LEVELS:
        return None
    # NumPy and SciPy take half a second of CPU to load: only processes that fit the law load them.
    import numpy as np  # noqa: PLC0415 - see above
    from scipy.optimize import least_squares  # noqa: PLC0415 - see above

    n, x = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    scale = float(x.max())

    def residuals(c: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_law(n, c) - x / scale)

    def jacobian_of(c: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(_gradient(n, c))

    found = least_squares(
        residuals,
        x0=[float((x / n).max()) / scale, 0.05, 1e-4],
        jac=jacobian_of,
        bounds=([1e-12, 0.0, 0.0], [np.inf, 1.0, np.inf]),
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    coefficients = np.array([found.x[0] * scale, found.x[1], found.x[2]])
    freedom = len(points) - 3
    variance = float(np.sum((_law(n, coefficients) - x) ** 2)) / freedom
    jacobian = jacobian_of(coefficients)
    # Scale the columns: they differ by many powers of ten, and the inversion would ignore the small ones.
    lengths = np.linalg.norm(jacobian, axis=0)
    scaled = jacobian / lengths
    covariance = variance * np.linalg.pinv(scaled.T @ scaled) / np.outer(lengths, lengths)
    margins = t_quantile(freedom) * np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    rate, sigma, kappa = (
        Estimate(float(value), max(0.0, float(value - margin)), float(value + margin))
        for value, margin in zip(coefficients, margins, strict=True)
    )
    rows = tuple(tuple(float(cell) for cell in row) for row in covariance)
    return Usl(rate, sigma, kappa, math.sqrt(variance), tuple((float(a), float(b)) for a, b in points), rows)


def _law(n: Any, coefficients: Any) -> Any:
    """Return X(N), for one N or an array of them."""
    rate, sigma, kappa = coefficients
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


def _gradient(n: Any, coefficients: Any) -> tuple[Any, Any, Any]:
    """Return the partial derivatives by lambda, sigma and kappa, for one N or an array of them."""
    rate, sigma, kappa = coefficients
    cost = 1 + sigma * (n - 1) + kappa * n * (n - 1)
    slope = -rate * n / cost**2
    return n / cost, slope * (n - 1), slope * n * (n - 1)
