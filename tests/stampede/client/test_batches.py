"""A batch of frames is counted as if each frame had been split, whatever the payloads contain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st

from stampede.client.context import ClientContext
from stampede.client.message_handler import MessageHandler
from stampede.dialects.base import Dialect
from stampede.ledger import stamp
from stampede.measure.measures import Measures
from stampede.websocket.frames import FrameSplitter, binary_frame, text_frame

if TYPE_CHECKING:
    from stampede.ledger.stamp import Fields

ORIGIN, ROOM = 3, 7
LIKE_A_HEADER = "\u00c1~".encode()  # ends with the first two bytes of a long text frame
MESSAGES = [
    b"short",
    b"long" * 50,
    LIKE_A_HEADER * 70,
    b"\x81\x7e\x00\x02" * 50,  # is no UTF-8; the splitter does not mind
    *(
        stamp.for_any_server(stamp.make(1, 2, ORIGIN, ROOM, 0, seq)) + b"." * size
        for seq, size in enumerate((1, 90, 300))
    ),
    stamp.for_any_server(stamp.make(1, 2, ORIGIN, ROOM + 1, 0, 9)) + b"." * 90,
    stamp.for_any_server(stamp.make(1, 2, ORIGIN, ROOM, 0, 8)) + LIKE_A_HEADER * 60,
]
FRAMES = [*map(text_frame, MESSAGES), binary_frame(b"b" * 200), text_frame(MESSAGES[4] + b"." * 70_000), b"\x89\x00"]


class StampedDialect(Dialect):
    """Messages with a stamp anywhere."""

    def find_stamp(self, payload: bytes) -> Fields | None:
        return stamp.search(payload)


def read(data: bytes, *, with_frames: bool) -> tuple[list[Fields], list[bytes], bool]:
    """Return the stamps that are counted, the other messages in order, and whether a frame is incomplete."""
    counted: list[Fields] = []
    handler = MessageHandler(ClientContext(Measures(), StampedDialect(), ORIGIN, "", lambda _: None), cast("Any", None))
    membership = SimpleNamespace(room=SimpleNamespace(number=ROOM), receive_batch=counted.extend)
    handler.membership = cast("Any", membership)
    splitter = FrameSplitter(masked=False, max_size=1 << 20)
    rest = handler.frames_received(data) if with_frames else data
    others = handler.batch_received(splitter.split(rest))
    return counted, others, splitter.is_idle


@given(st.lists(st.sampled_from(FRAMES), max_size=8), st.integers(0, 80_000))
def test_frames_are_counted_as_if_they_had_been_split(frames: list[bytes], end: int) -> None:
    data = b"".join(frames)[:end]
    assert read(data, with_frames=True) == read(data, with_frames=False)


def test_the_frames_of_room_mates_need_no_splitting() -> None:
    handler = MessageHandler(ClientContext(Measures(), StampedDialect(), ORIGIN, "", lambda _: None), cast("Any", None))
    assert handler.frames_received(FRAMES[5]) == FRAMES[5]  # in no room
    counted: list[Fields] = []
    membership = SimpleNamespace(room=SimpleNamespace(number=ROOM), receive_batch=counted.extend)
    handler.membership = cast("Any", membership)
    assert handler.frames_received(FRAMES[5] + FRAMES[6]) == b""
    assert [fields[5] for fields in counted] == [1, 2]
    assert handler.frames_received(FRAMES[5] + FRAMES[1] + FRAMES[6]) == FRAMES[1] + FRAMES[6]
    assert len(counted) == 3
    handler.add_callback("chatMessage", lambda _: None)
    assert handler.frames_received(FRAMES[5]) == FRAMES[5]
