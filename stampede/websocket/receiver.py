"""Who owns a connection, as the connection sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stampede.websocket.target import LostError


class Receiver(Protocol):
    """Who owns a connection. All are called in the hub and must neither block nor raise."""

    def take(self, payload: bytes, now: int) -> None:
        """Take the payload of a text message, received at `now` (monotonic nanoseconds)."""

    def relieved(self) -> None:
        """Learn that the connection, which was congested, takes messages again."""

    def lost(self, error: LostError) -> None:
        """Learn that the connection ended without our doing."""
