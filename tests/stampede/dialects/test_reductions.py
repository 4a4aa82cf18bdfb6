"""What is said to be reduced with a dialect."""

from __future__ import annotations

from stampede.dialects.base import Dialect
from stampede.dialects.reductions import reductions
from stampede.dialects.stampede import StampedeDialect


def test_nothing_is_reduced_with_the_own_protocol() -> None:
    assert list(reductions(StampedeDialect(), 1.0)) == []


def test_missing_confirmations_and_pings_are_named() -> None:
    joins, pings = reductions(Dialect(), 2.5)
    assert "after 2.5 s (--join-grace)" in joins
    assert pings == "there are no pings of the protocol, so WebSocket pings are used"
