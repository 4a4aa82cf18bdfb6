"""The faults that the proxy plants: each kind, in each framing, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from stampede.ledger import stamp
from tests.dialects.frame_faults import STAMP, Editor, Fault, FaultPlan, Framing, Planted, ended_by, mqtt_packets, whole
from tests.dialects.frame_proxy import FrameParser

if TYPE_CHECKING:
    from collections.abc import Callable

DUE = 7_000
NOW = 9_000


def publish(body: bytes) -> bytes:
    """Return an MQTT PUBLISH packet."""
    rest = b"\x00\x01t" + body
    length = bytes((len(rest) & 0x7F | 0x80, len(rest) >> 7)) if len(rest) > 127 else bytes((len(rest),))
    return b"\x30" + length + rest


FRAMINGS: dict[str, tuple[Framing, Callable[[bytes], bytes]]] = {
    "whole": (Framing(whole), lambda body: b'{"text":"%b"}' % body),
    "signalr": (Framing(ended_by(b"\x1e")), lambda body: b'{"type":1,"text":"%b"}\x1e' % body),
    "stomp": (Framing(ended_by(b"\0")), lambda body: b"MESSAGE\ndestination:/topic/a\n\n%b\0" % body),
    "mqtt": (Framing(mqtt_packets, frame_bytes=11), publish),
}
PADDINGS = (b"", b"x" * 100)  # the longer one needs two bytes of length in MQTT


class Receiver:
    """An editor with a list in place of a client, and a timer that the test ends."""

    def __init__(self, name: str, plan: FaultPlan) -> None:
        self.framing, self._wrap = FRAMINGS[name]
        self._plan = plan
        self.frames: list[bytes] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        later: Callable[[float, Callable[[], None]], None] = lambda *timer: self.timers.append(timer)  # noqa: E731
        self._editor = Editor(plan, self.framing, self.frames.append, later, lambda: NOW)

    def message(self, slot: int, seq: int, padding: bytes = b"") -> bytes:
        return self._wrap(stamp.make(DUE, DUE, 1, 2, slot, seq) + padding)

    def deliver(self, *sequence: tuple[int, int]) -> None:
        """Receive messages of slots, all in one frame if the framing allows."""
        for payload in self.framing.frames([self.message(*one) for one in sequence]):
            self.feed(payload)

    def close(self) -> None:
        self._plan.discard(self._editor)

    def feed(self, payload: bytes) -> None:
        self.frames += self._editor.edit(payload)

    @property
    def delivered(self) -> list[tuple[int, int]]:
        """Slot and number of each delivery so far."""
        messages = self.frames
        if self.framing.split is not whole:
            messages, rest = self.framing.split(b"".join(self.frames))
            assert not rest
        fields = [stamp.from_text(found[0].decode()) for one in messages for found in STAMP.finditer(one)]
        assert len(fields) == len(messages)
        return [(one.slot, one.seq) for one in fields if one is not None]


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize(
    ("kind", "delivered", "done"),
    [
        ("drop", [(1, 0), (2, 0), (1, 2), (1, 3)], Planted(4, dropped=1)),
        ("duplicate", [(1, 0), (1, 1), (1, 1), (2, 0), (1, 2), (1, 3)], Planted(5, duplicated=1)),
        ("swap", [(1, 0), (2, 0), (1, 2), (1, 1), (1, 3)], Planted(5, swapped=1, reordered=1)),
        ("delay", [(1, 0), (2, 0), (1, 1), (1, 2), (1, 3)], Planted(5, delayed=1, longest_ns=NOW - DUE)),
        ("hold", [(1, 0), (2, 0), (1, 2), (1, 3), (1, 1)], Planted(4, held=1, released=1)),
    ],
)
def test_one_delivery_is_faulted_and_all_others_are_not(
    name: str, kind: str, delivered: list[tuple[int, int]], done: Planted
) -> None:
    plan = FaultPlan((Fault(kind, 2, (0,), seconds=3.0),))  # type: ignore[arg-type]
    receiver = Receiver(name, plan)
    receiver.deliver((1, 0), (1, 1), (2, 0), (1, 2), (1, 3))
    assert plan.is_settled(2, 1) == (kind != "delay")
    assert not plan.is_settled(3, 1)
    assert not plan.is_settled(2, 2)
    for seconds, end in receiver.timers:
        assert seconds == 3.0
        end()
    plan.release()
    assert receiver.delivered == delivered
    assert plan.done == done
    assert plan.is_settled(2, 1)


def test_a_delivery_that_the_server_has_reordered_is_counted() -> None:
    plan = FaultPlan((Fault("drop", 2, (0,)), Fault("swap", 4, (0,))))
    receiver = Receiver("whole", plan)
    receiver.deliver((1, 0), (1, 2), (1, 3), (1, 5), (1, 4), (1, 1), (1, 6))
    assert receiver.delivered == [(1, 0), (1, 3), (1, 4), (1, 5), (1, 1), (1, 6)]
    assert plan.done == Planted(6, dropped=1, swapped=1, reordered=1)


def test_a_plan_counts_from_its_start_and_for_its_connections() -> None:
    plan = FaultPlan()
    one, two = Receiver("whole", plan), Receiver("whole", plan)
    one.deliver((1, 0), (1, 1))
    assert plan.is_settled(1, 2)
    check = Receiver("whole", plan)
    check.deliver((7, 0), (8, 0))
    assert plan.is_settled(3, 1)
    check.close()
    assert plan.is_settled(1, 2)
    plan.start((Fault("drop", 2, (1,)),))
    assert not plan.is_settled(1, 1)
    two.deliver((1, 2))
    one.deliver((1, 2), (1, 3))
    two.deliver((1, 3), (1, 4))
    assert one.delivered == [(1, 0), (1, 1), (1, 2)]
    assert two.delivered == [(1, 2), (1, 3), (1, 4)]
    assert plan.done == Planted(6, dropped=1)


@pytest.mark.parametrize("name", FRAMINGS)
@given(data=st.data())
def test_without_faults_every_byte_passes_in_order(name: str, data: st.DataObject) -> None:
    plan = FaultPlan()
    receiver = Receiver(name, plan)
    messages = [receiver.message(1, seq, data.draw(st.sampled_from(PADDINGS))) for seq in range(3)]
    if name == "whole":
        frames = messages
    else:
        stream = b"".join(messages)
        cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)))
        frames = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    for frame in frames:
        receiver.feed(frame)
    assert b"".join(receiver.frames) == b"".join(messages)
    assert plan.done == Planted(3)


def test_other_messages_pass_at_once() -> None:
    plan = FaultPlan(faults=(Fault("drop", 1, (0,)),))
    stomp = Receiver("stomp", plan)
    stomp.feed(b"\n")  # a heartbeat
    stomp.feed(b"CONNECTED\nversion:1.2\n\n\0\n")
    private = Framing(private=b"You wrote: ")
    written: list[bytes] = []
    editor = Editor(plan, private, written.append, lambda *_: None, lambda: NOW)
    own = b"You wrote: " + stamp.make(DUE, DUE, 1, 2, 3, 4)
    assert editor.edit(own) == [own]
    assert b"".join(stomp.frames) == b"\nCONNECTED\nversion:1.2\n\n\0\n"
    assert plan.done == Planted()


@given(st.data())
def test_frames_are_parsed_from_any_split_of_the_stream(data: st.DataObject) -> None:
    frames = [
        Frame(Opcode.TEXT, b"one"),
        Frame(Opcode.BINARY, b"t" * 300),
        Frame(Opcode.TEXT, b"th", fin=False),
        Frame(Opcode.PING, b"ping"),
        Frame(Opcode.CONT, b"ree"),
        Frame(Opcode.CLOSE, b"\x03\xe8"),
    ]
    stream = b"".join(frame.serialize(mask=False) for frame in frames)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)))
    parser = FrameParser()
    parsed = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in parser.feed(stream[start:end])
    ]
    joined = Frame(Opcode.TEXT, b"three")
    assert [(one.opcode, bytes(one.data)) for one in parsed] == [
        (one.opcode, one.data) for one in (*frames[:2], frames[3], joined, frames[5])
    ]
