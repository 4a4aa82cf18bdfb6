"""Who may upgrade: path, origin, identity, room for one more; every refusal is counted and explained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from server.http import Answer, plain
from server.limits import accountable_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.http11 import Request

    from server.endpoints import Path
    from server.http import Router
    from server.identity import Identity
    from server.limits import Admission, Network
    from server.stats import ServerStats


@dataclass(frozen=True, slots=True)
class Admitted:
    """One who may upgrade.

    Attributes:
        path: what it asked for.
        target: the same as it stands in the request, without a query.
        address: what it is counted under, to be released when it goes.
        username: who it is, where that is proven.
    """

    path: Path
    target: str
    address: str
    username: str | None


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Answer requests for pages, and decide on requests to upgrade.

    Attributes:
        router: the pages.
        upgrades: WebSocket paths.
        origins: allowed values of the Origin header, `*` standing for any characters; empty: any origin.
        require_origin: whether a client without that header, which no browser is, is refused.
        proxies: networks whose X-Forwarded-For is believed.
        identity: proves who a client is; None: nobody needs to.
    """

    router: Router
    upgrades: Mapping[str, Path]
    admission: Admission
    stats: ServerStats
    clock: Callable[[], float]
    origins: tuple[str, ...] = ()
    require_origin: bool = False
    proxies: tuple[Network, ...] = ()
    identity: Identity | None = None

    def largest_message(self, path: str) -> int:
        """Return the size limit of a path, in bytes; 0 where nothing is served."""
        upgrade = self.upgrades.get(path.partition("?")[0])
        return upgrade.max_size if upgrade is not None else 0

    def judge(self, request: Request, peer: str) -> Answer | Admitted:
        """Return the answer to a request, or that it may upgrade; then it is counted as inside."""
        if not _wants_upgrade(request):
            return self.router.answer(request)
        target = request.path.partition("?")[0]
        path = self.upgrades.get(target)
        if path is None:
            return self._refuse("not_found", plain(HTTPStatus.NOT_FOUND, "No WebSocket is served on this path"))
        if not self._is_allowed(request.headers.get_all("Origin")):
            return self._refuse("origin", plain(HTTPStatus.FORBIDDEN, "This origin is not allowed"))
        username = None
        if self.identity is not None:
            username = self.identity.username(request)
            if username is None:
                challenge = {"WWW-Authenticate": "Bearer"}
                return self._refuse(
                    "unauthorized", Answer(HTTPStatus.UNAUTHORIZED, b"A valid token is needed\n", headers=challenge)
                )
        address = accountable_address(peer, request.headers.get_all("X-Forwarded-For"), self.proxies)
        refusal = self.admission.admit(address, self.clock())
        if refusal is not None:
            retry = {"Retry-After": str(refusal.retry_after)}
            return self._refuse(refusal.label, Answer(refusal.status, f"{refusal.text}\n".encode(), headers=retry))
        return Admitted(path, target, address, username)

    def dismiss(self, admitted: Admitted) -> None:
        """Take back an admission whose handshake turned out to be wrong."""
        self.admission.release(admitted.address)
        self.stats.handshakes_rejected["bad_request"] += 1

    def _refuse(self, label: str, answer: Answer) -> Answer:
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


def _wants_upgrade(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket rather than for a page (RFC 6455, section 4.1)."""
    return any("websocket" in value.lower() for value in request.headers.get_all("Upgrade"))
