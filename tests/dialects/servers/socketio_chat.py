"""A chat on python-socketio: it behaves as socketio_server.mjs does."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import socketio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.serving import Counts, flags

if TYPE_CHECKING:
    import argparse

    from starlette.requests import Request


def make_app(options: argparse.Namespace) -> socketio.ASGIApp:
    """Return the application: Socket.IO, and the counts."""
    for name in ("socketio.server", "engineio.server"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sio = socketio.AsyncServer(async_mode="asgi", ping_interval=options.ping_seconds)
    counts = Counts()

    def members(room: str) -> set[str]:
        return {sid for sid, _ in sio.manager.get_participants("/", room)}

    async def answer(value: dict[str, Any]) -> dict[str, Any]:
        if options.never_acknowledge:
            await asyncio.Event().wait()
        return value

    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any] | None) -> None:
        if options.token is not None and (auth or {}).get("token") != options.token:
            raise socketio.exceptions.ConnectionRefusedError("invalid token")
        counts.clients += 1

    async def disconnect(sid: str, reason: str) -> None:
        counts.clients -= 1

    async def join(sid: str, room: str) -> dict[str, Any]:
        if room == options.refuse_room:
            return await answer({"error": "forbidden"})
        await sio.enter_room(sid, room)
        return await answer({"joined": room})

    async def leave(sid: str, room: str) -> dict[str, Any]:
        await sio.leave_room(sid, room)
        return await answer({"left": room})

    async def say(sid: str, data: dict[str, str]) -> dict[str, Any]:
        room = data["room"]
        receivers = members(room)
        if sid not in receivers:
            return await answer({"error": "not a member"})
        counts.messages += 1
        counts.deliveries += len(receivers) - (not options.echo)
        skipped = None if options.echo else sid
        await sio.emit(options.receive_event, data, room=room, skip_sid=skipped)
        return await answer({"sent": True})

    async def show_counts(request: Request) -> JSONResponse:
        rooms = sio.manager.rooms.get("/", {})
        own = {sid for sid, _ in sio.manager.get_participants("/", None)}
        counts.members = sum(len(sids) for room, sids in rooms.items() if room is not None and room not in own)
        return JSONResponse(asdict(counts))

    sio.on("connect", connect)
    sio.on("disconnect", disconnect)
    sio.on(options.join_event, join)
    sio.on(options.leave_event, leave)
    sio.on(options.say_event, say)
    return socketio.ASGIApp(sio, Starlette(routes=[Route("/counts", show_counts)]))


def main() -> None:
    """Serve until a signal."""
    parser = flags()
    parser.add_argument("--echo", action="store_true", help="send a message to its sender, too")
    parser.add_argument("--ping-seconds", type=float, default=25)
    parser.add_argument("--join-event", default="join")
    parser.add_argument("--leave-event", default="leave")
    parser.add_argument("--say-event", default="message")
    parser.add_argument("--receive-event", default="message")
    options = parser.parse_args()
    serve(make_app(options), options.port)


if __name__ == "__main__":
    main()
