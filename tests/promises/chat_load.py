"""An open chat load from a pool: message k is due at k / rate, from client k modulo clients, whoever hears it.

Where the driver itself is kept from its work, it lets go what it has missed: made up for at once that would be a burst.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.promises.raw_clients import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.promises.raw_clients import Client, RawClientPool

_STAMP: Final = b'"text":"@'
_DIGITS: Final = 31
_LATE_SECONDS: Final = 0.1  # what the driver may make up for


class ChatLoad:
    """Clients who are in their rooms and chat; the last few listen to every word, the others' bytes are counted.

    Attributes:
        latencies: seconds from a message's sending to each delivery to a listener.
    """

    def __init__(
        self, pool: RawClientPool, clients: Sequence[Client], rate: float, *, listeners: int = 4, text_bytes: int = 32
    ) -> None:
        self._pool = pool
        self._clients = clients
        self._rate = rate
        self._sent = 0
        self._padding = b"." * (text_bytes - _DIGITS - 1)
        self.latencies: list[float] = []
        for client in clients[:-listeners]:
            client.counting = True
        for client in clients[-listeners:]:
            client.hear = self._hear

    def run(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> None:
        """Chat for a while; `each` is called in every sweep with the seconds that have passed."""
        start = self._sent

        def sweep(now: float) -> None:
            nonlocal start
            due = start + int(now * self._rate)
            missed = max(0, int(due - self._sent - _LATE_SECONDS * self._rate))
            start -= missed
            due -= missed
            while self._sent < due:
                client = self._clients[self._sent % len(self._clients)]
                text = b'{"type":"chatMessage","text":"@%0*d%s"}' % (_DIGITS, time.monotonic_ns(), self._padding)
                self._pool.send(client, frame(text))
                self._sent += 1
            each(now)

        self._pool.run(seconds, sweep)

    def p99(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> float:
        """Chat for a while and return the 99th percentile of the latencies, in seconds."""
        self.latencies.clear()
        self.run(seconds, each)
        ordered = sorted(self.latencies)
        assert ordered, "nobody heard anything"
        return ordered[len(ordered) * 99 // 100]

    def _hear(self, _client: Client, payload: bytes) -> None:
        place = payload.find(_STAMP)
        if place >= 0:
            start = place + len(_STAMP)
            self.latencies.append((time.monotonic_ns() - int(payload[start : start + _DIGITS])) / 1e9)
