"""The frames of STOMP: any split of the bytes gives the same frames, and headers keep every character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.stomp_frames import NOT_STOMP, Frame, FrameSplitter, decode, encode
from tests.stampede.dialects.splitting import cut

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
HEADERS = st.dictionaries(TEXTS.filter(lambda name: name not in {"", "content-length"}), TEXTS, max_size=3)
SERVER_COMMANDS = st.sampled_from(["MESSAGE", "RECEIPT", "ERROR"])
NEWLINES = st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"])


@st.composite
def frames(draw: st.DrawFn) -> tuple[Frame, bytes]:
    """Return a frame and its bytes; the body may contain NUL bytes if its length is given."""
    command, headers, body = draw(SERVER_COMMANDS), draw(HEADERS), draw(st.binary(max_size=20))
    if draw(st.booleans()):
        headers["content-length"] = str(len(body))
    else:
        body = body.replace(b"\0", b"")
    frame = Frame(command, headers, body)
    return frame, encode(command, headers, body) + draw(NEWLINES)


@given(st.lists(frames(), max_size=4), st.data())
def test_any_split_gives_the_same_frames(some: list[tuple[Frame, bytes]], data: st.DataObject) -> None:
    splitter = FrameSplitter()
    stream = b"".join(payload for _, payload in some)
    found = [frame for payload in cut(stream, data) for frame in splitter.split(payload)]
    assert [decode(payload) for payload in found] == [frame for frame, _ in some]


@given(frames())
def test_a_whole_frame_needs_no_copy(one: tuple[Frame, bytes]) -> None:
    frame, payload = one
    (found,) = FrameSplitter().split(payload)
    assert decode(found) == decode(payload) == frame


def test_a_frame_that_ends_with_a_newline_is_passed_on_as_it_is() -> None:
    payload = b"MESSAGE\nsubscription:1\n\nhello\0\n"
    (found,) = FrameSplitter().split(payload)
    assert found is payload


def test_lines_may_end_with_carriage_returns_and_the_first_header_counts() -> None:
    payload = b"\r\nMESSAGE\r\na:1\r\na:2\r\ncontent-length:3\r\n\r\nx\0y\0\r\n"
    (found,) = FrameSplitter().split(payload)
    assert decode(found) == Frame("MESSAGE", {"a": "1", "content-length": "3"}, b"x\0y")


def test_headers_of_connected_have_no_escapes() -> None:
    assert decode(b"CONNECTED\nserver:a\\cb\n\n\0").headers == {"server": "a\\cb"}
    assert encode("CONNECT", {"passcode": "a:b\\"}) == b"CONNECT\npasscode:a:b\\\n\n\0"
    assert encode("SEND", {"destination": "a:b\\\r\n"}) == b"SEND\ndestination:a\\cb\\\\\\r\\n\n\n\0"


@given(st.binary())
def test_whatever_arrives_is_a_frame_or_not_stomp(payload: bytes) -> None:
    for part in FrameSplitter().split(payload):
        try:
            decode(part)
        except ValueError as error:
            assert str(error) == NOT_STOMP  # noqa: PT017 # it may also be a frame


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"welcome"}',
        b"hello\n",
        b"MESSAGES\n\n\0",
        b"MESSAGE\nno colon\n\n\0",
        b"MESSAGE\na:\\t\n\n\0",
        b"MESSAGE\n\xff:1\n\n\0",
        b"CONNECT\n\n\0",
    ],
)
def test_what_no_server_sends_is_an_error(payload: bytes) -> None:
    (found,) = FrameSplitter().split(payload)
    with pytest.raises(ValueError, match=NOT_STOMP):
        decode(found)
