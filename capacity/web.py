"""Ask a local or remote HTTP endpoint, without proxies and redirects; one short-lived connection a request."""

from __future__ import annotations

import http.client
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 10.0


class HttpError(OSError):
    """The endpoint could not be reached, or answered with another status than 200."""


def ask(
    url: str,
    form: dict[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    accepted: tuple[int, ...] = (HTTPStatus.OK,),
) -> bytes:
    """Return the body of a GET, or of a POST when there is a form.

    Raises:
        HttpError: no connection, no answer in time, or a status that is not accepted.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    try:
        connection.request(
            "GET" if form is None else "POST",
            parts.path or "/",
            body=None if form is None else urlencode(form),
            headers=headers,
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise HttpError(f"{url}: {error}") from None
    finally:
        connection.close()
    if response.status not in accepted:
        raise HttpError(f"{url} answered {response.status}")
    return body
