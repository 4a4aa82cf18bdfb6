"""One reactor serves many connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stampede.connections import RecordingReceiver, open_at, until

if TYPE_CHECKING:
    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer


def test_a_receiver_that_raises_ends_only_its_own_connection(
    reactor: Reactor, server: RunningServer, faults: list[Exception]
) -> None:
    class Broken(RecordingReceiver):
        def message_received(self, payload: bytes, now: int) -> None:
            raise ZeroDivisionError

    good = RecordingReceiver()
    healthy = open_at(reactor, f"{server.url}/ws/echo", good)
    broken = open_at(reactor, f"{server.url}/ws/echo", Broken())
    broken.send_message(b"boom")
    until(lambda: faults)
    healthy.send_message(b"fine")
    until(lambda: good.messages)
    assert isinstance(faults[0], ZeroDivisionError)
    assert len(reactor) == 1
