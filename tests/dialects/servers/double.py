"""What the doubles of servers share that no public package provides: connections, rooms and counts.

A double implements a protocol by its documents. It prints a warning, which fails the test, for each message that the
documents do not allow.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.dialects.servers.serving import Counts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from starlette.requests import Request

logger = logging.getLogger("double")


class ProtocolError(Exception):
    """A client sent what the protocol does not allow."""


class Hub:
    """The rooms and their members."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._members: defaultdict[str, set[Session]] = defaultdict(set)

    def join(self, room: str, session: Session) -> None:
        """Add a member to a room."""
        self._members[room].add(session)
        self.counts.members += 1

    def leave(self, room: str, session: Session) -> None:
        """Remove a member from a room."""
        self._members[room].remove(session)
        self.counts.members -= 1

    def leave_all(self, session: Session) -> None:
        """Remove a closed connection from its rooms."""
        for room, members in self._members.items():
            if session in members:
                self.leave(room, session)

    def has(self, room: str, session: Session) -> bool:
        """Return whether a connection is in a room."""
        return session in self._members[room]

    def publish(self, room: str, text: str, sender: Session | None = None) -> None:
        """Send a text to the members of a room, without its sender if that is given."""
        receivers = self._members[room] - {sender}
        self.counts.messages += 1
        self.counts.deliveries += len(receivers)
        for member in receivers:
            member.send(text)


class Session:
    """A connection.

    Args:
        hub: the rooms.
        options: flags of the double.
        websocket: the connection; handlers read its query and path.

    Attributes:
        separator: put between the messages of a frame; None to send each in a frame of its own.
    """

    separator: str | None = None

    def __init__(self, hub: Hub, options: argparse.Namespace, websocket: WebSocket) -> None:
        self.hub = hub
        self.options = options
        self.websocket = websocket
        self._unsent: asyncio.Queue[str | tuple[int, str]] = asyncio.Queue()

    def accepts(self) -> bool:
        """Return whether the upgrade request is accepted; otherwise the response has the status 403."""
        return True

    def open(self) -> None:
        """Begin the conversation."""

    def receive(self, text: str) -> None:
        """Handle a message of the client.

        Raises:
            ProtocolError: the protocol does not allow it.
        """
        raise NotImplementedError

    def send(self, text: str) -> None:
        """Send a message."""
        self._unsent.put_nowait(text)

    def close(self, code: int, reason: str) -> None:
        """Close the connection after the messages that are still unsent."""
        self._unsent.put_nowait((code, reason))

    async def run(self) -> None:
        """Serve the connection until its end."""
        if not self.accepts():
            await self.websocket.close()
            return
        await self.websocket.accept()
        self.hub.counts.clients += 1
        writer = asyncio.create_task(self._write())
        try:
            self.open()
            while True:
                self.receive(await self.websocket.receive_text())
        except ProtocolError as error:
            logger.warning("%s", error)
        except WebSocketDisconnect:
            pass
        finally:
            writer.cancel()
            self.hub.leave_all(self)
            self.hub.counts.clients -= 1

    async def _write(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the client has gone
            while True:
                message = await self._unsent.get()
                if isinstance(message, tuple):
                    await self.websocket.close(*message)
                    return
                await self.websocket.send_text(self._with_further(message))

    def _with_further(self, text: str) -> str:
        """Return a message with those that wait behind it, if a frame may contain several."""
        texts = [text]
        while self.separator is not None and not self._unsent.empty():
            message = self._unsent.get_nowait()
            if isinstance(message, tuple):
                self._unsent.put_nowait(message)
                break
            texts.append(message)
        return (self.separator or "").join(texts)


def make_app(path: str, session: type[Session], options: argparse.Namespace, routes: Sequence[Route] = ()) -> Starlette:
    """Return the application of a double.

    Args:
        path: of the WebSocket endpoint.
        session: handles a connection.
        options: flags.
        routes: further HTTP endpoints; the rooms are `hub` in the application's state.
    """
    hub = Hub()

    async def show_counts(request: Request) -> JSONResponse:
        return JSONResponse(asdict(hub.counts))

    async def connect(websocket: WebSocket) -> None:
        await session(hub, options, websocket).run()

    app = Starlette(routes=[Route("/counts", show_counts), WebSocketRoute(path, connect), *routes])
    app.state.hub = hub
    return app
