"""A double of Phoenix Channels with the chat of Phoenix's guide, in the format 2.0.0.

A socket replies to each join, leave and heartbeat, but the guide's channel replies to no `new_msg`. A broadcast has
neither `join_ref` nor `ref`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.dialects.servers.asgi import serve
from tests.dialects.servers.double import ProtocolError, Session, make_app
from tests.dialects.servers.serving import flags

if TYPE_CHECKING:
    import argparse

    from starlette.websockets import WebSocket

    from tests.dialects.servers.double import Hub

PATH = "/socket/websocket"
PREFIX = "room:"


class Socket(Session):
    """A socket with its channels."""

    def __init__(self, hub: Hub, options: argparse.Namespace, websocket: WebSocket) -> None:
        super().__init__(hub, options, websocket)
        self._join_refs: dict[str, str] = {}  # by topic

    def accepts(self) -> bool:
        """Return whether version and token are right; `connect/3` of the guide returns `:error` for a wrong token."""
        query = self.websocket.query_params
        return query.get("vsn") == "2.0.0" and self.options.token in (None, query.get("token"))

    def receive(self, text: str) -> None:
        """Handle an array of five values."""
        message = json.loads(text)
        if not isinstance(message, list) or len(message) != 5:
            raise ProtocolError(f"expected [join_ref, ref, topic, event, payload], not {text}")
        join_ref, ref, topic, event, payload = message
        if not isinstance(ref, str) or not isinstance(payload, dict):
            raise ProtocolError(f"expected a text as ref and an object as payload: {text}")
        if (topic, event) == ("phoenix", "heartbeat"):
            self._reply(None, ref, topic, {})
        elif event == "phx_join":
            self._join(join_ref, ref, topic)
        elif event == "phx_leave":
            self._leave(join_ref, ref, topic)
        elif topic not in self._join_refs:
            self._reply(None, ref, topic, {"reason": "unmatched topic"}, "error")
        elif join_ref != self._join_refs[topic]:
            raise ProtocolError(f"expected the join_ref {self._join_refs[topic]}: {text}")
        elif event == self.options.say_event:
            self.hub.publish(topic, json.dumps([None, None, topic, event, {"body": payload["body"]}]))
            if self.options.reply:
                self._reply(join_ref, ref, topic, payload)
        else:
            raise ProtocolError(f"no such event: {text}")

    def _join(self, join_ref: str | None, ref: str, topic: str) -> None:
        if join_ref != ref:
            raise ProtocolError(f"expected a join with its ref {ref} as join_ref, not {join_ref}")
        if not topic.startswith(PREFIX) or topic in self._join_refs:
            raise ProtocolError(f"no join of {topic} is possible")
        if self.options.never_acknowledge:
            return
        if topic == f"{PREFIX}{self.options.refuse_room}":
            self._reply(ref, ref, topic, {"reason": "unauthorized"}, "error")
            return
        self._join_refs[topic] = ref
        self.hub.join(topic, self)
        self._reply(ref, ref, topic, {})

    def _leave(self, join_ref: str, ref: str, topic: str) -> None:
        """Leave a topic, unless the request is about an earlier join."""
        if self._join_refs.get(topic, join_ref) != join_ref:
            return
        self._reply(join_ref, ref, topic, {})
        if self._join_refs.pop(topic, None) is not None:
            self.hub.leave(topic, self)
            self.send(json.dumps([join_ref, join_ref, topic, "phx_close", {}]))

    def _reply(self, join_ref: str | None, ref: str, topic: str, response: dict[str, Any], status: str = "ok") -> None:
        self.send(json.dumps([join_ref, ref, topic, "phx_reply", {"status": status, "response": response}]))


if __name__ == "__main__":
    parser = flags()
    parser.add_argument("--say-event", default="new_msg", help="name of the event of a chat message")
    parser.add_argument("--reply", action="store_true", help="reply to each message with its payload")
    options = parser.parse_args()
    serve(make_app(PATH, Socket, options), options.port)
