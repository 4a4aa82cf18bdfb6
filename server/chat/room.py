"""A room: its members, and an outbox that joins the messages of one loop iteration.

A message is framed once. The frames of one loop iteration are joined once, and every member gets them in one write,
or one for each `FLUSH_BYTES`. A write is a system call: joining raises the throughput from 0.1 to 4 million deliveries
per second. Only members that sent a message in this iteration need a join of their own, without their own frames.

Rules:

1. All members receive the room's messages in one order, and only messages sent while they were members.
2. A member receives whole messages or none. A slow member does not receive ephemeral messages.
3. A slow or closed member does not stop the delivery to the others.
4. A fan-out to a large room is sent in slices, so that it does not block the loop.
5. Joining, leaving or answering one member in the middle of an iteration costs one write, not one for every member.
6. A delivery is counted when it is written, so that counters never decrease.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from server.chat.batch import Batch
from server.chat.member import SENT, SLOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.batch import Entry
    from server.chat.batching import BatchScheduler
    from server.chat.member import Member, WriteResult
    from server.stats import ServerStats

DIRECT_MEMBERS: Final = 2
"""Up to this size, a room writes a message that comes alone at once. Each member receives from one other member, so
there is nothing to join, and scheduling the end of the iteration would cost more than the delivery."""

FLUSH_BYTES: Final = 256 * 1024
"""Waiting bytes at which a room of up to `SLICE_MEMBERS` is flushed before the end of the iteration.

