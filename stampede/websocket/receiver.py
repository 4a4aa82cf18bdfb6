"""The callbacks of a connection, named as those of asyncio's protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stampede.websocket.errors import LostError


class Receiver(Protocol):
    """The owner of a connection. The hub calls these methods, so they must neither block nor raise."""

    def message_received(self, payload: bytes, now: int) -> None:
        """Handle the payload of a message, received at `now` (monotonic nanoseconds)."""

    def frames_received(self, data: bytes) -> bytes:
        """Handle whole frames at the start of `data`, which was read late; return the rest, which begins a frame."""

    def batch_received(self, payloads: list[bytes]) -> list[bytes]:
        """Handle payloads that were read late, together; return those that `message_received` must handle.

        A payload may be bytes that are not a whole message; these must be returned, too.
        """

    def pong_received(self, payload: bytes, now: int) -> None:
        """Handle the payload of a pong frame, received at `now`."""

    def resume_writing(self) -> None:
        """Resume sending: the connection is no longer congested."""

    def connection_lost(self, error: LostError) -> None:
        """Handle the end of the connection by the peer or the network."""
