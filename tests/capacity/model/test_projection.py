from __future__ import annotations

import math
import random
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from capacity.model.projection import project, why_not_projected
from capacity.report.answer import build_answer
from capacity.search.search import Ending
from tests.capacity import make
from tests.capacity.pages import render_html

if TYPE_CHECKING:
    from capacity.record.step import StepRecord


def line(levels: list[int], idle: float, per_user: float, noise: float = 0.0, seed: int = 0) -> list[StepRecord]:
    rng = random.Random(seed)
    return [make.step(n, server_cpu=(idle + per_user * n) * (1 + rng.uniform(-noise, noise))) for n in levels]


@given(idle=st.floats(0, 0.2), full_at=st.integers(500, 50_000))
def test_an_exact_line_is_extrapolated_exactly(idle: float, full_at: int) -> None:
    projection = project(line([100, 200, 400], idle, (1 - idle) / full_at))
    assert projection is not None
    assert projection.users == pytest.approx(full_at, rel=0.01, abs=1)
    assert projection.cpu_idle == pytest.approx(idle, abs=1e-6)
    assert projection.r_squared == pytest.approx(1)


def test_the_interval_contains_the_truth_about_as_often_as_stated() -> None:
    held = 0
    for seed in range(200):
        rng = random.Random(seed)
        steps = [
            make.step(n, server_cpu=0.02 + n / 2500 + rng.gauss(0, 0.01)) for n in (100, 200, 400, 800, 1200, 1200)
        ]
        projection = project(steps)
        assert projection is not None
        held += (projection.low or 0) <= 2450 <= (projection.high or 10**9)
    assert held >= 180


def test_fewer_than_three_levels_give_no_projection() -> None:
    assert project(line([100, 100, 200, 200], 0.02, 1e-4)) is None


def test_only_passing_steps_with_server_cpu_count() -> None:
    unknown = [make.step(400, server_cpu=None), make.failing(800), make.generator_limited(900)]
    assert project([*line([100, 200], 0.02, 1e-4), *unknown]) is None


def test_disturbed_steps_count_only_if_there_are_too_few_others() -> None:
    quiet = line([100, 200, 400], 0.02, 1e-4)
    disturbed = [make.step(n, server_cpu=(0.02 + 1e-4 * n) * 0.8, server_core_foreign=0.5) for n in (300, 500)]
    projection = project([*quiet, *disturbed])
    assert projection is not None
    assert (projection.users, projection.points) == (9800, 3)
    few = project([*quiet[:2], *disturbed])
    assert few is not None
    assert few.points == 4


def test_a_constant_cpu_gives_no_projection() -> None:
    assert project([make.step(n, server_cpu=0.3 - n / 10_000) for n in (100, 200, 400)]) is None


def test_a_full_core_below_users_that_passed_gives_no_projection() -> None:
    """A server that batches more on a full core serves users beyond it."""
    shares = {200: 0.05, 800: 0.17, 3200: 0.55, 6060: 0.95, 6700: 0.95, 8040: 0.94, 11_260: 0.97}
    steps = [make.step(users, server_cpu=share) for users, share in shares.items()]
    assert project(steps) is None
    assert (
        why_not_projected(steps)
        == "a line through the server's CPU reaches a full core below 11 260 users, which passed"
    )
    assert project(steps[:4]) is not None


def test_a_poor_fit_has_a_warning() -> None:
    projection = project([make.step(n, server_cpu=cpu) for n, cpu in ((100, 0.1), (200, 0.5), (400, 0.3), (500, 0.6))])
    assert projection is not None
    assert projection.warning is not None
    assert "poor" in projection.warning


def test_a_projection_far_beyond_the_measurements_has_a_warning() -> None:
    projection = project(line([100, 200, 400], 0.0, 1 / 40_000))
    assert projection is not None
    assert "100 times the highest measured level" in (projection.warning or "")


