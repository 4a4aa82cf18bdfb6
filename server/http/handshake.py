"""Who may upgrade: path, origin, identity, room for one more; every refusal is counted and explained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from websockets.frames import Close, Frame, Opcode

from server.errors import CloseReason, TokenError, TokenFault
from server.http.admission import accountable_address
from server.http.parser import path_of
from server.http.response import HttpResponse, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.http11 import Request

    from server.http.admission import Admission, Network
    from server.http.auth import Identity
    from server.http.response import Router
    from server.stats import ServerStats
    from server.websocket.endpoints import Route


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Admitted:
    """One who may upgrade.

    Attributes:
        route: what it asked for.
        target: the same as it stands in the request, without a query.
        address: what it is counted under, to be released when it goes.
        username: who it is, where that is proven.
    """

    route: Route
    target: str
    address: str
    username: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A browser whose token is refused: its upgrade is accepted, since it sees nothing of a refused one, then closed.

    Attributes:
        fault: why.
    """

    fault: TokenFault

    @property
    def close_frame(self) -> bytes:
        """The only frame that it gets."""
        close = Close(CloseReason.POLICY.code, f"{self.fault.code}: {self.fault.message}")
        return Frame(Opcode.CLOSE, close.serialize()).serialize(mask=False)


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """Answer requests for pages, and decide on requests to upgrade.

    Attributes:
        router: the pages.
        routes: WebSocket paths.
        origins: allowed values of the Origin header, `*` standing for any characters; empty: any origin.
        require_origin: whether a client without that header, which no browser is, is refused.
        proxies: networks whose X-Forwarded-For is believed.
        identity: proves who a client is; None: nobody needs to.
    """

    router: Router
    routes: Mapping[str, Route]
    admission: Admission
    stats: ServerStats
    clock: Callable[[], float]
    origins: tuple[str, ...] = ()
    require_origin: bool = False
    proxies: tuple[Network, ...] = ()
    identity: Identity | None = None

    def judge(self, request: Request, peer: str) -> HttpResponse | Admitted | Rejected:
        """Return the answer to a request, or that it may upgrade; then it is counted as inside."""
        target = path_of(request.path)
        route = self.routes.get(target)
        if not _wants_upgrade(request):
            return self.router.answer(request, target, is_websocket=route is not None)
        if route is None:
            return self._refuse("not_found", plain(HTTPStatus.NOT_FOUND, "No WebSocket is served on this path"))
        if not self._is_allowed(request.headers.get_all("Origin")):
            return self._refuse("origin", plain(HTTPStatus.FORBIDDEN, "This origin is not allowed"))
        username = None
        if self.identity is not None:
            try:
                username = self.identity.username(request)
            except TokenError as error:
                return self._refuse("unauthorized", _refused_token(request, error.fault))
        address = accountable_address(peer, request.headers.get_all("X-Forwarded-For"), self.proxies)
        refusal = self.admission.admit(address, self.clock())
        if refusal is not None:
            retry = {"Retry-After": str(refusal.retry_after)}
            return self._refuse(refusal.label, plain(refusal.status, refusal.text, headers=retry))
        return Admitted(route, target, address, username)

    def dismiss(self, verdict: Admitted | Rejected) -> None:
        """Take back a verdict on a handshake that turned out to be malformed."""
        if isinstance(verdict, Rejected):
            return  # it is counted as that
        self.admission.release(verdict.address)
        self.stats.handshakes_rejected["bad_request"] += 1

    def _refuse(self, label: str, answer: T) -> T:
        self.stats.handshakes_rejected[label] += 1
        return answer

    def _is_allowed(self, origins: list[str]) -> bool:
        if not self.origins:
            return True
        if not origins:
            return not self.require_origin
        return len(origins) == 1 and any(_matches(pattern, origins[0]) for pattern in self.origins)


def _matches(pattern: str, origin: str) -> bool:
    """Compare an origin with a pattern: scheme and host are the same in any case (RFC 6454, section 4)."""
    expression = ".*".join(re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(expression, origin.lower()) is not None


def _refused_token(request: Request, fault: TokenFault) -> HttpResponse | Rejected:
    """Return how to refuse a token: so that a browser sees it, or as RFC 6750, section 3 says."""
    if "Origin" in request.headers and "Authorization" not in request.headers:  # a header that no page can set
        return Rejected(fault)
    challenge = "Bearer"
    if fault is not TokenFault.MISSING:
        challenge += f' error="invalid_token", error_description="{fault.message}"'
    return plain(HTTPStatus.UNAUTHORIZED, fault.message, headers={"WWW-Authenticate": challenge})


def _wants_upgrade(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket rather than for a page (RFC 6455, section 4.1; RFC 9110, 7.8)."""
    is_able = request.method == "GET" and request.protocol == "HTTP/1.1"
    return is_able and any("websocket" in value.lower() for value in request.headers.get_all("Upgrade"))
