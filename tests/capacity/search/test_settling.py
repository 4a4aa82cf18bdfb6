from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from capacity.search.settling import is_draining, is_steady

if TYPE_CHECKING:
    from capacity.measure.client_window import ClientWindow


class _Probe:
    def __init__(self, keeping_up: float | None) -> None:
        self.keeping_up = keeping_up


def probe(keeping_up: float | None) -> ClientWindow:
    return cast("ClientWindow", _Probe(keeping_up))


@pytest.mark.parametrize(
    ("keeping_up", "before", "after", "steady", "draining"),
    [
        (1.0, 100.0, 100.0, True, False),
        (1.0, 100.0, 129.0, True, False),
        (1.0, 100.0, 131.0, False, False),
        (1.0, 100.0, 91.0, True, False),
        (1.0, 100.0, 89.0, False, True),  # what is left of a backlog would appear as latency
        (1.0, 4.0, 2.0, True, False),
        (1.04, 100.0, 100.0, True, True),  # reads in batches vary by that much
        (0.85, 100.0, 100.0, False, False),
        (1.2, 100.0, 100.0, False, True),
        (None, 100.0, 100.0, False, False),
    ],
)
def test_deliveries_settle(keeping_up: float | None, before: float, after: float, steady: bool, draining: bool) -> None:
    assert is_steady(probe(keeping_up), before, after) is steady
    assert is_draining(probe(keeping_up), before, after) is draining


def test_nothing_is_steady_without_two_latencies() -> None:
    assert not is_steady(probe(1.0), None, 5.0)
    assert not is_steady(probe(1.0), 5.0, None)
