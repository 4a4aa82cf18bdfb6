"""Who is in which room on other nodes, as far as they have told: counts by node, forgotten with the node.

A plain object: messages come in, what changed for local members comes out. Every node numbers what it tells; whoever
missed something asks for the whole, and until that has come goes on with what it knows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from server.chat.relay import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.cluster.messages import Beat, Presence, Snapshot

BEAT_SECONDS: Final = 1.0
"""How often a node says that it is there."""

BEATS_MISSED: Final = 3
"""After so many beats without a word a node is forgotten."""

_SILENT_SECONDS: Final = BEATS_MISSED * BEAT_SECONDS


@dataclass(slots=True)
class _Node:
    """What one other node has told; `parts` are those of a snapshot that is still coming in."""

    heard_at: float
    number: int = 0
    is_known: bool = False
    """Whether its members are known as a whole, and nothing after that was missed."""
    members: dict[str, int] = field(default_factory=dict)
    parts: dict[int, dict[str, int]] = field(default_factory=dict)
    parts_of: tuple[int, int] = (0, 0)
    """Number of that snapshot, and of its parts."""
    connections: int = 0
    messages_per_second: float = 0.0


class Elsewhere:
    """Members of rooms at all other nodes; times in seconds of one monotonic clock."""

    __slots__ = ("_checked_at", "_members", "_nodes", "_turned")

    def __init__(self, now: float) -> None:
        self._nodes: dict[str, _Node] = {}
        self._members: Counter[str] = Counter()
        self._turned: dict[str, bool] = {}
        self._checked_at = now

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    @property
    def nodes(self) -> int:
        """How many other nodes there are."""
        return len(self._nodes)

    @property
    def connections(self) -> int:
        """Connections of all other nodes, as of their last beats."""
        return sum(node.connections for node in self._nodes.values())

    @property
    def messages_per_second(self) -> float:
        """What all other nodes receive, as of their last beats."""
        return sum(node.messages_per_second for node in self._nodes.values())

    @property
    def rooms(self) -> Iterator[str]:
        """Rooms with members elsewhere."""
        return iter(self._members)

    def members(self, room: str) -> int:
        """Return how many members a room has elsewhere."""
        return self._members.get(room, 0)

    def take_turned(self) -> dict[str, bool]:
        """Return the rooms that have members elsewhere since the last call, or have them no longer."""
        turned, self._turned = self._turned, {}
        return turned

    def is_late(self, told: Presence) -> bool:
        """Whether a node said this before what it is known by, on a connection that it has given up since."""
        node = self._nodes.get(told.node)
        return node is not None and told.number <= node.number

    def take_presence(self, told: Presence, now: float) -> bool:
        """Take changes; return whether nothing was missed before them. If something was, only a snapshot helps."""
        node = self._heard(told.node, now)
        in_step = node.is_known and told.number == node.number + 1
        node.is_known = in_step
        node.number = told.number
        for room, change in told.rooms.items():
            self._set(node, room, change.members)
        return in_step

    def take_snapshot(self, told: Snapshot, now: float) -> dict[str, Change]:
        """Take part of a snapshot; return, with its last part, what it brings to light, by room."""
        node = self._heard(told.node, now)
        if (told.number, told.parts) != node.parts_of:
            node.parts = {}
            node.parts_of = (told.number, told.parts)
        node.parts[told.part] = told.members
        if len(node.parts) < told.parts:
            return {}
        whole = {room: members for part in node.parts.values() for room, members in part.items()}
        node.parts = {}
        if told.number < node.number:
            return {}  # overtaken by changes: the next beat shows whether another is needed
        node.is_known = True
        node.number = told.number
        return self._become(node, whole)

    def take_beat(self, told: Beat, now: float) -> bool:
        """Take a sign of life; return whether what is known of the node is complete."""
        node = self._heard(told.node, now)
        node.connections = told.connections
        node.messages_per_second = told.messages_per_second
        return node.is_known and node.number == told.number

    def forget(self, node: str) -> dict[str, Change]:
        """Forget a node; return what that changes, by room."""
        known = self._nodes.pop(node, None)
        return {} if known is None else self._become(known, {})

    def forget_silent(self, now: float) -> dict[str, dict[str, Change]]:
        """Forget the nodes that have missed their beats; return what that changes, by node and room.

        Call several times a beat.

        Whoever was itself asleep, and so has heard nobody, gives everybody another round.
        """
        if now - self._checked_at > BEAT_SECONDS:
            for node in self._nodes.values():
                node.heard_at = now
        self._checked_at = now
        silent = [id_ for id_, node in self._nodes.items() if now - node.heard_at >= _SILENT_SECONDS]
        return {id_: self.forget(id_) for id_ in silent}

    def _heard(self, id_: str, now: float) -> _Node:
        node = self._nodes.get(id_)
        if node is None:
            node = self._nodes[id_] = _Node(now)
        node.heard_at = now
        return node

    def _become(self, node: _Node, members: dict[str, int]) -> dict[str, Change]:
        """Replace all that is known of a node's members; return the differences."""
        changes = {}
        for room in node.members.keys() | members.keys():
            more = members.get(room, 0) - node.members.get(room, 0)
            if more:
                self._set(node, room, members.get(room, 0))
                changes[room] = Change(members.get(room, 0), max(more, 0), max(-more, 0), [], [])
        return changes

    def _set(self, node: _Node, room: str, members: int) -> None:
        had_members = room in self._members
        self._members[room] += members - node.members.get(room, 0)
        if members:
            node.members[room] = members
        else:
            node.members.pop(room, None)
        if not self._members[room]:
            del self._members[room]
        if (room in self._members) is not had_members and self._turned.pop(room, None) is None:
            self._turned[room] = not had_members
