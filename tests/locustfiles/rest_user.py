"""Users of `tests/promises/rest_service.py`: they log in, join and send over HTTP, and receive over a WebSocket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from locust import constant, task

from stampede import ChatUser, Credentials, Dialect

if TYPE_CHECKING:
    from locust.contrib.fasthttp import FastResponse


class RestDialect(Dialect):
    """Messages come over the WebSocket as JSON with a stamp somewhere; nothing is sent over it."""

    name = "rest"
    echoes = "REST_ECHO" in os.environ


class RestUser(ChatUser):
    """Sends a message to one of its rooms every half second."""

    dialect = RestDialect()
    wait_time = constant(0.5)

    def login(self) -> Credentials:
        """Log in and connect with the token in the query."""
        user = self.account["user"]
        password = self.account.get("password", f"secret of {user}")
        answer = self.http.post("/login", json={"user": user, "password": password}, name="login")
        if not answer.ok:
            raise PermissionError(f"login refused with status {answer.status_code}")
        self.token = answer.json()["token"]
        return Credentials(query={"token": self.token})

    def join_room(self, room: str) -> bool:
        """Create the room and become a member of it."""
        self.post_json("/rooms", {"name": room}, "create room")
        return self.post_json(f"/rooms/{room}/members", {}, "join room").status_code == 200

    def send_message(self, room: str, text: str) -> bool:
        """Send a message by a POST request."""
        return self.post_json(f"/rooms/{room}/messages", {"text": text}, "send message").status_code == 202

    def post_json(self, path: str, body: dict[str, Any], name: str) -> FastResponse:
        """Send a JSON body with the user's token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.http.post(path, json=body, headers=headers, name=name)

    @task
    def talk(self) -> None:
        """Send a message to one of the rooms."""
        self.chat.say(room=self.rng("rooms").choice(self.chat.rooms))
