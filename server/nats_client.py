"""nats-py's client, with a shorter way in and out, and a way to let go of a connection that is dead.

The library hands each message to a queue and a task of its subscription, and each publication to a task that sends:
turns of the event loop that cost more than all that a node does with a message, as do the expressions it parses with.
It offers no other way; what is relied on of its inside (nats-py 2.16) stands in this file alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from nats.aio.client import Client
from nats.protocol.command import pub_cmd
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

if TYPE_CHECKING:
    from collections.abc import Callable

_UNSENT_BYTES: Final = 64 * 1024
"""Bytes that the connection has not taken above which messages wait in the library's own buffer."""

_MESSAGE: Final = b"MSG "
_WORDS: Final = 4  # MSG, subject, subscription, size; one that wants a reply has one more
_END: Final = b"\r\n"


class NatsClient(Client):
    """A client that hands over what it hears at once.

    Args:
        take: gets subject and payload of each message of any subscription; an exception goes to the error callback.
    """

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._take = take
        self._together: list[bytes] = []
        self._ps = _Parser(self)

    def publish_now(self, subject: str, payload: bytes) -> bool:
        """Publish a message, unless there is something to wait for; return whether it is on its way.

        What is published in one turn of the event loop is one write at the beginning of the next.
        """
        if not self.is_connected or self.pending_data_size:
            return False
        if self._bare_transport.get_write_buffer_size() > _UNSENT_BYTES:
            return False
        if not self._together:
            asyncio.get_running_loop().call_soon(self._write_together)
        self._together.append(pub_cmd(subject, "", payload))
        return True

    def _write_together(self) -> None:
        together, self._together = self._together, []
        transport = self._bare_transport
        if not transport.is_closing():  # else it is lost, and seen to be by its numbering
            transport.write(b"".join(together))

    def give_up(self) -> None:
        """Cut the connection, so that another is made.

        The library's own `force_reconnect` first waits until all that is unsent has been taken: on a dead connection
        that is for ever.
        """
        if self.is_connected:
            self._bare_transport.abort()

    @property
    def _bare_transport(self) -> asyncio.Transport:
        library: Any = self._transport
        return cast("asyncio.Transport", library._io_writer.transport)  # noqa: SLF001 - see above

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if sid not in self._subs:
            return  # unsubscribed while it was on its way
        try:
            self._take(subject.decode(), data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message has to be read
            await self._error_cb(error)


class _Parser(Parser):
    """Takes messages that came whole and without headers; all else is the library's to judge."""

    async def parse(self, data: bytes = b"") -> None:
        """Take what has been received; nothing here waits for anything."""
        if self.state != AWAITING_CONTROL_LINE or self.buf:
            await super().parse(data)
            return
        position, end = 0, len(data)
        while data.startswith(_MESSAGE, position):
            line_end = data.find(_END, position)
            line = data[position:line_end].split(b" ")
            if line_end < 0 or len(line) != _WORDS or not (line[2].isdigit() and line[3].isdigit()):
                break
            start = line_end + len(_END)
            stop = start + int(line[3])
            if stop + len(_END) > end:
                break
            await self.nc._process_msg(int(line[2]), line[1], b"", data[start:stop], b"")  # noqa: SLF001 - its own
            position = stop + len(_END)
        if position < end:
            await super().parse(data[position:])
