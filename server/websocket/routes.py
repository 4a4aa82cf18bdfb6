"""The paths that accept WebSockets, and the endpoint that serves each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from server.protocol import messages as wire
from server.websocket.endpoints import ChatEndpoint, EchoEndpoint, NotificationsEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.settings import Settings
    from server.websocket.context import ServerContext
    from server.websocket.endpoints import Endpoint, Peer

MAX_ECHO_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint of a path, and its size limit.

    Attributes:
        endpoint: makes the endpoint from the connection, the context and the username that a token proves.
        max_size: bytes of the largest message, all fragments together.
    """

    endpoint: Callable[[Peer, ServerContext, str | None], Endpoint]
    max_size: int


class AcceptedUpgrade(NamedTuple):
    """An upgrade request that the server accepts.

    Attributes:
        route: what is served on the requested path.
        path: the path as requested, without its query.
        address: the address under which limits count the connection.
        username: the name that the token proves; None without tokens.
    """

    route: Route
    path: str
    address: str
    username: str | None


ROUTES: Final = {
    "/": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/chat": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/chat": Route(ChatEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/notifications": Route(NotificationsEndpoint, wire.MAX_FRAME_BYTES),
    "/ws/echo": Route(EchoEndpoint, MAX_ECHO_BYTES),
}


def enabled_routes(settings: Settings) -> dict[str, Route]:
    """Return the routes that the settings leave on."""
    switches = {"/ws/notifications": settings.notifications, "/ws/echo": settings.echo}
    return {path: route for path, route in ROUTES.items() if switches.get(path, True)}
