"""An open chat load: message k is due at k / rate, and sent by client k modulo the number of clients.

After a stall of this process, messages that are due for long are skipped: sent at once, they would be a burst.
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
_LATE_SECONDS: Final = 0.1  # messages that are due for longer are skipped


class ChatLoad:
    """Clients that chat in their rooms. The last ones, the listeners, parse every message; the others only count bytes.

    Attributes:
        latencies: seconds from the sending of a message to each delivery to a listener.
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
            client.discards_data = True
        for client in clients[-listeners:]:
            client.on_text = self._on_text

    def run(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> None:
        """Chat for some seconds; `each` is called at every poll with the seconds since the start."""
        start = self._sent

        def send_due(now: float) -> None:
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

        self._pool.run(seconds, send_due)

    def p99(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> float:
        """Chat for some seconds, and return the 99th percentile of the latencies in seconds."""
        self.latencies.clear()
        self.run(seconds, each)
        ordered = sorted(self.latencies)
        assert ordered, "no message was delivered"
        return ordered[len(ordered) * 99 // 100]

    def _on_text(self, _client: Client, payload: bytes) -> None:
        place = payload.find(_STAMP)
        if place >= 0:
            start = place + len(_STAMP)
            self.latencies.append((time.monotonic_ns() - int(payload[start : start + _DIGITS])) / 1e9)
