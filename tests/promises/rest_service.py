"""A chat service as people build it with FastAPI: login, rooms and sending over HTTP, receiving over a WebSocket.

python -m tests.promises.rest_service PORT [--echo]
"""

from __future__ import annotations

import argparse
import itertools
import secrets
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, WebSocket, WebSocketDisconnect, status
from pydantic import BaseModel

UNAUTHORIZED = 4401


class Login(BaseModel):
    """A user's name and password."""

    user: str
    password: str


class NewRoom(BaseModel):
    """A room to create."""

    name: str


class NewMessage(BaseModel):
    """A chat message."""

    text: str


@dataclass
class Service:
    """The state of the service.

    Attributes:
        echo: whether a sender receives its own messages.
        lose: every n-th message is delivered to no member; 0 for none.
        tokens: valid tokens, and their users.
    """

    echo: bool = False
    lose: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, set[str]] = field(default_factory=dict)
    sockets: dict[str, WebSocket] = field(default_factory=dict)
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


def authorized(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    """Return the user of a request."""
    service: Service = request.app.state.service
    user = service.tokens.get(authorization.removeprefix("Bearer "))
    if user is None:
        service.counts["refused"] += 1
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "invalid token")
    return user


User = Annotated[str, Depends(authorized)]


def make_app(service: Service) -> FastAPI:  # noqa: C901 # a function for each route
    """Return the service's application."""
    app = FastAPI()
    app.state.service = service

    @app.post("/login")
    async def login(form: Login) -> dict[str, str]:
        if form.password != f"secret of {form.user}":
            service.counts["rejected"] += 1
            raise HTTPException(status.HTTP_403_FORBIDDEN, "wrong password")
        service.counts["logins"] += 1
        token = secrets.token_urlsafe(16)
        service.tokens[token] = form.user
        return {"token": token}

    @app.post("/rooms", status_code=status.HTTP_201_CREATED)
    async def create(room: NewRoom, user: User) -> NewRoom:  # noqa: ARG001 # only users may create rooms
        service.rooms.setdefault(room.name, set())
        return room

    @app.post("/rooms/{room}/members")
    async def join(room: str, user: User) -> dict[str, int]:
        if room not in service.rooms:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "no such room")
        service.rooms[room].add(user)
        return {"members": len(service.rooms[room])}

    @app.post("/rooms/{room}/messages", status_code=status.HTTP_202_ACCEPTED)
    async def send(room: str, message: NewMessage, user: User) -> dict[str, Any]:
        number = next(service.numbers)
        service.counts["messages"] += 1
        body = {"event": "message", "data": {"id": number, "room": room, "from": user, "body": message.text}}
        is_lost = service.lose and number % service.lose == 0
        for member in sorted(service.rooms.get(room, ())):
            socket = service.sockets.get(member)
            if socket is None or (member == user and not service.echo):
                continue
            if is_lost:
                service.counts["withheld"] += 1
                continue
            with suppress(WebSocketDisconnect, RuntimeError):  # the connection is lost, or closed by `expire`
                await socket.send_json(body)
                service.counts["delivered"] += 1
        return {"id": number}

    @app.get("/counts")
    async def counts() -> dict[str, int]:
        return service.counts | {"sockets": len(service.sockets)}

    @app.post("/lose/{nth}")
    async def lose(nth: int) -> None:
        """Deliver every n-th message to no member from now on; 0 to deliver all."""
        service.lose = nth

    @app.post("/expire")
    async def expire() -> None:
        """Make all tokens invalid and close all connections."""
        service.tokens.clear()
        for socket in list(service.sockets.values()):
            await socket.close(UNAUTHORIZED, "token expired")

    @app.websocket("/ws")
    async def receive(socket: WebSocket, token: str = "") -> None:
        user = service.tokens.get(token)
        if user is None:
            await socket.close()  # before accept: the upgrade request is answered with 403
            return
        await socket.accept()
        service.sockets[user] = socket
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            if service.sockets.get(user) is socket:
                del service.sockets[user]
                for members in service.rooms.values():
                    members.discard(user)

    return app


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--echo", action="store_true")
    options = parser.parse_args()
    app = make_app(Service(options.echo))
    uvicorn.run(app, host="127.0.0.1", port=options.port, ws="websockets-sansio", log_level="warning")


if __name__ == "__main__":
    main()
