"""Decide how to answer a request: with a page, an upgrade, or a refusal that is counted and gives its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from websockets.frames import Close, Frame, Opcode

from server.errors import CloseReason, TokenError, TokenFault
from server.http.admission import accountable_address
from server.http.files import file_id_of
from server.http.parser import path_of
from server.http.response import HttpResponse, plain
from server.stats import FILES_PATH
from server.websocket.routes import AcceptedUpgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from websockets.http11 import Request

    from server.http.admission import Admission, Network, Refusal
    from server.http.auth import Authenticator
    from server.http.router import Router
    from server.http.upgrade import UpgradeRequest
    from server.stats import ServerStats
    from server.websocket.routes import Route


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RejectedToken:
    """A browser's upgrade request with a token that is not accepted.

    The upgrade is accepted and then closed, because a page cannot read the response to a refused upgrade.
    """

    fault: TokenFault

    @property
    def close_frame(self) -> bytes:
        """The only frame that is sent."""
        close = Close(CloseReason.POLICY.code, f"{self.fault.code}: {self.fault.message}")
        return Frame(Opcode.CLOSE, close.serialize()).serialize(mask=False)


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request for a stored file, which the client may have.

    Attributes:
        file_id: its id, as requested.
        address: the address under which limits count the download.
    """

    file_id: str
    address: str


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """The pages, files and routes of one listening address, and the conditions for an upgrade or a file.

    Attributes:
        router: the pages.
        routes: the WebSocket paths.
        origins: allowed values of the Origin header, in which `*` matches any characters; empty: any origin.
        require_origin: whether a request without the header, which no browser sends, is refused.
        proxies: networks whose X-Forwarded-For header is trusted.
        authenticator: verifies tokens; None: no token is needed.
        serves_files: whether stored files are served.
    """

    router: Router
    routes: Mapping[str, Route]
    admission: Admission
    stats: ServerStats
    clock: Callable[[], float]
    origins: tuple[str, ...] = ()
    require_origin: bool = False
    proxies: tuple[Network, ...] = ()
    authenticator: Authenticator | None = None
    serves_files: bool = True

    def decide(self, request: Request, peer: str) -> HttpResponse | FileRequest | AcceptedUpgrade | RejectedToken:
        """Return the response to a request, the file to send, or what `decide_upgrade` returns."""
        if _wants_upgrade(request):
            return self.decide_upgrade(request, peer)
        path = path_of(request.path)
        if self.serves_files and (file_id := file_id_of(path)) is not None:
            return self._decide_file(request, file_id, peer)
        return self.router.respond(request, path, is_websocket=path in self.routes)

    def decide_upgrade(
        self, request: Request | UpgradeRequest, peer: str
    ) -> HttpResponse | AcceptedUpgrade | RejectedToken:
        """Return the refusal of an upgrade request, or the upgrade, which is then counted as a connection."""
        path = path_of(request.path)
        route = self.routes.get(path)
        if route is None:
            return self._reject("not_found", plain(HTTPStatus.NOT_FOUND, "This path serves no WebSockets"))
        if self.origins and not self._is_origin_allowed(request.headers.get_all("Origin")):
            return self._reject("origin", plain(HTTPStatus.FORBIDDEN, "This origin is not allowed"))
        username = None
        if self.authenticator is not None:
            try:
                username = self.authenticator.username(request)
            except TokenError as error:
                return self._reject("unauthorized", _reject_token(request, error.fault))
        address = self._address(request, peer)
        refusal = self.admission.admit(address, self.clock())
        if refusal is not None:
            return self._reject(refusal.label, refuse(refusal))
        return AcceptedUpgrade(route, path, address, username)

    def revoke(self, decision: AcceptedUpgrade | RejectedToken) -> None:
        """Undo a decision on a handshake that turned out to be malformed."""
        if isinstance(decision, RejectedToken):
            return  # counted as that already
        self.admission.release(decision.address)
        self.stats.handshakes_rejected["bad_request"] += 1

    def _decide_file(self, request: Request, file_id: str, peer: str) -> HttpResponse | FileRequest:
        """Require the token and the origin of an upgrade; browsers send no Origin with most requests for files."""
        origins = request.headers.get_all("Origin")
        if self.origins and origins and not self._is_origin_allowed(origins):
            return self._refuse_file(plain(HTTPStatus.FORBIDDEN, "This origin is not allowed"))
        if self.authenticator is not None:
            try:
                self.authenticator.username(request)
            except TokenError as error:
                return self._refuse_file(_unauthorized(error.fault))
        return FileRequest(file_id, self._address(request, peer))

    def _refuse_file(self, response: HttpResponse) -> HttpResponse:
        self.stats.count_response(FILES_PATH, response.status)
        return response

    def _address(self, request: Request | UpgradeRequest, peer: str) -> str:
        forwarded = request.headers.get_all("X-Forwarded-For") if self.proxies else ()
        return accountable_address(peer, forwarded, self.proxies)

    def _reject(self, label: str, response: T) -> T:
        self.stats.handshakes_rejected[label] += 1
        return response

    def _is_origin_allowed(self, origins: list[str]) -> bool:
        if not origins:
            return not self.require_origin
        return len(origins) == 1 and any(_matches(pattern, origins[0]) for pattern in self.origins)


def refuse(refusal: Refusal) -> HttpResponse:
    """Return the response to a request that exceeds a limit."""
    return plain(refusal.status, refusal.text, headers={"Retry-After": str(refusal.retry_after)})


def _matches(pattern: str, origin: str) -> bool:
    """Compare an origin with a pattern, ignoring case (RFC 6454, section 4)."""
    expression = ".*".join(re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(expression, origin.lower()) is not None


def _reject_token(request: Request | UpgradeRequest, fault: TokenFault) -> HttpResponse | RejectedToken:
    """Return a rejection that the client can read: for a page a close frame, else as in RFC 6750, section 3."""
    headers = request.headers
    if headers.get_all("Origin") and not headers.get_all("Authorization"):  # a page cannot set that header
        return RejectedToken(fault)
    return _unauthorized(fault)


def _unauthorized(fault: TokenFault) -> HttpResponse:
    challenge = "Bearer"
    if fault is not TokenFault.MISSING:
        challenge += f' error="invalid_token", error_description="{fault.message}"'
    return plain(HTTPStatus.UNAUTHORIZED, fault.message, headers={"WWW-Authenticate": challenge})


def _wants_upgrade(request: Request) -> bool:
    """Return whether a request asks for a WebSocket (RFC 6455, section 4.1; RFC 9110, section 7.8)."""
    is_able = request.method == "GET" and request.protocol == "HTTP/1.1"
    return is_able and any("websocket" in value.lower() for value in request.headers.get_all("Upgrade"))
