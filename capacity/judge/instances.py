"""Judge the deliveries between the instances of a server, which have an address each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.judge.judgement import Reason
from capacity.record.step import Cause
from stampede.measure.address_pairs import within_and_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.measure.address_pairs import AddressPair

BUS: Final = "bus"
"""The signal of a reason that names the bus between the instances."""

_NEARLY_ALL: Final = 0.9


def bus_reasons(pairs: Sequence[AddressPair]) -> list[Reason]:
    """Return a reason if deliveries are missing between addresses only; none if those within one are missing, too.

    In a window that is shorter than the time after which a delivery is lost, none may have been counted as lost yet.
    """
    within, between = within_and_between(pairs)
    if within.lost or within.received < _NEARLY_ALL * within.expected or not within.received:
        return []
    fault = "the bus between the instances does not deliver"
    if between.lost:
        text = f"loss only between addresses: {fault}{' all messages' if between.received else ''}"
    elif between.expected and not between.received:
        text = f"no delivery between addresses arrived, and nearly all within an address: {fault}"
    else:
        return []
    return [Reason(Cause.SERVER, BUS, text)]
