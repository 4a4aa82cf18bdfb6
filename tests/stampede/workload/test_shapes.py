"""Load shapes fit the peak and the length of a run."""

from __future__ import annotations

import pytest

from stampede.workload.shapes import DESCRIPTIONS, Shape, ShapePlan


def users(shape: Shape, *at: float) -> list[int | None]:
    return [ShapePlan(shape, 100, 240, 10).users(moment) for moment in at]


@pytest.mark.parametrize("shape", Shape)
def test_every_shape_stays_within_its_peak_and_ends(shape: Shape) -> None:
    plan = ShapePlan(shape, 100, 240, 10)
    counts = [plan.users(second) for second in range(240)]
    assert all(count is not None and 1 <= count <= 100 for count in counts)
    assert max(count or 0 for count in counts) == 100
    assert plan.users(240) is None
    assert shape in DESCRIPTIONS


def test_each_shape_has_its_users_over_time() -> None:
    assert users(Shape.RAMP, 0, 120, 239) == [1, 50, 100]
    assert users(Shape.STEPS, 0, 47, 48, 239) == [20, 20, 40, 100]
    assert users(Shape.SPIKE, 0, 95, 96, 143, 144) == [20, 20, 100, 100, 20]
    assert users(Shape.SOAK, 0, 12, 24, 239) == [1, 50, 100, 100]
    assert users(Shape.DAILY, 40, 200) == [10, 100]
    assert users(Shape.DOUBLE_STORM, 0, 239) == [100, 100]


def test_only_the_double_storm_has_storms() -> None:
    assert {shape: ShapePlan(shape, 1, 100, 1).storms for shape in Shape if ShapePlan(shape, 1, 100, 1).storms} == {
        Shape.DOUBLE_STORM: (40, 60)
    }
