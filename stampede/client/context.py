"""The objects that all clients of one process share during one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stampede.measure.measures import Measures
    from stampede.measure.storm import Storm


class ClientContext:
    """The objects that all clients of one process share during one test.

    Attributes:
        measures: the counters and histograms of the process.
        origin: random number of this process and test, below 2**32; part of every stamp.
        padding: text of a chat message after its stamp.
        storm: the storm in progress, which times the deliveries to unaffected users; None when there is none.
    """

    __slots__ = ("measures", "origin", "padding", "storm")

    def __init__(self, measures: Measures, origin: int, padding: bytes = b"") -> None:
        self.measures = measures
        self.origin = origin
        self.padding = padding
        self.storm: Storm | None = None
