"""Faults in the messages that a server sends to one client; pure, so that the proxy around it has only sockets.

A delivery is a message that contains a stamp. Faults begin with the start of a plan. It counts the deliveries of
each sender to each connection from there; the first one is never faulted, since a receiver without a confirmed join
learns from it which deliveries it is owed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STAMP = re.compile(rb"~[A-Za-z0-9_+/-]{48}")

Split = tuple[list[bytes], bytes]
"""The complete messages at the start of some bytes, and the rest."""


def whole(payload: bytes) -> Split:
    """Split nothing: each frame is one message."""
    return [payload], b""


def ended_by(end: bytes) -> Callable[[bytes], Split]:
    """Return a splitter of messages that end with these bytes; a rest of only line ends is a message (STOMP 1.2)."""

    def split(payload: bytes) -> Split:
        *messages, rest = payload.split(end)
        complete = [message + end for message in messages]
        return ([*complete, rest], b"") if rest and not rest.strip(b"\r\n") else (complete, rest)

    return split


def lines(payload: bytes) -> Split:
    """Split lines; the last one has no line end (Centrifugo)."""
    return [line + b"\n" for line in payload.split(b"\n") if line], b""


def mqtt_packets(payload: bytes) -> Split:
    """Split MQTT packets: a byte, the length of the rest in 7 bits per byte, the rest (MQTT 3.1.1, section 2.2)."""
    packets: list[bytes] = []
    start = 0
    while True:
        length, at, shift = 0, start + 1, 0
        while at < len(payload):
            length |= (payload[at] & 0x7F) << shift
            shift += 7
            at += 1
            if payload[at - 1] < 0x80:
                break
        else:
            return packets, payload[start:]
        if at + length > len(payload):
            return packets, payload[start:]
        packets.append(payload[start : at + length])
        start = at + length


@dataclass(frozen=True, slots=True)
class Framing:
    """How the proxy finds deliveries in the frames of a server.

    Attributes:
        split: splits the payload of a frame into messages.
        private: first bytes of stamped messages that are no deliveries, such as the sender's private copy.
        frame_bytes: length at which the proxy cuts its frames, if messages may span frames.
    """

    split: Callable[[bytes], Split] = whole
    private: bytes | None = None
    frame_bytes: int | None = None

    def frames(self, messages: list[bytes]) -> list[bytes]:
        """Return the payloads of the frames that carry these messages."""
        if self.split is whole:
            return messages
        payload = b"".join(messages)
        step = self.frame_bytes or max(1, len(payload))
        return [payload[start : start + step] for start in range(0, len(payload), step)]


class Fault(NamedTuple):
    """A fault of one delivery from each sender to some connections.

    Attributes:
        kind: `swap` delivers it after its sender's next one, `delay` delivers it and all of that sender after it later,
            `hold` withholds it until the release.
        delivery: number of the delivery, from 1 at the start of the plan.
        connections: numbers of the connections, in the order of their first delivery after the start.
        seconds: of a delay.
    """

    kind: Literal["drop", "duplicate", "swap", "delay", "hold"]
    delivery: int
    connections: tuple[int, ...]
    seconds: float = 0.0


@dataclass(slots=True)
class Pair:
    """The deliveries of one sender to one connection.

    Attributes:
        number: of the latest delivery since the start of the plan, or of the connection.
        highest: number of the latest message among those delivered, as its sender counts.
        after: the messages that follow a delayed delivery; None while none is delayed.
        swapped: the delivery that waits for the next one, and its sender's number.
        held: the delivery that waits for the release.
    """

    number: int = 0
    highest: int = -1
    after: list[bytes] | None = None
    swapped: tuple[bytes, int] | None = None
    held: bytes | None = None


@dataclass(slots=True)
class Planted:
    """What was done to the deliveries so far.

    Attributes:
        delivered: deliveries made, each once, without those released.
        dropped: deliveries never made.
        duplicated: deliveries made twice.
        swapped: deliveries made after the next one of their sender.
        reordered: deliveries made after a later one of their sender, because of a swap or of the server.
        delayed: deliveries made later.
        held: deliveries withheld until the release.
        released: held deliveries that were made after all.
        longest_ns: longest time from a delayed message's due time until its delivery was written.
    """

    delivered: int = 0
    dropped: int = 0
    duplicated: int = 0
    swapped: int = 0
    reordered: int = 0
    delayed: int = 0
    held: int = 0
    released: int = 0
    longest_ns: int = 0


@dataclass(slots=True)
class FaultPlan:
    """The plan and its effects; shared by all connections.

    Attributes:
        faults: the plan; none before its start.
        done: its effects.
        editors: those with a delivery since the start, in the order of the first one.
    """

    faults: Sequence[Fault] = ()
    done: Planted = field(default_factory=Planted)
    editors: list[Editor] = field(default_factory=list)

    def start(self, faults: Sequence[Fault]) -> None:
        """Start the plan: count connections and deliveries from here."""
        self.faults = faults
        for editor in self.editors:
            editor.pairs.clear()
        self.editors.clear()

    def discard(self, editor: Editor) -> None:
        """Remove a connection that ends before the start, such as one that only checks the server."""
        if not self.faults and editor in self.editors:
            self.editors.remove(editor)
            self.done.delivered -= sum(pair.number for pair in editor.pairs.values())

    def is_settled(self, pairs: int, deliveries: int) -> bool:
        """Return whether that many pairs had that many deliveries since the start, and only held ones are open."""
        found = [pair for editor in self.editors for pair in editor.pairs.values()]
        return len(found) == pairs and all(
            pair.number >= deliveries and pair.after is None and pair.swapped is None for pair in found
        )

    def release(self) -> None:
        """Make the held deliveries."""
        for editor in self.editors:
            editor.release()


class Editor:
    """Edits the messages of one connection.

    Args:
        plan: shared by all connections.
        framing: of the server.
        write: writes the payload of a frame later, outside of `edit`.
        call_later: calls a function after some seconds.
        clock: the monotonic clock of the senders, in nanoseconds.

    Attributes:
        pairs: by the sender's run, room and slot.
    """

    def __init__(
        self,
        plan: FaultPlan,
        framing: Framing,
        write: Callable[[bytes], None],
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], int],
    ) -> None:
        self._plan = plan
        self._framing = framing
        self._write = write
        self._call_later = call_later
        self._clock = clock
        self._rest = b""
        self.pairs: dict[tuple[int, int, int], Pair] = {}

    def edit(self, payload: bytes) -> list[bytes]:
        """Return the payloads of the frames to write now, given that of a received one; a part of a message is kept."""
        messages, self._rest = self._framing.split(self._rest + payload)
        return self._framing.frames([edited for message in messages for edited in self._edit(message)])

    def release(self) -> None:
        """Make the held deliveries."""
        for pair in self.pairs.values():
            if pair.held is not None:
                self._write_later([pair.held])
                pair.held = None
                self._plan.done.released += 1

    def _write_later(self, messages: list[bytes]) -> None:
        for payload in self._framing.frames(messages):
            self._write(payload)

    def _edit(self, message: bytes) -> list[bytes]:
        found = STAMP.search(message)
        private = self._framing.private
        if found is None or (private is not None and message.startswith(private)):
            return [message]
        fields = stamp.from_text(found[0].decode())
        assert fields is not None, message
        if not self.pairs:
            self._plan.editors.append(self)
        pair = self.pairs.setdefault((fields.origin, fields.room, fields.slot), Pair())
        pair.number += 1
        waits = pair.after  # before the fault of this delivery
        edited = self._apply(self._fault(pair.number), pair, message, fields)
        if waits is None:
            return edited
        waits += edited
        return []

    def _fault(self, number: int) -> Fault | None:
        connection = self._plan.editors.index(self)
        matching = (one for one in self._plan.faults if one.delivery == number and connection in one.connections)
        return next(matching, None)

    def _apply(self, fault: Fault | None, pair: Pair, message: bytes, fields: stamp.Stamp) -> list[bytes]:
        """Return what to deliver in place of a message."""
        done = self._plan.done
        kind = fault.kind if fault is not None else None
        if kind in {"drop", "hold"}:
            done.dropped += kind == "drop"
            done.held += kind == "hold"
            pair.held = message if kind == "hold" else pair.held
            return []
        done.delivered += 1
        if kind == "swap":
            done.swapped += 1
            pair.swapped = (message, fields.seq)
            return []
        edited = [message]
        self._note_order(pair, fields.seq)
        if pair.swapped is not None:
            edited.append(pair.swapped[0])
            self._note_order(pair, pair.swapped[1])
            pair.swapped = None
        if kind == "duplicate":
            done.duplicated += 1
            edited.append(message)
        if fault is not None and kind == "delay":
            done.delayed += 1
            pair.after = edited
            self._call_later(fault.seconds, lambda: self._end_delay(pair, fields.intended))
            return []
        return edited

    def _note_order(self, pair: Pair, seq: int) -> None:
        self._plan.done.reordered += seq < pair.highest
        pair.highest = max(pair.highest, seq)

    def _end_delay(self, pair: Pair, intended: int) -> None:
        assert pair.after is not None
        messages, pair.after = pair.after, None
        self._plan.done.longest_ns = max(self._plan.done.longest_ns, self._clock() - intended)
        self._write_later(messages)
