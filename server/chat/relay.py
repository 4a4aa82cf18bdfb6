"""What a hub needs of other nodes: somebody who passes on what happens here, and knows how many are elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYONE: Final = ""
"""Stands for all chat clients where a room's name is asked for; no room can have it."""

WATCHERS: Final = "\n"
"""Stands for those who watch the server; no room can have it either."""


class Change(msgspec.Struct, array_like=True, frozen=True):
    """What became of a node's members of one room.

    Attributes:
        members: how many there are now.
        came: how many came, those by name included.
        went: how many went.
        joined: names of those who came; empty where they are told in sum.
        left: names of those who went.
    """

    members: int
    came: int
    went: int
    joined: list[str | None]
    left: list[str | None]


class Relay(Protocol):
    """Passes on what local clients do; everything goes out at the end of the tick, in its order."""

    def forward(self, room: str, kind: str, frame: bytes) -> None:
        """Pass a message on to a room's members elsewhere; EVERYONE: to all chat clients."""

    def came(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell that somebody joined here; where comings are told in sum, not who."""

    def went(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell that somebody left here."""

    def opened(self, room: str) -> None:
        """Hear from now on what is said in a room elsewhere."""

    def once_heard(self, room: str, callback: Callable[[], None]) -> None:
        """Call back, at once if it is so already, when a room that was opened is heard."""

    def closed(self, room: str) -> None:
        """Hear it no longer."""

    def elsewhere(self, room: str) -> int:
        """Return how many members a room has elsewhere."""


class Alone:
    """The relay of a process that is the only one."""

    def forward(self, room: str, kind: str, frame: bytes) -> None:
        """Pass nothing on."""

    def came(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell nobody."""

    def went(self, room: str, user: str | None, *, by_name: bool) -> None:
        """Tell nobody."""

    def opened(self, room: str) -> None:
        """Hear nothing."""

    def once_heard(self, room: str, callback: Callable[[], None]) -> None:
        """Call back at once: there is nothing to wait for."""
        callback()

    def closed(self, room: str) -> None:
        """Hear nothing."""

    def elsewhere(self, room: str) -> int:
        """Return 0: there is no elsewhere."""
        return 0
