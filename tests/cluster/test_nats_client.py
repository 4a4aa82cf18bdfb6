"""The shorter way in takes what the library would have taken, however the bytes are cut."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from server.nats_client import NatsClient

PAYLOADS = st.binary(max_size=40) | st.sampled_from([b"\r\n", b"MSG a 1 1\r\nx\r\n", b"PING\r\n"])
SUBJECTS = st.sampled_from([b"stampede.room.1", b"stampede.nodes"])
MESSAGES = st.builds(
    lambda subject, sid, payload: b"MSG %s %d %d\r\n%s\r\n" % (subject, sid, len(payload), payload),
    SUBJECTS,
    st.integers(1, 99),
    PAYLOADS,
)
WITH_REPLY = st.builds(
    lambda subject, payload: b"MSG %s 7 _INBOX.x %d\r\n%s\r\n" % (subject, len(payload), payload), SUBJECTS, PAYLOADS
)
WITH_HEADERS = st.builds(
    lambda payload: b"HMSG a 3 12 %d\r\nNATS/1.0\r\n\r\n%s\r\n" % (12 + len(payload), payload), PAYLOADS
)
OTHERS = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n"])


class Listener(NatsClient):
    """A client that only notes what its parser finds."""

    def __init__(self) -> None:
        super().__init__(lambda _subject, _payload: None)
        self.found: list[tuple[object, ...]] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.found.append((sid, bytes(subject), bytes(reply), bytes(data), bytes(headers or b"")))

    async def _process_ping(self) -> None:
        self.found.append(("PING",))

    async def _process_pong(self) -> None:
        self.found.append(("PONG",))


def parsed(chunks: list[bytes], *, by_library: bool) -> list[tuple[object, ...]]:
    async def feed() -> list[tuple[object, ...]]:
        listener = Listener()
        parser = Parser(listener) if by_library else listener._ps
        for chunk in chunks:
            await parser.parse(chunk)
        return listener.found

    return asyncio.run(feed())


@given(
    st.lists(MESSAGES | MESSAGES | WITH_REPLY | WITH_HEADERS | OTHERS, max_size=12),
    st.lists(st.integers(0, 600), max_size=8),
)
def test_what_comes_is_taken_whole_and_in_its_order(commands: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(commands)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    taken = parsed(chunks, by_library=False)
    assert taken == parsed(chunks, by_library=True)
    assert len(taken) == sum(command != b"+OK\r\n" for command in commands)
