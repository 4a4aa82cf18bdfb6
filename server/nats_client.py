"""nats-py's client, with a shorter way in and out, and a way to let go of a connection that is dead.

The library hands each message to a queue and a task of its subscription, and each publication to a task that sends:
turns of the event loop that cost more than all that a node does with a message. It offers no other way; what is
relied on of its inside (nats-py 2.16) stands in this file alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nats.aio.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable


class NatsClient(Client):
    """A client that hands over what it hears at once.

    Args:
        take: gets subject and payload of each message of any subscription; an exception goes to the error callback.
    """

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._take = take

    def publish_now(self, subject: str, payload: bytes) -> bool:
        """Publish a message, unless that would have to wait; return whether it is on its way.

        Raises:
            nats.errors.Error: it cannot be sent.
        """
        if not self.is_connected or self.pending_data_size + len(payload) + len(subject) > self._max_pending_size // 2:
            return False
        # A coroutine that does not wait ends at its first step.
        publication = self.publish(subject, payload)
        try:
            publication.send(None)
        except StopIteration:
            return True
        publication.close()
        raise AssertionError("nats-py waits though there is room")

    def give_up(self) -> None:
        """Cut the connection, so that another is made.

        The library's own `force_reconnect` first waits until all that is unsent has been taken: on a dead connection
        that is for ever.
        """
        if self.is_connected:
            transport: Any = self._transport
            transport._io_writer.transport.abort()  # noqa: SLF001 - see above

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if sid not in self._subs:
            return  # unsubscribed while it was on its way
        try:
            self._take(subject.decode(), data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message has to be read
            await self._error_cb(error)
