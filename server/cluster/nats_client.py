"""nats-py's client with a fast path for messages, and a way to replace a dead connection.

nats-py passes received bytes to a parser task, each message to a queue and a task of its subscription, and each
publication to a task that sends it. These iterations of the event loop, and the parser's regular expressions, cost more
than all other work of a node for a message. The library offers no alternative, so this module uses private parts of
nats-py 2.16; `pyproject.toml` excludes later minor versions, and `tests/server/cluster/test_nats_client.py` checks that
these parts exist. The library still connects, authenticates, and handles everything that is not a plain message.
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
"""Unsent bytes of the transport above which messages wait in the library's own buffer."""

_MESSAGE: Final = b"MSG "
_FIELDS: Final = 4  # MSG, subject, subscription, size; a message with a reply subject has one more
_END: Final = b"\r\n"
_LINE_BYTES: Final = 4096  # limit of the NATS protocol


class NatsClient(Client):
    """A client that passes messages on at once.

    Args:
        on_message: called with subject and payload of each message of any subscription; must not raise.
    """

    def __init__(self, on_message: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._on_message = on_message

    def publish_now(self, messages: Iterable[tuple[str, bytes]]) -> bool:
        """Publish messages, each a subject and a payload, in one write; return whether that was possible.

        It is not while the client is disconnected or has unsent bytes.
        """
        if not self.is_connected or self.pending_data_size:
            return False
        transport = self._bare_transport
        if transport.get_write_buffer_size() > _UNSENT_BYTES:
            return False
        if not transport.is_closing():  # otherwise they are lost, which leaves a gap in their numbering
            transport.write(b"".join([pub_cmd(subject, "", payload) for subject, payload in messages]))
        return True

    def abandon_connection(self) -> None:
        """Abort the connection, so that the library makes a new one.

        The library's own `force_reconnect` first waits until all unsent bytes are accepted. On a dead connection this
        never ends.
        """
        if self.is_connected:
            self._bare_transport.abort()

    def resume_reconnecting(self) -> None:
        """Restart a reconnection task that an unexpected error has ended; the library does not."""
        task = self._reconnection_task
        if self.is_reconnecting and task is not None and task.done():
            self._reconnection_task = asyncio.get_running_loop().create_task(self._attempt_reconnect())

    @property
    def _bare_transport(self) -> asyncio.Transport:
        library: Any = self._transport
        return cast("asyncio.Transport", library._io_writer.transport)  # noqa: SLF001 - see above

    @property
    def is_reading(self) -> bool:
        """Whether the library's parser has unparsed bytes, or waits for the rest of a message."""
        library: Any = self._transport
        return bool(self._ps.buf or library._io_reader._buffer) or self._ps.state != AWAITING_CONTROL_LINE  # noqa: SLF001 - see above

    def receive(self, sid: int, subject: bytes, payload: bytes) -> None:
        """Pass a message on, unless its subscription has ended meanwhile."""
        if sid in self._subs:
            self._on_message(subject.decode(), payload)

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Flush pending SUBs before sending PING: the library's own PING overtakes them and would confirm nothing."""
        if self._pending and self.is_connected:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            self._bare_transport.write(b"".join(pending))
        await super()._send_ping(future)

    async def _process_err(self, err_msg: str) -> None:
        """Reconnect when the server closes the connection with an error; the library would stay closed."""
        log.error("error from NATS", reason=err_msg.strip("'"))
        if "permissions violation" in err_msg.lower():  # the connection stays open
            await super()._process_err(err_msg)
            return
        await self._process_op_err(Error(f"nats: {err_msg}"))

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        transport = self._bare_transport
        transport.set_protocol(FastPathProtocol(self, cast("asyncio.Protocol", transport.get_protocol())))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.receive(sid, subject, data)


class FastPathProtocol(asyncio.Protocol):
    """Parse messages without headers as they are received, and pass all other data to the library.

    Args:
        client: receives the messages.
        library: the protocol that the library made for the connection.
    """

    def __init__(self, client: NatsClient, library: asyncio.Protocol) -> None:
        self._client = client
        self._library = library
        self._rest = b""  # the start of an incomplete message

    def data_received(self, data: bytes) -> None:
        """Parse the complete messages at the start of the data."""
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
            if len(line) != _FIELDS or not (line[2].isdigit() and line[3].isdigit()):
                break
            start = line_end + len(_END)
            stop = start + int(line[3])
            if stop + len(_END) > end:
                self._rest = data[position:]
                return
            self._client.receive(int(line[2]), line[1], data[start:stop])
            position = stop + len(_END)
        if position < end:
            self._library.data_received(data[position:])

    # All other events go to the library.

    def eof_received(self) -> bool | None:
        return self._library.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._library.connection_lost(exc)

    def pause_writing(self) -> None:
        self._library.pause_writing()

    def resume_writing(self) -> None:
        self._library.resume_writing()
