"""The quantiles agree with the table of Student's t (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2)."""

from __future__ import annotations

import pytest

from capacity.model.student_t import t_quantile


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (5, 2.571), (10, 2.228), (100, 1.984)])
def test_the_quantile_is_that_of_the_published_table(freedom: int, expected: float) -> None:
    assert t_quantile(freedom) == pytest.approx(expected, abs=0.0005)
