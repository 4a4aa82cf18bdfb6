"""The frame splitter agrees with the parser of websockets on every byte string and every division into chunks."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from stampede.websocket.frames import FrameSplitter, RawFrame, binary_frame, masked_text_frame, text_frame

MAX_SIZE = 300


def parser(*, masked: bool) -> ServerProtocol | ClientProtocol:
    if masked:
        return ServerProtocol(state=OPEN, max_size=MAX_SIZE)
    return ClientProtocol(parse_uri("ws://example.org/"), state=OPEN, max_size=MAX_SIZE)


def received_by(protocol: ServerProtocol | ClientProtocol) -> list[tuple[Opcode, bool, bytes]]:
    events = []
    for event in protocol.events_received():
        assert isinstance(event, Frame), event
        events.append((event.opcode, event.fin, bytes(event.data)))
    return events


def by_library(chunks: list[bytes], *, masked: bool) -> tuple[list[tuple[Opcode, bool, bytes]], int | None]:
    protocol = parser(masked=masked)
    events = []
    for chunk in chunks:
        protocol.receive_data(chunk)
        events += received_by(protocol)
    return events, int(protocol.close_sent.code) if protocol.close_sent else None


def by_splitter(
    chunks: list[bytes], *, masked: bool, max_frames: int = sys.maxsize
) -> tuple[list[tuple[Opcode, bool, bytes]], int | None]:
    """Use the splitter as a connection does: texts count while the protocol is open, raw frames go to the protocol."""
    protocol = parser(masked=masked)
    splitter = FrameSplitter(masked=masked, max_size=MAX_SIZE, max_frames=max_frames)
    events = []
    for chunk in chunks:
        items = splitter.split(chunk)
        while items:
            assert len(items) <= max_frames
            for item in items:
                if isinstance(item, RawFrame):
                    protocol.receive_data(item)
                    events += received_by(protocol)
                elif protocol.state is OPEN:
                    events.append((Opcode.TEXT, True, item))
            items = splitter.split(b"") if len(items) == max_frames else []
    return events, int(protocol.close_sent.code) if protocol.close_sent else None


frames = st.builds(
    Frame,
    st.sampled_from([Opcode.CONT, Opcode.TEXT, Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG]),
    st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=140), st.binary(min_size=290, max_size=310)),
    st.sampled_from([True, True, True, False]),
    rsv1=st.sampled_from([False] * 9 + [True]),
)


@st.composite
def streams(draw: st.DrawFn, *, masked: bool) -> list[bytes]:
    """Mostly valid frames, sometimes a close frame or random bytes, cut at random places."""
    data = b""
    for frame in draw(st.lists(frames, max_size=8)):
        control = frame.opcode in (Opcode.PING, Opcode.PONG)
        frame.data, frame.fin = (frame.data[:125], True) if control else (frame.data, frame.fin)
        head = bytearray(Frame(frame.opcode, frame.data, frame.fin).serialize(mask=masked))
        head[0] |= 0x40 if frame.rsv1 else 0
        data += bytes(head)
    data += draw(
        st.one_of(st.just(b""), st.binary(max_size=12), st.just(Frame(Opcode.CLOSE, b"").serialize(mask=masked)))
    )
    data += draw(st.one_of(st.just(b""), st.just(Frame(Opcode.TEXT, b"after").serialize(mask=masked))))
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=10)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


@given(streams(masked=True), st.sampled_from([1, 2, 3, sys.maxsize]))
def test_a_server_receives_what_the_library_receives_for_any_number_of_frames_per_call(
    chunks: list[bytes], max_frames: int
) -> None:
    assert by_splitter(chunks, masked=True, max_frames=max_frames) == by_library(chunks, masked=True)


@given(streams(masked=False))
def test_a_client_receives_what_the_library_receives(chunks: list[bytes]) -> None:
    assert by_splitter(chunks, masked=False) == by_library(chunks, masked=False)


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_random_bytes_give_the_same_result_as_the_library(chunks: list[bytes], masked: bool) -> None:
    chunks = [chunk for chunk in chunks if chunk]
    assert by_splitter(chunks, masked=masked) == by_library(chunks, masked=masked)


@given(st.binary(min_size=1, max_size=MAX_SIZE), st.binary(min_size=4, max_size=4))
def test_a_frame_received_byte_by_byte_is_returned_once(payload: bytes, key: bytes) -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    frame = masked_text_frame(payload, key)
    items = [item for i in range(len(frame)) for item in splitter.split(frame[i : i + 1])]
    assert items == [payload]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_are_serialized_as_by_the_library(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


@pytest.mark.parametrize("size", [0, 125, 126, 65536])
def test_the_library_reads_masked_frames(size: int) -> None:
    payload = b"y" * size
    protocol = ServerProtocol(state=OPEN, max_size=None)
    protocol.receive_data(masked_text_frame(payload, b"\x01\x02\x03\x04"))
    [frame] = protocol.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == payload


def test_an_oversize_frame_is_detected_from_its_header() -> None:
    splitter = FrameSplitter(masked=False, max_size=MAX_SIZE)
    [item] = splitter.split(text_frame(b"z" * (MAX_SIZE + 1))[:4])
    assert isinstance(item, RawFrame)


KEY = b"\x01\x02\x03\x04"


def masked(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def is_invalid(splitter: FrameSplitter) -> bool:
    """Return whether the splitter passes all bytes on unparsed."""
    items = splitter.split(b"?")
    return items == [b"?"] and isinstance(items[0], RawFrame) and splitter.split(b"") == []


def test_a_splitter_is_idle_only_between_messages() -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    text = masked_text_frame(b"text", KEY)
    steps = [
        (b"", True),
        (text, True),
        (text[:5], False),
        (text[5:], True),
        (masked(Opcode.TEXT, b"te", fin=False), False),
        (masked(Opcode.PING, b""), False),
        (masked(Opcode.CONT, b"x", fin=False), False),
        (masked(Opcode.CONT, b"t"), True),
        (masked(Opcode.BINARY, b"whole"), True),
        (b"\x83\x80", False),
        (b"", False),
    ]
    idle = []
    for chunk, _ in steps:
        splitter.split(chunk)
        idle.append(splitter.is_idle)
    assert idle == [expected for _, expected in steps]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("more", [0, 1])
def test_the_size_limit_applies_to_all_fragments_of_a_message_together(opcode: Opcode, more: int) -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    head = [
        masked(opcode, b"x" * 100, fin=False),
        masked(Opcode.PING, b"y" * 125),  # does not count
        masked(Opcode.CONT, b"x" * 80, fin=False),
        masked(opcode, b"x" * 90, fin=False),  # out of order: the protocol fails it
        masked(Opcode.CONT, b"x" * 70, fin=False),
    ]
    last = masked(Opcode.CONT, b"x" * (50 + more))
    items = splitter.split(b"".join(head))
    assert items == head
    assert all(isinstance(item, RawFrame) for item in items)
    assert splitter.split(last) == [last]
    if more:
        assert is_invalid(splitter)
    else:
        whole = b"z" * MAX_SIZE
        assert splitter.split(masked_text_frame(whole, KEY)) == [whole], "the next message has the full size limit"


def test_a_continuation_without_a_first_fragment_starts_no_message() -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    for stray in (masked(Opcode.CONT, b"x" * 200, fin=False), masked(Opcode.CONT, b"x"), masked(Opcode.PONG, b"y")):
        assert splitter.split(stray) == [stray]
        assert splitter.is_idle
    whole = b"z" * MAX_SIZE
    assert splitter.split(masked_text_frame(whole, KEY)) == [whole]


def test_a_text_frame_inside_a_fragmented_message_is_left_to_the_protocol() -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    splitter.split(masked(Opcode.TEXT, b"a", fin=False))
    text = masked(Opcode.TEXT, b"b")
    [item] = splitter.split(text)
    assert item == text
    assert isinstance(item, RawFrame)


@pytest.mark.parametrize("is_server", [True, False])
@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 300])
def test_a_text_frame_is_returned_as_its_payload_for_every_cut(size: int, *, is_server: bool) -> None:
    payload = bytes(65 + number % 26 for number in range(size))
    frame = masked_text_frame(payload, KEY) if is_server else text_frame(payload)
    stream = 3 * frame
    for cut in range(1, len(stream)):
        splitter = FrameSplitter(masked=is_server, max_size=MAX_SIZE)
        items = splitter.split(stream[:cut]) + splitter.split(stream[cut:])
        assert items == [payload] * 3
        assert not any(isinstance(item, RawFrame) for item in items)
        assert splitter.is_idle


@pytest.mark.parametrize("max_size", [124, 125, 126])
def test_the_size_limit_applies_to_a_single_frame(max_size: int) -> None:
    for size in (max_size, max_size + 1):
        splitter = FrameSplitter(masked=True, max_size=max_size)
        frame = masked_text_frame(b"x" * size, KEY)
        [item] = splitter.split(frame)
        assert isinstance(item, RawFrame) is (size > max_size)
        assert is_invalid(splitter) is (size > max_size)


def test_an_incomplete_frame_is_kept_until_the_rest_arrives() -> None:
    splitter = FrameSplitter(masked=True, max_size=1 << 20)
    payload = b"x" * 70_000
    frame = masked_text_frame(payload, KEY)
    pieces = [frame[:1], frame[1:2], frame[2:9], frame[9:10], frame[10:13], frame[13:14], frame[14:-1]]
    assert [splitter.split(piece) for piece in pieces] == [[]] * len(pieces)
    assert splitter.split(frame[-1:] + frame[:3]) == [payload]
    assert splitter.split(frame[3:]) == [payload]
    assert splitter.is_idle


def test_a_call_returns_at_most_max_frames_and_the_next_call_continues() -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE, max_frames=2)
    texts = [b"%d" % number for number in range(5)]
    stream = b"".join(masked_text_frame(text, KEY) for text in texts)
    portions = [splitter.split(stream), splitter.split(b""), splitter.split(b""), splitter.split(b"")]
    assert portions == [texts[:2], texts[2:4], texts[4:], []]


@pytest.mark.parametrize(
    "head",
    [
        b"\x83\x80",
        b"\x87\x80",
        b"\x8b\x80",
        b"\x8f\x80",
        b"\x03\x80",
        b"\x81\x00",
        b"\x81\x7f",
        b"\x80\x05",
        b"\x88\x00",
    ],
)
def test_everything_after_an_invalid_header_is_passed_on_unparsed(head: bytes) -> None:
    splitter = FrameSplitter(masked=True, max_size=MAX_SIZE)
    before = masked_text_frame(b"good", KEY)
    items = splitter.split(before + head + b"rest")
    assert items == [b"good", head + b"rest"]
    assert [isinstance(item, RawFrame) for item in items] == [False, True]
    assert splitter.split(before) == [before], "even a valid frame is not parsed any more"
    assert is_invalid(splitter)
