"""The interface between the chat of one process and the other server processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYONE: Final = ""
"""Room key that stands for all chat clients; no room can have it."""

WATCHERS: Final = "\n"
"""Room key that stands for the clients of `/ws/notifications`; no room can have it."""


class PresenceChange(msgspec.Struct, array_like=True, frozen=True):
    """A change of one node's members of one room.

    Attributes:
        members: members on that node after the change.
        joined: how many joined, including those in `joined_names`.
        left: how many left, including those in `left_names`.
        joined_names: names of those who joined; empty when presence is coalesced.
        left_names: names of those who left; empty when presence is coalesced.
    """

    members: int
    joined: int
    left: int
    joined_names: list[str | None]
    left_names: list[str | None]


class Broker(Protocol):
    """Publish the events of local clients to the other nodes, in order, at the end of the loop iteration."""

    def publish(self, room: str, kind: str, frame: bytes) -> None:
        """Send a message to a room's members on other nodes; with EVERYONE, to all their chat clients."""

    def member_joined(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report that a client joined on this node; if `coalesced`, without its name."""

    def member_left(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Report that a client left on this node; if `coalesced`, without its name."""

    def subscribe(self, room: str) -> None:
        """Subscribe to the messages that other nodes send to a room."""

    def when_subscribed(self, room: str, callback: Callable[[], None]) -> None:
        """Call back once the subscription to a room is active, at once if it is active already."""

    def unsubscribe(self, room: str) -> None:
        """End the subscription to a room."""

    def remote_members(self, room: str) -> int:
        """Return the number of members that a room has on other nodes."""


class NullBroker:
    """The broker of a server that consists of a single process."""

    def publish(self, room: str, kind: str, frame: bytes) -> None:
        """Do nothing."""

    def member_joined(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Do nothing."""

    def member_left(self, room: str, user: str | None, *, coalesced: bool) -> None:
        """Do nothing."""

    def subscribe(self, room: str) -> None:
        """Do nothing."""

    def when_subscribed(self, room: str, callback: Callable[[], None]) -> None:
        """Call back at once."""
        callback()

    def unsubscribe(self, room: str) -> None:
        """Do nothing."""

    def remote_members(self, room: str) -> int:
        """Return 0."""
        return 0
