"""Joining and leaving rooms, and the notices to the other members.

Members of a small room receive every join and leave. In a large room the cost of that would grow with the square of its
size. So the joins and leaves of a quarter of a second are coalesced into one `roomPresence` message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.protocol import messages as wire
from server.protocol.names import normal_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.broker import Broker, PresenceChange
    from server.chat.client import Client
    from server.chat.publisher import Publisher
    from server.chat.registry import Registry
    from server.chat.room import Room
    from server.stats import ServerStats

PRESENCE_SECONDS: Final = 0.25
"""Interval of the presence messages of a large room."""


@dataclass(slots=True)
class _Coalesced:
    """Joins and leaves that the next presence message of a room reports."""

    joined: int = 0
    left: int = 0


class Presence:
    """Membership of rooms.

    Args:
        registry: the rooms of this process.
        publisher: sends presence messages.
        broker: subscribes to rooms, and reports joins and leaves to other nodes.
        stats: counts joins and leaves.
        clock: monotonic seconds.
        call_later: calls back after some seconds.
        threshold: members above which presence is coalesced; 0: never.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        broker: Broker,
        stats: ServerStats,
        *,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        threshold: int,
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._broker = broker
        self._stats = stats
        self._clock = clock
        self._call_later = call_later
        self._threshold = threshold
        self._coalesced: dict[Room, _Coalesced] = {}

    def total_members(self, room: Room) -> int:
        """Return the number of members of a room on all nodes."""
        return len(room) + self._broker.remote_members(room.key)

    def join(self, client: Client, name: str, received_at: float, in_batch: bool) -> None:
        """Move a client to a room, notify the members, and confirm the join once the node is subscribed to the room."""
        self.leave(client, received_at, in_batch)
        key = normal_form(name)
        room = self._registry.rooms.get(key)
        if room is None:
            room = self._open(name, key)
        room.add(client)
        client.room = room
        client.room_name = name
        client.joins = join = client.joins + 1
        self._stats.room_joins += 1
        members = self.total_members(room)
        coalesced = self._is_coalesced(room, members)
        if coalesced:
            self._coalesce(room, joined=1)
        else:
            message = wire.UserJoined(user=client.username, room=room.name, user_count=members)
            self._publisher.publish_locally(room, message, received_at, in_batch)
        self._broker.member_joined(key, client.username, coalesced=coalesced)
        room.flush_to(client)
        self._broker.when_subscribed(key, lambda: self._confirm_join(client, join))

    def leave(self, client: Client, received_at: float, in_batch: bool = False) -> None:
        """Remove a client from its room, if it is in one, and notify the other members."""
        room = client.room
        if room is None:
            return
        client.room = None
        room.remove(client)
        self._stats.room_leaves += 1
        members = self.total_members(room)
        coalesced = self._is_coalesced(room, members + 1)
        if coalesced:
            self._coalesce(room, left=1)
        elif room:
            message = wire.UserLeft(user=client.username, user_count=members, room=room.name)
            self._publisher.publish_locally(room, message, received_at, in_batch)
        self._broker.member_left(room.key, client.username, coalesced=coalesced)
        if not room:
            self._close(room, members)

    def receive_presence(self, key: str, change: PresenceChange) -> None:
        """Tell the local members of a room who joined or left on another node; the broker has counted it already."""
        room = self._registry.rooms.get(key)
        if room is None:
            return
        members = self.total_members(room)
        without_names = len(change.joined_names) < change.joined or len(change.left_names) < change.left
        if without_names or self._is_coalesced(room, members):
            self._coalesce(room, change.joined, change.left)
            return
        now = self._clock()
        for user in change.joined_names:
            joined = wire.UserJoined(user=user, room=room.name, user_count=members)
            self._publisher.publish_locally(room, joined, now)
        for user in change.left_names:
            left = wire.UserLeft(user=user, user_count=members, room=room.name)
            self._publisher.publish_locally(room, left, now)

    def _confirm_join(self, client: Client, join: int) -> None:
        """Answer a join, unless the client has left or joined again since."""
        room = client.room
        if room is not None and client.joins == join:
            self._publisher.reply(client, wire.RoomJoined(room=client.room_name, user_count=self.total_members(room)))

    def _open(self, name: str, key: str) -> Room:
        room = self._registry.open(name, key)
        self._broker.subscribe(key)
        if not self._broker.remote_members(key):
            self._publisher.notify(wire.Notification(event="roomOpened", room=name))
        return room

    def _close(self, room: Room, remote_members: int) -> None:
        self._registry.close(room)
        self._broker.unsubscribe(room.key)
        if not remote_members:
            self._publisher.notify(wire.Notification(event="roomClosed", room=room.name))

    def _is_coalesced(self, room: Room, members: int) -> bool:
        return room in self._coalesced or 0 < self._threshold < members

    def _coalesce(self, room: Room, joined: int = 0, left: int = 0) -> None:
        """Report joins and leaves in the room's next presence message."""
        coalesced = self._coalesced.get(room)
        if coalesced is None:
            coalesced = self._coalesced[room] = _Coalesced()
            self._call_later(PRESENCE_SECONDS, lambda: self._publish_coalesced(room))
        coalesced.joined += joined
        coalesced.left += left

    def _publish_coalesced(self, room: Room) -> None:
        coalesced = self._coalesced.pop(room)
        if room:
            message = wire.RoomPresence(
                room=room.name,
                user_count=self.total_members(room),
                joined=coalesced.joined,
                left=coalesced.left,
            )
            self._publisher.publish_locally(room, message, self._clock())
