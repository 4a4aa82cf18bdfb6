from __future__ import annotations

import http.server
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from benchmarks.load.wire import TEXT, DisconnectedError, FrameReader, upgrade

payloads = st.binary(max_size=300) | st.integers(0, 70_000).map(bytes)


@given(st.lists(payloads, max_size=8), st.data())
def test_a_stream_gives_the_same_frames_however_it_is_split(messages: list[bytes], data: st.DataObject) -> None:
    frames = [Frame(Opcode.TEXT, message).serialize(mask=False) for message in messages]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader, read = FrameReader(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += reader.feed(stream[start:stop])
    assert read == [(TEXT, len(frame), message) for frame, message in zip(frames, messages, strict=True)]


def test_a_refused_upgrade_is_reported() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as refusing:
        answering = threading.Thread(target=refusing.handle_request)
        answering.start()
        with pytest.raises(DisconnectedError, match="refused the upgrade"):
            upgrade("127.0.0.1", refusing.server_port)
        answering.join()
