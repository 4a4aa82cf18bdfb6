"""Helpers to compare events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.dialects.events import Event


def without_messages(events: Sequence[Event]) -> list[Event]:
    """Return events without the messages that they came from."""
    return [type(event)(**{k: getattr(event, k) for k in event.__slots__ if k != "message"}) for event in events]
