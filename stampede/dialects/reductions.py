"""What a load test does without, or in another way, because the protocol lacks it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.base import Feature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.dialects.base import Dialect


def reductions(dialect: Dialect, join_grace: float) -> Iterator[str]:
    """Yield what is reduced, one text for each.

    Args:
        dialect: the protocol.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
    """
    if not dialect.acknowledges_joins:
        yield (
            f"joins are not confirmed, so users count as joined at the first delivery or after {join_grace:g} s "
            "(--join-grace), and loss is a lower bound"
        )
    if Feature.PING not in dialect.features:
        yield "there are no pings of the protocol, so WebSocket pings are used"
