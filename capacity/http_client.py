"""Request an HTTP endpoint over a new connection, without proxies or redirects."""

from __future__ import annotations

import base64
import http.client
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlencode, urlsplit

from stampede.redaction import redact

if TYPE_CHECKING:
    import ssl
    from urllib.parse import SplitResult

TIMEOUT_S = 10.0


class HttpError(OSError):
    """The endpoint cannot be reached, or it answered with an unexpected status."""


class HttpTimeoutError(HttpError):
    """The endpoint did not answer in time."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to access a server.

    Attributes:
        host: name of the host that gets the headers; other hosts get none.
        headers: of each request.
        tls: context of https requests; None to verify certificates by those of the system.
    """

    host: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = None


_PLAIN: Final = Access()


def fetch(
    url: str,
    form: dict[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    accepted: tuple[int, ...] = (HTTPStatus.OK,),
    access: Access = _PLAIN,
) -> bytes:
    """Return the body of a GET, or of a POST if a form is given.

    A user and password in the URL are sent as basic authentication. Errors do not show them.

    Raises:
        HttpError: no connection, or a status that is not accepted.
        HttpTimeoutError: no response in time.
    """
    parts = urlsplit(url)
    connection = _connection(parts, timeout_s, access)
    headers = (dict(access.headers) if parts.hostname == access.host else {}) | _authorization(parts)
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    shown = redact(url)
    try:
        connection.request(
            "GET" if form is None else "POST",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=None if form is None else urlencode(form),
            headers=headers,
        )
        # Closed here: Python discards exceptions of a finaliser, and Ctrl-C raises one that may come there.
        with connection.getresponse() as response:
            body = response.read()
    except TimeoutError:
        raise HttpTimeoutError(f"{shown}: no answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise HttpError(f"{shown}: {error}") from None
    finally:
        connection.close()
    if response.status not in accepted:
        raise HttpError(f"{shown} answered {response.status}")
    return body


class Requester:
    """Requests of one reader, which give up an endpoint that does not answer in time, until `retry`.

    An endpoint that hangs thus delays its reader once, and not at each reading.
    """

    __slots__ = ("_access", "_timeout_s", "_unanswered")

    def __init__(self, timeout_s: float, access: Access = _PLAIN) -> None:
        self._timeout_s = timeout_s
        self._access = access
        self._unanswered: HttpTimeoutError | None = None

    def fetch(
        self, url: str, form: dict[str, str] | None = None, accepted: tuple[int, ...] = (HTTPStatus.OK,)
    ) -> bytes:
        """Return the body as `fetch` does, unless an earlier request was not answered in time.

        Raises:
            HttpError: as `fetch` raises it; the error of the unanswered request.
        """
        if self._unanswered is not None:
            raise self._unanswered
        try:
            return fetch(url, form, timeout_s=self._timeout_s, accepted=accepted, access=self._access)
        except HttpTimeoutError as error:
            self._unanswered = error
            raise

    def retry(self) -> None:
        """Request again from now on."""
        self._unanswered = None


def _connection(parts: SplitResult, timeout_s: float, access: Access) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=access.tls)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _authorization(parts: SplitResult) -> dict[str, str]:
    """Return the header of basic authentication (RFC 7617) for a URL with a user."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