def test_generator_cores_grow_with_the_projected_users() -> None:
    projection = project(line([500, 1000, 2000], 0.0, 1 / 6000))
    assert projection is not None
    # 2 000 users took half a generator core, so 6 000 take 1.5, and two cores with a margin.
    assert projection.generator_cores == 2


def test_cpu_per_delivery_comes_from_the_same_steps() -> None:
    projection = project(line([500, 1000, 2000], 0.0, 1 / 5000))
    assert projection is not None
    assert projection.cpu_us_per_user == pytest.approx(200)
    assert projection.cpu_us_per_delivery == pytest.approx(200 / 19)


@given(st.lists(st.floats(0.05, 0.9), min_size=3, max_size=6))
def test_the_interval_ends_where_the_band_leaves_a_full_core(cpu: list[float]) -> None:
    """Draper & Smith: the users at which the line's 95 % confidence band holds a full core may be unbounded."""
    users = [100.0 * (i + 1) for i in range(len(cpu))]
    projection = project([make.step(round(n), server_cpu=share) for n, share in zip(users, cpu, strict=True)])
    if projection is None or projection.r_squared > 1 - 1e-9:
        return
    slope, intercept = linear_regression(users, cpu)
    n, mean = len(users), fmean(users)
    spread = sum((x - mean) ** 2 for x in users)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in zip(users, cpu, strict=True)) / (n - 2)
    t = float(stdtrit(n - 2, 0.975))

    def holds_a_full_core(at: float) -> bool:
        return abs(intercept + slope * at - 1) <= t * math.sqrt(residual * (1 / n + (at - mean) ** 2 / spread))

    answer = (1 - intercept) / slope
    away = [10.0**i for i in range(-2, 12)]
    for end, side in ((projection.low, -1), (projection.high, 1)):
        if end is None:
            assert all(holds_a_full_core(answer + side * far) for far in away)
        elif end > 0:
            assert holds_a_full_core(end - side * 1) or abs(end - answer) < 2
            assert not holds_a_full_core(end + side * (1 + 1e-6 * abs(end)))


def test_a_meaningless_line_has_no_bounds() -> None:
    vague = project([make.step(n, server_cpu=cpu) for n, cpu in ((100, 0.2), (200, 0.9), (300, 0.1), (400, 0.8))])
    assert vague is not None
    assert (vague.low, vague.high) == (None, None)
    steps = [make.step(n, server_cpu=cpu) for n, cpu in ((100, 0.2), (200, 0.9), (300, 0.1), (400, 0.8))]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert answer.projected_low is None
    assert "no 95 % interval" in answer.sentence
    assert "0 or more" not in answer.sentence
    assert "projected, not measured</span>" in render_html(make.report(steps, Ending.BUDGET))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([make.step(n, server_cpu=None) for n in (100, 200, 400)], "the server's CPU is unknown"),
        ([make.step(100)], "one level passed, and a line needs 3"),
        ([make.step(100), make.step(200)], "2 levels passed, and a line needs 3"),
        (
            [make.step(100), make.step(200), make.step(400, server_cpu=None)],
            "2 levels passed with known CPU of the server, and a line needs 3",
        ),
        ([make.step(n, server_cpu=0.5) for n in (100, 200, 400)], "the server's CPU does not grow with users"),
    ],
)
def test_a_search_without_a_projection_says_what_it_lacks(steps: list[StepRecord], why: str) -> None:
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    assert (answer.projected_users, answer.projection_missing) == (None, why)
    page = render_html(make.report(steps, Ending.BUDGET))
    assert f"<strong>Not projected:</strong> {why.replace(chr(39), '&#39;')}." in page


def test_a_search_that_reached_the_limit_needs_no_projection() -> None:
    dark = [make.step(100, server_cpu=None), make.failing(200, server_cpu=None)]
    assert build_answer(make.question(), dark, Ending.CONVERGED).projection_missing is None
    assert build_answer(make.question(), make.generator_first(), Ending.GENERATOR).projection_missing is None