An overloaded server has long iterations. Without this limit their single write exceeds the hard limit of clients that
read all the time, and a message costs more. With 64 KiB it costs more, too: each write has a fixed cost."""

SLICE_MEMBERS: Final = 512
"""Rooms above this size are flushed in slices."""

SLICE_SECONDS: Final = 0.004
"""How long one slice may block the loop."""

_MEMBERS_PER_CLOCK_READ: Final = 32
"""Deliveries of a slice between two readings of the clock, which costs a fraction of a write."""

EPHEMERAL: Final = frozenset({"userTyping", "userJoined", "userLeft", "roomPresence"})
"""Message types that are not queued for slow members."""


class Room:
    """The members of a room in the order in which they joined, and the messages to deliver.

    Args:
        name: the name in messages to members.
        key: the name in normal form, which identifies the room in this process and on other nodes.
        stats: counts deliveries, drops and fan-out histograms.
        scheduler: flushes the outbox at the end of the loop iteration.
        clock: monotonic seconds.
    """

    __slots__ = (
        "_already_sent",
        "_batch",
        "_batch_recipients",
        "_clock",
        "_outbox",
        "_outbox_bytes",
        "_scheduler",
        "_slice_scheduled",
        "_stats",
        "key",
        "members",
        "name",
    )

    def __init__(
        self,
        name: str,
        key: str,
        stats: ServerStats,
        scheduler: BatchScheduler,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.key = key
        self.members: dict[Member, None] = {}
        self._stats = stats
        self._scheduler = scheduler
        self._clock = clock
        self._outbox: list[Entry] = []
        self._outbox_bytes = 0  # size of its frames
        self._already_sent: dict[Member, int] = {}  # number of leading outbox entries that a member need not get
        self._batch: Batch | None = None  # the batch of a large room that is being sent in slices, before the outbox
        self._batch_recipients: list[int] = []  # recipients of each entry of that batch
        self._slice_scheduled = False

    def __len__(self) -> int:
        return len(self.members)

    @property
    def pending(self) -> bool:
        """Whether messages wait to be written."""
        return bool(self._outbox) or self._batch is not None

    def add(self, member: Member) -> None:
        """Add a member, which does not receive messages published before."""
        if self._outbox:
            self._already_sent[member] = len(self._outbox)
        self.members[member] = None

    def remove(self, member: Member) -> None:
        """Remove a member after writing the messages published before.

        Raises:
            KeyError: it is not a member.
        """
        self.flush_to(member)
        del self.members[member]
        self._already_sent.pop(member, None)

    def publish(
        self, kind: str, frame: bytes, received_at: float, author: Member | None = None, in_batch: bool = False
    ) -> None:
        """Send a frame to every member but its author.

        Small rooms write it at once, others at the end of the iteration or once `FLUSH_BYTES` wait.

        Args:
            kind: the message's `type`, the label under which it is counted.
            frame: a complete WebSocket frame.
            received_at: when the message that caused it was received, on `clock`.
            author: the member that does not receive it, or None.
            in_batch: whether the message was received together with others, so that joining is worth its cost.
        """
        members = self.members
        recipients = len(members) if author is None else len(members) - 1
        self._stats.fanout_recipients.occurrences[recipients] += 1
        if len(members) <= DIRECT_MEMBERS and not (in_batch or self._outbox or self._batch):
            for member in members:
                if member is not author and (result := member.write(frame)) is not SENT:
                    entry = (frame, kind, received_at, author)
                    recipients -= len(self._handle_unsent([entry], frame, member, result))
            self._stats.messages_delivered[kind] += recipients
            self._stats.fanout_duration.observe(self._clock() - received_at)
            return
        if not self._outbox:
            self._scheduler.call_at_end(self.flush)
        self._outbox.append((frame, kind, received_at, author))
        self._outbox_bytes += len(frame)
        if self._outbox_bytes >= FLUSH_BYTES and len(members) <= SLICE_MEMBERS and self._batch is None:
            self._flush_at_once()

    def flush(self) -> None:
        """Write the outbox to every member. In a large room start a batch, or leave the outbox for the next one."""
        if self._batch is not None or len(self.members) > SLICE_MEMBERS:
            if not self._slice_scheduled:
                self._write_slice()
        elif self._outbox:
            self._flush_at_once()

    def flush_to(self, member: Member) -> None:
        """Write the waiting messages to one member now; the others get them when the room is flushed."""
        batch = self._batch
        if batch is not None and member in batch.pending:
            del batch.pending[member]
            self._deliver(batch, member)
        outbox = self._outbox
        if not outbox or member not in self.members:
            return
        start = self._already_sent.get(member, 0)
        self._already_sent[member] = len(outbox)
        entries = [entry for entry in outbox[start:] if entry[3] is not member]
        if entries:
            data = b"".join([frame for frame, _, _, _ in entries])
            result = member.write(data)
            missed = [] if result is SENT else self._handle_unsent(entries, data, member, result)
            self._count_delivered(entries, [1] * len(entries), missed)

    def _flush_at_once(self) -> None:
        outbox, already_sent, members = self._outbox, self._already_sent, self.members
        self._outbox = []
        self._outbox_bytes = 0
        data, _, _, author = outbox[0]
        missed: list[str] = []
        if already_sent or (len(outbox) > 1 and len({author for _, _, _, author in outbox}) > 1):
            self._already_sent = {}
            batch = Batch(outbox, members, already_sent)
            for member in members:
                self._deliver(batch, member)
            missed = batch.missed
        else:  # all recipients get the same bytes
            if len(outbox) > 1:
                data = b"".join([frame for frame, _, _, _ in outbox])
            for member in members:
                if member is not author and (result := member.write(data)) is not SENT:
                    missed += self._handle_unsent(outbox, data, member, result)
        if already_sent:
            self._count_delivered(outbox, batch.recipients(members), missed)
        elif missed:
            self._count_delivered(outbox, [len(members) - (entry[3] in members) for entry in outbox], missed)
        else:
            for _, kind, _, author in outbox:
                self._stats.messages_delivered[kind] += len(members) - (author in members)
        self._observe(outbox)

    def _write_slice(self) -> None:
        """Deliver until the slice's time is used up, then schedule the next slice."""
        self._slice_scheduled = False
        deadline = self._clock() + SLICE_SECONDS
        while self._batch is not None or self._outbox:
            batch = self._batch
            if batch is None:
                batch = self._batch = Batch(self._outbox, dict(self.members), self._already_sent)
                self._batch_recipients = batch.recipients(self.members)
                self._outbox, self._outbox_bytes, self._already_sent = [], 0, {}
            while batch.pending:
                for _ in range(min(_MEMBERS_PER_CLOCK_READ, len(batch.pending))):
                    self._deliver(batch, batch.pending.popitem()[0])
                if batch.pending and self._clock() >= deadline:
                    self._slice_scheduled = True
                    self._scheduler.call_at_end(self._write_slice)
                    return
            self._batch = None
            self._count_delivered(batch.entries, self._batch_recipients, batch.missed)
            self._observe(batch.entries)

    def _deliver(self, batch: Batch, member: Member) -> None:
        data = batch.data_for(member)
        if data and (result := member.write(data)) is not SENT:
            batch.missed += self._handle_unsent(batch.entries_for(member), data, member, result)

    def _handle_unsent(self, entries: list[Entry], data: bytes, member: Member, result: WriteResult) -> list[str]:
        """Queue the messages that a slow member must receive, and count the dropped ones.

        Args:
            entries: the messages that the member did not accept.
            data: their frames.
            member: the slow or closed member.
            result: SLOW or CLOSED.

        Returns:
            The type of each dropped message.
        """
        kinds = [kind for _, kind, _, _ in entries]
        if result is SLOW and EPHEMERAL.isdisjoint(kinds):
            result = member.enqueue(data)  # without another join: many members may be slow at once
            return [] if result is SENT else self._count_dropped(kinds, result)
        missed = []
        if result is SLOW:
            kept = [entry for entry in entries if entry[1] not in EPHEMERAL]
            kinds = [kind for kind in kinds if kind in EPHEMERAL]
            if kept and (queued := member.enqueue(b"".join([frame for frame, _, _, _ in kept]))) is not SENT:
                missed = self._count_dropped([kind for _, kind, _, _ in kept], queued)
        return missed + self._count_dropped(kinds, result)

    def _count_dropped(self, kinds: list[str], result: WriteResult) -> list[str]:
        reason = result.value
        for kind in kinds:
            self._stats.messages_dropped[kind, reason] += 1
        return kinds

    def _count_delivered(self, entries: list[Entry], recipients: list[int], missed: list[str]) -> None:
        """Count the deliveries of each entry, without those that were missed."""
        delivered = self._stats.messages_delivered
        left = Counter(missed) if missed else {}
        for (_, kind, _, _), count in zip(entries, recipients, strict=True):
            dropped = min(count, left.get(kind, 0)) if left else 0
            if dropped:
                left[kind] -= dropped
            delivered[kind] += count - dropped

    def _observe(self, entries: list[Entry]) -> None:
        observe = self._stats.fanout_duration.observe
        now = self._clock()
        first, times = entries[0][2], 0
        for _, _, received_at, _ in entries:
            if received_at != first:  # all messages of one read have the same time
                observe(now - first, times)
                first, times = received_at, 0
            times += 1
        observe(now - first, times)
