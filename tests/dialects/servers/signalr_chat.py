"""A SignalR hub on aiosignalr, with the methods that Microsoft's documentation uses for groups.

aiosignalr sends JSON in binary frames. ASP.NET Core sends it in text frames, and Microsoft's JavaScript client accepts
only those: `--text-frames`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiosignalr.errors import HubException
from aiosignalr.server import Hub, ServerOptions, SignalRServer, aiohttp_server

from tests.dialects.servers.serving import Counts, flags, listening_socket, print_warnings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

PATH = "/chat"


def make_hub(options: argparse.Namespace, counts: Counts) -> type[Any]:
    """Return the class of the hub, whose public methods clients may invoke."""
    rooms: defaultdict[str, set[str]] = defaultdict(set)

    async def on_connected(self: Any) -> None:
        counts.clients += 1

    async def on_disconnected(self: Any, exception: BaseException | None) -> None:
        counts.clients -= 1
        for members in rooms.values():
            members.discard(self.context.connection_id)
        counts.members = sum(map(len, rooms.values()))

    async def join(self: Any, room: str) -> None:
        if room == options.refuse_room:
            raise HubException("forbidden")
        await self.groups.add(room)
        rooms[room].add(self.context.connection_id)
        counts.members += 1
        if options.never_acknowledge:
            await asyncio.Event().wait()

    async def leave(self: Any, room: str) -> None:
        await self.groups.remove(room)
        rooms[room].discard(self.context.connection_id)
        counts.members -= 1

    async def say(self: Any, room: str, text: str) -> None:
        own = self.context.connection_id
        if own not in rooms[room]:
            raise HubException("not a member")
        receivers = self.clients.others_in_group(room) if options.no_echo else self.clients.group(room)
        counts.messages += 1
        counts.deliveries += len(rooms[room]) - options.no_echo
        await receivers.send(options.receive_target, room, text)

    methods = {
        "on_connected": on_connected,
        "on_disconnected": on_disconnected,
        options.join_target: join,
        options.leave_target: leave,
        options.say_target: say,
    }
    return type("ChatHub", (Hub,), methods)


def make_app(options: argparse.Namespace) -> web.Application:
    """Return the application: the hub, and the counts."""
    counts = Counts()
    keepalive = ServerOptions(keep_alive_interval=options.ping_seconds, client_timeout_interval=options.timeout_seconds)
    app: web.Application = SignalRServer(make_hub(options, counts), options=keepalive).create_application(path=PATH)

    @web.middleware
    async def check_token(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("access_token")
        if request.path.startswith(PATH) and options.token not in (None, token):
            raise web.HTTPUnauthorized
        return await handler(request)

    async def show_counts(request: web.Request) -> web.Response:
        return web.json_response(asdict(counts))

    app.middlewares.append(check_token)
    app.router.add_get("/counts", show_counts)
    return app


async def send_text(self: Any, data: bytes) -> None:
    """Send a frame as text."""
    await self._ws.send_str(data.decode())


def main() -> None:
    """Serve until a signal."""
    parser = flags()
    parser.add_argument("--no-echo", action="store_true", help="do not send a message to its sender")
    parser.add_argument("--text-frames", action="store_true", help="send text frames, as ASP.NET Core does")
    parser.add_argument("--ping-seconds", type=float, default=15)
    parser.add_argument("--timeout-seconds", type=float, default=30, help="close a client that is silent for so long")
    parser.add_argument("--join-target", default="AddToGroup")
    parser.add_argument("--leave-target", default="RemoveFromGroup")
    parser.add_argument("--say-target", default="SendMessage")
    parser.add_argument("--receive-target", default="ReceiveMessage")
    options = parser.parse_args()
    print_warnings()
    if options.text_frames:
        aiohttp_server._AiohttpSocket.send_bytes = send_text
    listener = listening_socket(options.port)
    web.run_app(make_app(options), sock=listener, print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
