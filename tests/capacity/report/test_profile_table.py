"""The functions of both levels are side by side."""

from __future__ import annotations

import pytest

from capacity.profile.summary import summarise
from capacity.record.step import Verdict
from capacity.report.profile_table import function_rows
from tests.capacity.profile.samples import PASSING, level, run_profile


def test_functions_have_the_shares_of_both_levels_and_their_change() -> None:
    rows = function_rows(run_profile())
    assert [(row.function, row.place, row.passing, row.failing) for row in rows] == [
        ("handle", "handlers.py:88", 0.4, 0.36),
        ("run", "asyncio/runners.py:190", 0.6, 0.23),
        ("JSONEncoder.encode", "json/encoder.py:200", 0.0, 0.21),
        ("JSONEncoder.iterencode", "json/encoder.py:258", 0.0, 0.2),
    ]
    assert [row.change for row in rows] == pytest.approx([-0.04, -0.37, 0.21, 0.2])


def test_a_level_that_was_not_profiled_is_unknown_not_zero() -> None:
    rows = function_rows(summarise({Verdict.PASS: level(PASSING)}))
    assert [(row.function, row.failing, row.change) for row in rows] == [("run", None, None), ("handle", None, None)]
