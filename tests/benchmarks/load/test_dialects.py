"""Messages of the load carry their send time and have one size, also when the clock gets another digit."""

from __future__ import annotations

from itertools import cycle

import pytest

from benchmarks.load import dialects
from benchmarks.load.dialects import PLAIN, SOCKET_IO, ChatDialect, MessageEncoder, request_path

DAY_NS = 86_400 * 10**9
LARGEST_EXACT = 2**53
"""Many servers parse the numbers of JSON as floating-point numbers."""


def unmasked(frame: bytes) -> bytes:
    """Return the text of a short masked frame."""
    mask, text = frame[2:6], frame[6:]
    return bytes(byte ^ key for byte, key in zip(text, cycle(mask), strict=False))


@pytest.mark.parametrize("pings", [True, False], ids=["pings", "chat messages"])
@pytest.mark.parametrize("dialect", [PLAIN, SOCKET_IO], ids=["plain", "Socket.IO"])
def test_the_size_of_a_message_does_not_depend_on_its_send_time(
    dialect: ChatDialect, pings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [999_999_999_999, 1_000_000_000_000, 9_999_999_999_999, 10_000_000_000_000]
    clock = iter(times)
    monkeypatch.setattr(dialects, "monotonic_ns", lambda: next(clock))
    encoder = MessageEncoder(dialect, pings=pings, begin=times[0])
    texts = [unmasked(encoder.stamped()) for _ in times]
    assert len({len(text) for text in texts}) == 1
    assert [encoder.sent_at(text) for text in texts] == times


def test_the_send_time_of_a_ping_is_exact_as_a_floating_point_number(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = 300 * DAY_NS
    encoder = MessageEncoder(PLAIN, pings=True, begin=begin)
    monkeypatch.setattr(dialects, "monotonic_ns", lambda: begin + 30 * DAY_NS + 1)
    text = unmasked(encoder.stamped())
    assert encoder.sent_at(text) == begin + 30 * DAY_NS + 1
    assert int(text.partition(b'"timestamp":')[2].strip(b"}")) < LARGEST_EXACT


def test_the_chat_is_wrapped_in_socket_io() -> None:
    assert PLAIN.encode({"type": "ping"}) == b'{"type":"ping"}'
    assert SOCKET_IO.encode({"type": "ping"}) == b'42["message",{"type":"ping"}]'
    assert (PLAIN.opening, SOCKET_IO.opening) == (b"", b"40")
    assert (request_path(PLAIN), request_path(SOCKET_IO)) == ("/chat", "/socket.io/?EIO=4&transport=websocket")
