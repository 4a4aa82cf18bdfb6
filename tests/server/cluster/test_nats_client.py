"""The fast path parses like the library, for every division into chunks; the private parts of nats-py exist."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import AWAITING_CONTROL_LINE

from server.cluster.nats_client import FastPathProtocol, NatsClient
from tests.promises.certificates import Authority
from tests.server.cluster.fixtures import Nats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


class RecordingClient(NatsClient):
    """A client without a connection that records the commands in the bytes it is fed."""

    def __init__(self) -> None:
        super().__init__(lambda _subject, _payload: None)
        self.found: list[tuple[object, ...]] = []
        self._transport = transport = TcpTransport()  # type: ignore[no-untyped-call] # the library's
        self._reader = transport._io_reader = asyncio.StreamReader()
        self._protocol = FastPathProtocol(self, asyncio.StreamReaderProtocol(self._reader))

    async def feed(self, chunk: bytes, *, by_library: bool, is_late: bool = False) -> None:
        """Feed bytes to the fast path, or only to the library's parser; the library may read its bytes later."""
        if by_library:
            await self._ps.parse(chunk)
            return
        self._protocol.data_received(chunk)
        if not is_late:
            await self.read()

    async def read(self) -> None:
        """Let the library read its bytes, as its own loop does."""
        if self._reader._buffer:  # type: ignore[attr-defined] # private
            await self._ps.parse(await self._reader.read(1 << 20))

    def receive(self, sid: int, subject: bytes, payload: bytes) -> None:
        self.found.append((sid, bytes(subject), payload))

    async def _process_ping(self) -> None:
        self.found.append(("PING",))

    async def _process_pong(self) -> None:
        self.found.append(("PONG",))


def commands_in(chunks: list[bytes], late: list[bool], *, by_library: bool) -> list[tuple[object, ...]]:
    async def feed() -> list[tuple[object, ...]]:
        client = RecordingClient()
        for chunk, is_late in itertools.zip_longest(chunks, late, fillvalue=False):
            await client.feed(bytes(chunk), by_library=by_library, is_late=bool(is_late))
        await client.read()
        return client.found

    return asyncio.run(feed())


@given(
    st.lists(MESSAGES | MESSAGES | WITH_REPLY | WITH_HEADERS | OTHERS, max_size=12),
    st.lists(st.integers(0, 600), max_size=8),
    st.lists(st.booleans(), max_size=9),
)
def test_all_commands_are_parsed_in_order(commands: list[bytes], cuts: list[int], late: list[bool]) -> None:
    stream = b"".join(commands)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    found = commands_in(chunks, late[: len(chunks)], by_library=False)
    assert found == commands_in(chunks, [], by_library=True)
    assert len(found) == sum(command != b"+OK\r\n" for command in commands)


def test_a_plain_message_is_delivered_at_once_for_every_cut() -> None:
    message = b"MSG stampede.room.1 7 2\r\nhi\r\n"

    async def feed() -> None:
        client = RecordingClient()
        for cut in range(len(b"MSG "), len(message)):
            await client.feed(message[:cut], by_library=False, is_late=True)
            await client.feed(message[cut:], by_library=False, is_late=True)
            assert client.found.pop() == (7, b"stampede.room.1", b"hi")
            assert not client.is_reading

    asyncio.run(feed())


def test_flush_returns_after_the_server_got_the_subscriptions() -> None:
    """The library's own PING would be sent before the SUBs, so that its PONG would not confirm them."""
    commands: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1048576}\r\n')
        while line := await reader.readline():
            commands.append(line.partition(b" ")[0].strip())
            if commands[-1] == b"PING":
                writer.write(b"PONG\r\n")
        writer.close()

    async def talk() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            client = NatsClient(print)
            await client.connect(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            for subject in ("s", "t"):
                await client.subscribe(subject)
            await client.flush()
            await client.close()

    asyncio.run(talk())
    assert commands == [b"CONNECT", b"PING", b"SUB", b"SUB", b"PING"]


@pytest.mark.parametrize("scheme", ["nats", "tls"])
def test_the_fast_path_works_on_a_real_connection_and_after_a_reconnect(scheme: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ("--tls", "--tlscert", str(authority.certificate), "--tlskey", str(authority.key)) if scheme == "tls" else ()
    nats = Nats(*tls)
    options: dict[str, Any] = {"tls": authority.trust} if tls else {}

    async def talk() -> None:
        received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        reconnected: asyncio.Queue[None] = asyncio.Queue()

        async def on_reconnect() -> None:
            reconnected.put_nowait(None)

        client, other = NatsClient(lambda subject, payload: received.put_nowait((subject, payload))), NatsClient(print)
        for each in (client, other):
            await each.connect(
                nats.url, max_reconnect_attempts=-1, reconnect_time_wait=0, reconnected_cb=on_reconnect, **options
            )
        await client.subscribe("s")
        await client.flush()
        for number in range(2):
            assert isinstance(client._bare_transport.get_protocol(), FastPathProtocol)
            assert other.publish_now([("s", b"one %d" % number), ("t", b""), ("s", b"\r\n" * 100_000)])
            assert await received.get() == ("s", b"one %d" % number)
            assert await received.get() == ("s", b"\r\n" * 100_000)
            if not number:
                nats.kill()
                await asyncio.to_thread(nats.start)
                for _ in (client, other):
                    await reconnected.get()
                await client.flush()
        for each in (client, other):
            await each.close()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(talk(), 60))
    finally:
        nats.kill()


def test_the_private_parts_of_nats_py_that_the_client_uses_exist() -> None:
    client, transport = Client(), TcpTransport()  # type: ignore[no-untyped-call] # the library's
    attributes: dict[object, dict[str, object]] = {
        client: {"_transport": None, "_subs": {}, "_pending": [], "_pending_data_size": 0, "_reconnection_task": None},
        client._ps: {"buf": b"", "state": AWAITING_CONTROL_LINE},
        transport: {"_io_reader": None, "_io_writer": None},
    }
    for owner, initial in attributes.items():
        assert {name: getattr(owner, name) for name in initial} == initial
    methods: dict[Callable[..., Any], list[str]] = {
        Client._attempt_reconnect: ["self"],
        Client._process_connect_init: ["self"],
        Client._process_err: ["self", "err_msg"],
        Client._process_msg: ["self", "sid", "subject", "reply", "data", "headers"],
        Client._process_op_err: ["self", "e"],
        Client._send_ping: ["self", "future"],
    }
    for method, parameters in methods.items():
        assert list(inspect.signature(method).parameters) == parameters
        assert inspect.iscoroutinefunction(method)
