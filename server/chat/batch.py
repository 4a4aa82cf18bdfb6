"""The frames of one loop iteration, joined once for all members of a room."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.chat.member import Member

Entry = tuple[bytes, str, float, "Member | None"]
"""A message in an outbox: frame, message type, time of receipt, author."""


class Batch:
    """Frames on their way to the members that a room had when the batch was made.

    Args:
        entries: the messages to deliver.
        members: the members that receive them.
        already_sent: the number of leading entries that some members have already received.

    Attributes:
        pending: members that have not received their frames yet.
        missed: the type of each message that a member did not receive.
    """

    __slots__ = ("_already_sent", "_data", "_excluded", "entries", "missed", "pending")

    def __init__(self, entries: list[Entry], members: dict[Member, None], already_sent: dict[Member, int]) -> None:
        self.entries = entries
        self.pending = members
        self.missed: list[str] = []
        self._already_sent = already_sent
        self._data = b"".join([frame for frame, _, _, _ in entries])
        self._excluded: dict[Member, list[tuple[int, int]]] = {}  # spans of the data that a member does not get
        if already_sent:
            starts = list(accumulate([len(frame) for frame, _, _, _ in entries], initial=0))
            self._excluded = {member: [(0, starts[count])] for member, count in already_sent.items()}
        sender = None
        start = stop = 0
        for frame, _, _, author in entries:
            if author is not sender:  # one span for all messages of one read
                if sender is not None:
                    self._excluded.setdefault(sender, []).append((start, stop))
                start, sender = stop, author
            stop += len(frame)
        if sender is not None:
            self._excluded.setdefault(sender, []).append((start, stop))

    def data_for(self, member: Member) -> bytes:
        """Return the frames for a member, without its own and without those that it already has."""
        spans = self._excluded.get(member)
        return self._data if spans is None else _without(self._data, spans)

    def entries_for(self, member: Member) -> list[Entry]:
        """Return the entries whose frames `data_for` joins."""
        return [entry for entry in self.entries[self._already_sent.get(member, 0) :] if entry[3] is not member]

    def recipients(self, members: dict[Member, None]) -> list[int]:
        """Return, for each entry, how many of the members receive it."""
        already_sent = self._already_sent
        counts = sorted(already_sent.values())
        return [
            len(members)
            - (len(counts) - bisect_right(counts, number))
            - (author in members and number >= already_sent.get(author, 0))
            for number, (_, _, _, author) in enumerate(self.entries)
        ]


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    """Return data without the given spans; they begin in ascending order and may overlap."""
    if len(spans) == 1:
        [(start, stop)] = spans
        return data[:start] + data[stop:]
    kept = []
    position = 0
    for start, stop in spans:
        kept.append(data[position:start])
        position = max(position, stop)
    kept.append(data[position:])
    return b"".join(kept)
