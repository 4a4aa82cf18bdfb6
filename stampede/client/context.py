"""The objects that all clients of one process share during one test."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from stampede.client.occupancy import Occupancy
from stampede.client.stamp_table import StampTable, stamps_of_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.dialects.base import Dialect
    from stampede.measure.measures import Measures
    from stampede.measure.storm import Storm

DEFAULT_JOIN_GRACE: Final = 1.0
"""Seconds after which a user counts as joined, if the server does not confirm joins."""


class ClientContext:
    """The objects that all clients of one process share during one test.

    Args:
        padding: text of a chat message after its stamp, unless the sender gives one.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.

    Attributes:
        measures: the counters and histograms of the process.
        dialect: the wire protocol of the server.
        origin: random number of this process and test, below 2**32; part of every stamp.
        padding: the padding; `escaped_padding` is the same as the dialect sends it.
        on_error: called with an exception that a callback of a scenario raised.
        is_draining: whether the end of the test has begun: clients begin nothing more, and count nothing as failed.
        in_progress: requests, uploads and messages over HTTP that wait for the server.
        occupancy: the clients that are in their rooms.
        storm: the storm in progress, which times the deliveries to unaffected users; None when there is none.
        rng: for the content of uploaded files.
    """

    __slots__ = (
        "dialect",
        "escaped_padding",
        "frames",
        "in_progress",
        "is_draining",
        "join_grace",
        "measures",
        "occupancy",
        "on_error",
        "origin",
        "padding",
        "rng",
        "stamps",
        "storm",
    )

    def __init__(
        self,
        measures: Measures,
        dialect: Dialect,
        origin: int,
        padding: str,
        on_error: Callable[[Exception], None],
        *,
        join_grace: float = DEFAULT_JOIN_GRACE,
    ) -> None:
        self.measures = measures
        self.dialect = dialect
        self.origin = origin
        self.padding = padding
        self.escaped_padding = dialect.escape(padding)
        self.on_error = on_error
        self.join_grace = join_grace
        self.is_draining = False
        self.in_progress = 0
        self.occupancy = Occupancy()
        self.storm: Storm | None = None
        self.rng = Random(origin)
        self.stamps = StampTable(dialect.find_stamp)
        self.frames = stamps_of_frames(dialect.find_stamp)
