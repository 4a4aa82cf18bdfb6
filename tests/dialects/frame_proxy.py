"""A proxy between the load generator and a server, which edits the frames of the server as planned.

It runs in a thread of the test. Bytes of the client pass unchanged. So do those of the server up to its response to the
upgrade request, and of any other HTTP exchange; `tests.dialects.frame_faults` then edits the payloads of its frames.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from copy import copy
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader as FrameReader

from tests.dialects.frame_faults import Editor, FaultPlan

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence

    from tests.dialects.frame_faults import Fault, Framing, Planted

T = TypeVar("T")

READ_BYTES = 1 << 16
CALL_SECONDS = 60
RESET = struct.pack("ii", 1, 0)


class FrameParser:
    """Parses the frames of a server; fragments of a message become one frame."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._fragments: list[Frame] = []

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that some bytes complete."""
        self._reader.feed_data(data)
        while True:
            if self._parsing is None:
                self._parsing = Frame.parse(self._reader.read_exact, mask=False)
            try:
                next(self._parsing)
            except StopIteration as parsed:
                self._parsing = None
                yield from self._joined(parsed.value)
            else:
                return

    def _joined(self, frame: Frame) -> Iterator[Frame]:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            yield frame
            return
        self._fragments.append(frame)
        if frame.fin:
            payload = b"".join(bytes(one.data) for one in self._fragments)
            yield Frame(self._fragments[0].opcode, payload)
            self._fragments.clear()


class Link:
    """One connection of a client, and its connection to the server."""

    def __init__(self, plan: FaultPlan, framing: Framing, client: StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._plan = plan
        self._editor = Editor(plan, framing, self._write, loop.call_later, monotonic_ns)
        self._opcode: Opcode = Opcode.TEXT

    def _write(self, payload: bytes) -> None:
        if not self._client.is_closing():
            self._client.write(Frame(self._opcode, payload).serialize(mask=False))

    async def relay(self, server: StreamReader) -> None:
        """Write to the client what the server sends; return at its end."""
        try:
            await self._relay(server)
        finally:
            self._plan.discard(self._editor)

    async def _relay(self, server: StreamReader) -> None:
        head = await server.readuntil(b"\r\n\r\n")
        self._client.write(head)
        is_upgraded = head.split(b" ", 2)[1] == b"101"
        parser = FrameParser()
        while data := await server.read(READ_BYTES):
            if not is_upgraded:
                self._client.write(data)
            else:
                for frame in parser.feed(data):
                    self._edit(frame)
            await self._client.drain()

    def _edit(self, frame: Frame) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY}:
            self._client.write(frame.serialize(mask=False))
            return
        self._opcode = frame.opcode
        for payload in self._editor.edit(bytes(frame.data)):
            self._write(payload)


class FrameProxy:
    """A running proxy; its methods may be called in any thread.

    Attributes:
        url: of the proxy, without a path.
    """

    def __init__(self, upstream: str, framing: Framing) -> None:
        """Start the proxy.

        Args:
            upstream: URL of the server; its path does not matter.
            framing: of the server.
        """
        self._upstream = urlsplit(upstream)
        self._framing = framing
        self._plan = FaultPlan()
        self._links: set[asyncio.Task[None]] = set()
        self._problems: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="frame proxy")
        self._thread.start()
        self._listener = self._wait_for(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def start_plan(self, faults: Sequence[Fault]) -> None:
        """Start a plan of faults."""
        self._call(lambda: self._plan.start(faults))

    def release(self) -> None:
        """Make the held deliveries."""
        self._call(self._plan.release)

    def is_settled(self, pairs: int, deliveries: int) -> bool:
        """Return whether that many pairs had that many deliveries since the start, and only held ones are open."""
        return self._call(lambda: self._plan.is_settled(pairs, deliveries))

    @property
    def done(self) -> Planted:
        """What was done so far."""
        return self._call(lambda: copy(self._plan.done))

    def close(self) -> None:
        """Close all connections, end the thread, and raise what failed in it."""
        self._wait_for(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not self._problems, self._problems

    async def _close(self) -> None:
        self._listener.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._wait_for(call())

    def _wait_for(self, result: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(result, self._loop).result(CALL_SECONDS)

    async def _serve(self, reader: StreamReader, client: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await self._relay(reader, client)
        except asyncio.CancelledError:
            pass  # by `close`; the server of asyncio would log it
        finally:
            self._links.discard(task)
            client.close()

    async def _relay(self, reader: StreamReader, client: StreamWriter) -> None:
        """Relay until the client or the server ends; then end the other one in the same way, by a close or a reset."""
        try:
            from_server, server = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        except OSError:
            return
        directions = [
            asyncio.create_task(Link(self._plan, self._framing, client).relay(from_server)),
            asyncio.create_task(_pump(reader, server)),
        ]
        try:
            ended, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            problems = [problem for task in ended if (problem := task.exception()) is not None]
            if any(isinstance(problem, ConnectionError) for problem in problems):
                _reset(client)
                _reset(server)
            self._problems += [one for one in problems if not isinstance(one, (ConnectionError, EOFError))]
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            server.close()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(READ_BYTES):
        writer.write(data)
        await writer.drain()


def _reset(writer: StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@contextmanager
def frame_proxy(upstream: str, framing: Framing) -> Iterator[FrameProxy]:
    """Run a proxy in front of a server."""
    proxy = FrameProxy(upstream, framing)
    try:
        yield proxy
    finally:
        proxy.close()
