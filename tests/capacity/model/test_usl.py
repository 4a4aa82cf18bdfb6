"""The law compared with published data sets and with its definition."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.model.usl import Estimate, Usl, fit_usl

if TYPE_CHECKING:
    from collections.abc import Sequence

# SPEC SDM91 on a SPARCcenter 2000: (load, throughput). Gunther, Guerrilla Capacity Planning (2007), and the demo data
# of the R package usl, whose README prints the coefficients with standard errors.
SPEC_SDM91 = [(1, 64.9), (18, 995.9), (36, 1652.4), (72, 1853.2), (108, 1828.9), (144, 1775.0), (216, 1702.2)]
# A ray tracer: (processors, throughput). The same book and package; its vignette prints the coefficients.
RAYTRACER = [
    (1, 20), (4, 78), (8, 130), (12, 170), (16, 190), (20, 200), (24, 210), (28, 230), (32, 260), (48, 280), (64, 310),
]  # fmt: skip
# sysbench on a Cisco UCS server: (concurrency, throughput). Schwartz, Practical Scalability Analysis with the Universal
# Scalability Law (2015); the test data and coefficients of usl4j.
CISCO = list(
    enumerate(
        [
            955.16, 1878.91, 2688.01, 3548.68, 4315.54, 5130.43, 5931.37, 6531.08, 7219.8, 7867.61, 8278.71, 8646.7,
            9047.84, 9426.55, 9645.37, 9897.24, 10097.6, 10240.5, 10532.39, 10798.52, 11151.43, 11518.63, 11806.0,
            12089.37, 12075.41, 12177.29, 12211.41, 12158.93, 12155.27, 12118.04, 12140.4, 12074.39,
        ],
        start=1,
    )
)  # fmt: skip


def fitted(points: Sequence[tuple[float, float]]) -> Usl:
    law = fit_usl(points)
    assert law is not None
    return law


@pytest.mark.parametrize(
    ("points", "rate", "sigma", "kappa"),
    [
        (SPEC_SDM91, 89.9952330, 0.0277285, 0.0001044),
        (RAYTRACER, 21.848843, 0.057771, 0.0),
        (CISCO, 995.6486, 0.02671591, 7.690945e-4),
    ],
    ids=["spec sdm91", "raytracer", "cisco"],
)
def test_published_coefficients_are_reproduced(
    points: list[tuple[int, float]], rate: float, sigma: float, kappa: float
) -> None:
    law = fitted(points)
    for found, published in ((law.rate, rate), (law.sigma, sigma), (law.kappa, kappa)):
        assert found.low <= published <= found.high
        assert found.value == pytest.approx(published, rel=2e-3, abs=1e-7)


def test_the_fit_is_as_exact_as_one_by_another_method() -> None:
    law = fitted(SPEC_SDM91)
    reference = (
        89.99523314932,
        0.0277284756474805,
        0.000104365483821,
    )  # Levenberg-Marquardt in MINPACK, tolerance 1e-15
    assert (law.rate.value, law.sigma.value, law.kappa.value) == pytest.approx(reference, rel=2e-8)


def test_published_standard_errors_and_efficiencies_are_reproduced() -> None:
    law = fitted(SPEC_SDM91)
    assert law.residual == pytest.approx(82.8, abs=0.05)
    t = 2.7764  # Student's t, 4 degrees of freedom
    for found, error in ((law.rate, 14.2134894), (law.sigma, 0.0091217), (law.kappa, 0.0000199)):
        assert (found.high - found.value) / t == pytest.approx(error, rel=5e-3)
    assert (min(law.efficiency), max(law.efficiency)) == pytest.approx((0.0876, 0.7211), abs=5e-4)
    assert law.peak == pytest.approx(96.5, abs=0.1)


def test_a_kappa_indistinguishable_from_zero_has_no_peak() -> None:
    law = fitted(RAYTRACER)
    assert law.peak is None
    assert law.ceiling == pytest.approx(21.848843 / 0.057771, rel=1e-3)


COEFFICIENTS = st.tuples(st.floats(1, 1e5), st.floats(0, 0.5), st.floats(0, 0.01))
SIZES = [1, 2, 4, 8, 16, 32, 64]


def exact(rate: float, sigma: float, kappa: float, n: float) -> float:
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


@given(COEFFICIENTS)
def test_exact_points_give_their_coefficients_back(coefficients: tuple[float, float, float]) -> None:
    rate, sigma, kappa = coefficients
    law = fit_usl([(n, exact(rate, sigma, kappa, n)) for n in SIZES])
    assert law is not None
    assert law.rate.value == pytest.approx(rate, rel=1e-3)
    assert law.sigma.value == pytest.approx(sigma, rel=1e-2, abs=1e-4)
    assert law.kappa.value == pytest.approx(kappa, rel=1e-2, abs=1e-5)


@given(COEFFICIENTS, st.floats(1.5, 500))
def test_the_size_at_a_latency_has_that_latency(coefficients: tuple[float, float, float], n: float) -> None:
    rate, sigma, kappa = coefficients
    law = fit_usl([(size, exact(rate, sigma, kappa, size)) for size in SIZES])
    assert law is not None
    latency = n / law.throughput(n)
    found = law.in_flight_at(latency)
    if law.sigma.value > 1e-3 or law.kappa.value > 1e-4:  # else latency hardly depends on N
        assert found is not None
        assert found / law.throughput(found) == pytest.approx(latency, rel=1e-6)


def test_a_latency_below_that_of_an_idle_system_is_never_reached() -> None:
    law = fitted(SPEC_SDM91)
    assert law.in_flight_at(0.5 / law.rate.value) is None


def test_the_band_holds_the_law_and_widens_beyond_the_points() -> None:
    law = fitted(SPEC_SDM91)
    inside, outside = law.band(72), law.band(500)
    assert inside[0] < law.throughput(72) < inside[1]
    assert outside[1] - outside[0] > inside[1] - inside[0]


def test_points_above_linear_are_suspicious() -> None:
    assert not fitted(SPEC_SDM91).suspicious
    superlinear = fit_usl([(1, 100), (2, 200), (3, 400), (8, 790), (16, 1580), (32, 3100)])
    assert superlinear is not None
    assert superlinear.suspicious


def test_fewer_than_six_points_or_four_sizes_give_no_model() -> None:
    assert fit_usl(SPEC_SDM91[:5]) is None
    assert fit_usl([(1, 10), (2, 19), (3, 27)] * 3) is None
    law = fitted([(1, 10), (1, 11), (2, 19), (2, 20), (3, 27), (4, 34)])
    assert law.points == ((1.0, 10.0), (1.0, 11.0), (2.0, 19.0), (2.0, 20.0), (3.0, 27.0), (4.0, 34.0))


@pytest.mark.parametrize("point", [(0, 1), (-1, 1), (1, 0)])
def test_numbers_that_are_not_positive_are_refused(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^the law is defined for positive N and X$"):
        fit_usl([*SPEC_SDM91, point])


def test_all_numbers_are_finite() -> None:
    law = fitted(RAYTRACER)
    assert all(map(math.isfinite, (law.rate.high, law.sigma.high, law.kappa.high, *law.efficiency)))


def test_the_band_is_the_95_percent_interval_of_the_delta_method() -> None:
    law = fitted(SPEC_SDM91)
    n = 144.0
    # The standard error by hand: the gradient of X(N) by the coefficients, numerically, through the covariance.
    rate, sigma, kappa = law.rate.value, law.sigma.value, law.kappa.value
    steps = (rate * 1e-6, sigma * 1e-6, kappa * 1e-6)
    at = exact(rate, sigma, kappa, n)
    gradient = [
        (exact(rate + steps[0], sigma, kappa, n) - at) / steps[0],
        (exact(rate, sigma + steps[1], kappa, n) - at) / steps[1],
        (exact(rate, sigma, kappa + steps[2], n) - at) / steps[2],
    ]
    variance = sum(
        gradient[row] * law._covariance[row][column] * gradient[column] for row in range(3) for column in range(3)
    )
    margin = 2.7764451 * math.sqrt(variance)  # Student's t for 7 points - 3 coefficients = 4 degrees of freedom
    low, high = law.band(n)
    assert low == pytest.approx(law.throughput(n) - margin, rel=1e-4)
    assert high == pytest.approx(law.throughput(n) + margin, rel=1e-4)


def test_a_band_is_never_below_zero_and_has_no_width_without_error() -> None:
    low, high = fitted(RAYTRACER).band(1_000)
    assert low == 0 < high
    exactly = fit_usl([(n, exact(0.01, 0.0, 0.0, n)) for n in SIZES])
    assert exactly is not None
    low, high = exactly.band(10)
    assert low == pytest.approx(0.1, abs=1e-3)
    assert high == pytest.approx(0.1, abs=1e-3)


def test_intervals_over_noisy_sizes_contain_the_truth_as_often_as_documented() -> None:
    """In-flight work is rate x latency; both are measured, so N carries noise too."""
    rng = random.Random(3)
    rate, sigma, kappa = 1000.0, 0.05, 0.002
    held = [0, 0, 0]
    for _ in range(100):
        points = []
        for n in (1, 2, 4, 8, 12, 14, 14, 14):
            x = exact(rate, sigma, kappa, n)
            seen = x * (1 + rng.gauss(0, 0.02))
            points.append((seen * n / x * (1 + rng.gauss(0, 0.1)), seen))
        law = fitted(points)
        for i, (found, truth) in enumerate(((law.rate, rate), (law.sigma, sigma), (law.kappa, kappa))):
            held[i] += found.low <= truth <= found.high
    assert min(held) >= 75


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_throughput_changes_neither_the_costs_nor_their_intervals(unit: float) -> None:
    law, other = fitted(CISCO), fitted([(n, x * unit) for n, x in CISCO])

    def interval(found: Estimate, factor: float = 1.0) -> object:
        return pytest.approx((found.value * factor, found.low * factor, found.high * factor), rel=1e-5)

    for found, same in ((other.sigma, law.sigma), (other.kappa, law.kappa)):
        assert (found.value, found.low, found.high) == interval(same)
    assert (other.rate.value, other.rate.low, other.rate.high) == interval(law.rate, unit)


def known_law(rate: float, sigma: float, kappa: float) -> Usl:
    exactly = [Estimate(value, value, value) for value in (rate, sigma, kappa)]
    return Usl(exactly[0], exactly[1], exactly[2], 0.0, ((1.0, rate),), ((0.0,) * 3,) * 3)


@pytest.mark.parametrize(
    ("law", "latency", "n"),
    [
        (known_law(100, 0.5, 0.0), 0.015, 2.0),
        (known_law(100, 0.0, 0.5), 0.02, 2.0),  # (1 + 0.5 x 2 x 1) / 100
        (known_law(100, 0.0, 0.5), 0.01375, 1.5),  # (1 + 0.5 x 1.5 x 0.5) / 100
        (known_law(100, 0.5, 0.5), 0.05, 3.0),  # (1 + 0.5 x 2 + 0.5 x 3 x 2) / 100
        (known_law(100, 0.5, 0.0), 0.005, None),  # below the latency of one unit
        (known_law(100, 0.5, 0.0), 0.0, None),
        (known_law(100, 0.0, 0.0), 0.015, None),  # linear: the latency is constant
    ],
)
def test_the_size_at_a_latency_is_the_positive_root(law: Usl, latency: float, n: float | None) -> None:
    assert law.in_flight_at(latency) == (None if n is None else pytest.approx(n, rel=1e-12))


def test_sigma_is_at_most_one() -> None:
    law = fitted([(n, exact(100, 1.5, 0.0, n)) for n in SIZES])
    assert law.sigma.value == pytest.approx(1.0, abs=1e-6)
    assert law.sigma.value <= 1.0
