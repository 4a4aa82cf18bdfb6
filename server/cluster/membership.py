"""The rooms' members on other nodes, derived from the messages of those nodes.

The object has no bus and no clock: messages are applied to it, and it returns what changed. Every node numbers its
presence messages. A node that missed one requests a snapshot, and uses the counts it has until the snapshot arrives.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from server.chat.broker import PresenceChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.cluster.messages import Heartbeat, Presence, Snapshot

HEARTBEAT_SECONDS: Final = 1.0
"""Interval of a node's heartbeats."""

MISSED_HEARTBEATS: Final = 3
"""Heartbeat intervals without a message after which a node is removed."""

_TIMEOUT_SECONDS: Final = MISSED_HEARTBEATS * HEARTBEAT_SECONDS


@dataclass(slots=True)
class _RemoteNode:
    """The state of one other node, derived from its messages."""

    last_seen: float
    number: int = 0
    """Number of its last presence message."""
    is_complete: bool = False
    """Whether all its members are known: a snapshot arrived, and no presence message was missed since."""
    members: dict[str, int] = field(default_factory=dict)
    snapshot_parts: dict[int, dict[str, int]] = field(default_factory=dict)
    """The parts of an incomplete snapshot that have arrived."""
    snapshot_id: tuple[int, int] = (0, 0)
    """Presence number and number of parts of that snapshot."""
    connections: int = 0
    messages_per_second: float = 0.0


class RemoteMembership:
    """Members of rooms on all other nodes; times in seconds of one monotonic clock."""

    __slots__ = ("_checked_at", "_members", "_nodes", "_room_states")

    def __init__(self, now: float) -> None:
        self._nodes: dict[str, _RemoteNode] = {}
        self._members: Counter[str] = Counter()
        self._room_states: dict[str, bool] = {}
        self._checked_at = now

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    @property
    def nodes(self) -> int:
        """Number of other nodes."""
        return len(self._nodes)

    @property
    def connections(self) -> int:
        """Connections of all other nodes, as of their last heartbeats."""
        return sum(node.connections for node in self._nodes.values())

    @property
    def messages_per_second(self) -> float:
        """Messages per second that all other nodes receive, as of their last heartbeats."""
        return sum(node.messages_per_second for node in self._nodes.values())

    @property
    def rooms(self) -> Iterator[str]:
        """Rooms with members on other nodes."""
        return iter(self._members)

    def members(self, room: str) -> int:
        """Return the number of members that a room has on other nodes."""
        return self._members.get(room, 0)

    def take_room_states(self) -> dict[str, bool]:
        """Return, for each room that opened or closed on the other nodes since the last call, whether it is open."""
        states, self._room_states = self._room_states, {}
        return states

    def is_stale(self, message: Presence) -> bool:
        """Return whether a later presence message of the same node was applied already.

        A message can arrive late on a connection that its node has abandoned.
        """
        node = self._nodes.get(message.node)
        return node is not None and message.number <= node.number

    def apply_presence(self, message: Presence, now: float) -> bool:
        """Apply changes; return False if an earlier message was missed, so that a snapshot is needed."""
        node = self._seen(message.node, now)
        in_sequence = node.is_complete and message.number == node.number + 1
        node.is_complete = in_sequence
        node.number = message.number
        for room, change in message.rooms.items():
            self._set_members(node, room, change.members)
        return in_sequence

    def apply_snapshot(self, message: Snapshot, now: float) -> dict[str, PresenceChange]:
        """Apply one part of a snapshot; return, with the last part, the resulting changes by room."""
        node = self._seen(message.node, now)
        if (message.number, message.parts) != node.snapshot_id:
            node.snapshot_parts = {}
            node.snapshot_id = (message.number, message.parts)
        node.snapshot_parts[message.part] = message.members
        if len(node.snapshot_parts) < message.parts:
            return {}
        members = {room: count for part in node.snapshot_parts.values() for room, count in part.items()}
        node.snapshot_parts = {}
        if message.number < node.number:
            return {}  # older than the changes applied since: the next heartbeat shows whether another is needed
        node.is_complete = True
        node.number = message.number
        return self._replace_members(node, members)

    def apply_heartbeat(self, message: Heartbeat, now: float) -> bool:
        """Apply a heartbeat; return whether all members of the node are known."""
        node = self._seen(message.node, now)
        node.connections = message.connections
        node.messages_per_second = message.messages_per_second
        return node.is_complete and node.number == message.number

    def remove(self, node: str) -> dict[str, PresenceChange]:
        """Remove a node; return the resulting changes by room."""
        removed = self._nodes.pop(node, None)
        return {} if removed is None else self._replace_members(removed, {})

    def remove_silent(self, now: float) -> dict[str, dict[str, PresenceChange]]:
        """Remove the nodes that missed their heartbeats; return the resulting changes by node and room.

        Call this several times per heartbeat interval. If the last call was longer ago than one interval, this process
        was suspended and could not receive heartbeats; the timeouts then start again.
        """
        if now - self._checked_at > HEARTBEAT_SECONDS:
            for node in self._nodes.values():
                node.last_seen = now
        self._checked_at = now
        silent = [id_ for id_, node in self._nodes.items() if now - node.last_seen >= _TIMEOUT_SECONDS]
        return {id_: self.remove(id_) for id_ in silent}

    def _seen(self, id_: str, now: float) -> _RemoteNode:
        node = self._nodes.get(id_)
        if node is None:
            node = self._nodes[id_] = _RemoteNode(now)
        node.last_seen = now
        return node

    def _replace_members(self, node: _RemoteNode, members: dict[str, int]) -> dict[str, PresenceChange]:
        """Replace all members of a node; return the differences by room."""
        changes = {}
        for room in node.members.keys() | members.keys():
            more = members.get(room, 0) - node.members.get(room, 0)
            if more:
                self._set_members(node, room, members.get(room, 0))
                changes[room] = PresenceChange(members.get(room, 0), max(more, 0), max(-more, 0), [], [])
        return changes

    def _set_members(self, node: _RemoteNode, room: str, members: int) -> None:
        was_open = room in self._members
        self._members[room] += members - node.members.get(room, 0)
        if members:
            node.members[room] = members
        else:
            node.members.pop(room, None)
        if not self._members[room]:
            del self._members[room]
        if (room in self._members) is not was_open and self._room_states.pop(room, None) is None:
            self._room_states[room] = not was_open
