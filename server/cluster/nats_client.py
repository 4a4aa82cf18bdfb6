"""nats-py's client, with a shorter way in and out, and a way to let go of a connection that is dead.

The library hands what is read to a task that parses it, each message to a queue and a task of its subscription, and
each publication to a task that sends: turns of the event loop that cost more than all that a node does with a message,
as do the expressions it parses with. It offers no other way; what is relied on of its inside (nats-py 2.16) stands in
this file alone. Connecting, authenticating, and everything that is no plain message, is the library's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from nats.aio.client import Client
from nats.errors import Error
from nats.protocol.command import pub_cmd
from nats.protocol.parser import AWAITING_CONTROL_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = structlog.get_logger()

_UNSENT_BYTES: Final = 64 * 1024
"""Bytes that the connection has not taken above which messages wait in the library's own buffer."""

_MESSAGE: Final = b"MSG "
_WORDS: Final = 4  # MSG, subject, subscription, size; one that wants a reply has one more
_END: Final = b"\r\n"
_LINE_BYTES: Final = 4096  # NATS' own limit


class NatsClient(Client):
    """A client that hands over what it hears at once.

    Args:
        take: gets subject and payload of each message of any subscription; must not raise.
    """

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._take = take

    def publish_now(self, messages: Iterable[tuple[str, bytes]]) -> bool:
        """Publish messages in one write, unless there is something to wait for; return whether they are on their way.

        Args:
            messages: subject and payload of each.
        """
        if not self.is_connected or self.pending_data_size:
            return False
        transport = self._bare_transport
        if transport.get_write_buffer_size() > _UNSENT_BYTES:
            return False
        if not transport.is_closing():  # else they are lost, and seen to be by their numbering
            transport.write(b"".join([pub_cmd(subject, "", payload) for subject, payload in messages]))
        return True

    def give_up(self) -> None:
        """Cut the connection, so that another is made.

        The library's own `force_reconnect` first waits until all that is unsent has been taken: on a dead connection
        that is for ever.
        """
        if self.is_connected:
            self._bare_transport.abort()

    def resume_reconnecting(self) -> None:
        """Go on with a reconnection that an unexpected error has ended: the library then waits for it for good."""
        task = self._reconnection_task
        if self.is_reconnecting and task is not None and task.done():
            self._reconnection_task = asyncio.get_running_loop().create_task(self._attempt_reconnect())

    @property
    def _bare_transport(self) -> asyncio.Transport:
        library: Any = self._transport
        return cast("asyncio.Transport", library._io_writer.transport)  # noqa: SLF001 - see above

    @property
    def is_reading(self) -> bool:
        """Whether the library has yet to take something that was received before."""
        library: Any = self._transport
        return bool(self._ps.buf or library._io_reader._buffer) or self._ps.state != AWAITING_CONTROL_LINE  # noqa: SLF001 - see above

    def take(self, sid: int, subject: bytes, payload: bytes) -> None:
        """Hand a message over, unless it was unsubscribed while on its way."""
        if sid in self._subs:
            self._take(subject.decode(), payload)

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Send what is pending first: the library's ping overtakes it, and the answer would tell nothing of it."""
        if self._pending and self.is_connected:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            self._bare_transport.write(b"".join(pending))
        await super()._send_ping(future)

    async def _process_err(self, err_msg: str) -> None:
        """Reconnect when the server closes the connection for an error: the library would give up for good."""
        log.error("error from NATS", reason=err_msg.strip("'"))
        if "permissions violation" in err_msg.lower():  # the connection stays open
            await super()._process_err(err_msg)
            return
        await self._process_op_err(Error(f"nats: {err_msg}"))

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        transport = self._bare_transport
        transport.set_protocol(Shortcut(self, cast("asyncio.Protocol", transport.get_protocol())))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.take(sid, subject, data)


class Shortcut(asyncio.Protocol):
    """Takes messages without headers as they are received; all else, and what comes with it, is the library's to read.

    Args:
        client: gets the messages.
        library: what its connection was read by.
    """

    def __init__(self, client: NatsClient, library: asyncio.Protocol) -> None:
        self._client = client
        self._library = library
        self._rest = b""  # beginning of a message

    def data_received(self, data: bytes) -> None:
        """Take the whole messages that data begins with."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        elif self._client.is_reading:
            self._library.data_received(data)
            return
        position, end = 0, len(data)
        while data.startswith(_MESSAGE, position):
            line_end = data.find(_END, position)
            if line_end < 0 and end - position < _LINE_BYTES:
                self._rest = data[position:]
                return
            line = data[position:line_end].split(b" ")
            if len(line) != _WORDS or not (line[2].isdigit() and line[3].isdigit()):
                break
            start = line_end + len(_END)
            stop = start + int(line[3])
            if stop + len(_END) > end:
                self._rest = data[position:]
                return
            self._client.take(int(line[2]), line[1], data[start:stop])
            position = stop + len(_END)
        if position < end:
            self._library.data_received(data[position:])

    # What else the event loop tells is the library's to hear.

    def eof_received(self) -> bool | None:
        return self._library.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._library.connection_lost(exc)

    def pause_writing(self) -> None:
        self._library.pause_writing()

    def resume_writing(self) -> None:
        self._library.resume_writing()
