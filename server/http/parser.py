"""Parse the head of an HTTP request (RFC 9112, RFC 9110). Pure.

Rules:
1. Accept all that a server must accept: any form of target, HTTP/1.0 and every 1.x, empty lines before the request
   line, lines that end in a bare LF. Load balancers and monitors send all of these.
2. Reject what two parsers could interpret differently: folded lines, a space before the colon, two hosts or lengths.
3. Accept a missing Host, although RFC 9112 (section 3.2) demands 400: health checks often lack it, and no response of
   this server depends on it.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request

from server.http.response import ALLOW, HttpResponse, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD_BYTES: Final = 16 * 1024

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TOKEN_START: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([\t -~\x80-\xff]*)")
_END: Final = re.compile(rb"\n\r?\n")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]+(.*)")
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_UNSUPPORTED_METHODS: Final = frozenset({"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"})


def read_request(received: bytes) -> tuple[Request, int] | HttpResponse | None:
    """Parse the request at the start of the received bytes.

    Returns:
        The request, with its target in origin form, and the length of its head; None while the head is incomplete; or
        the response to a request that is malformed or not supported.
    """
    text = received.lstrip(b"\r\n")
    if text and not _TOKEN_START.match(text):  # TLS, for example
        return _bad("this is not HTTP")
    first, newline, rest = text.partition(b"\n")
    if not newline:
        return _incomplete(received, HTTPStatus.REQUEST_URI_TOO_LONG)
    request_line = _read_request_line(first.removesuffix(b"\r"))
    if isinstance(request_line, HttpResponse):
        return request_line
    end = _END.search(text)
    if end is None:
        return _incomplete(received, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    length = len(received) - len(text) + end.end()
    if length > MAX_HEAD_BYTES:
        return plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    fields = rest[: max(end.start() - len(first) - 1, 0)]
    return _read_rest(*request_line, fields.split(b"\n") if fields else [], length)


def path_of(target: str) -> str:
    """Return the decoded path of a target in origin form, without the query."""
    path = target.partition("?")[0]
    return unquote(path) if "%" in path else path


def _read_request_line(line: bytes) -> tuple[str, str, str] | HttpResponse:
    """Return method, target and HTTP version."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return _bad("the request line is not 'METHOD target HTTP/1.1'")
    method, target, major, minor = (part.decode() for part in match.groups())
    if major != "1":
        return plain(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    return method, target, "HTTP/1.0" if minor == "0" else "HTTP/1.1"


def _read_rest(
    method: str, target: str, protocol: str, lines: Iterable[bytes], length: int
) -> tuple[Request, int] | HttpResponse:
    headers = _read_fields(lines)
    if headers is None:
        return _bad("a header field is malformed")
    if refusal := _refuse(method, headers):
        return refusal
    path = _origin_form(method, target)
    return (Request(path, headers, method, protocol), length) if path else _bad("the target is malformed")


def _read_fields(lines: Iterable[bytes]) -> Headers | None:
    headers = Headers()
    for line in lines:
        match = _FIELD.fullmatch(line.removesuffix(b"\r"))
        if match is None:
            return None
        headers[match[1].decode()] = match[2].strip(b" \t").decode("latin-1")
    return headers


def _refuse(method: str, headers: Headers) -> HttpResponse | None:
    """Return the response to a method or body that is not supported, or to fields that contradict each other."""
    if method not in ALLOW:
        if method in _UNSUPPORTED_METHODS:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(ALLOW)})
        return plain(HTTPStatus.NOT_IMPLEMENTED)
    hosts = headers.get_all("Host")
    if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
        return _bad("Host is malformed")
    lengths = [length.strip() for value in headers.get_all("Content-Length") for length in value.split(",")]
    if not all(_LENGTH.fullmatch(length) for length in lengths) or len({int(length) for length in lengths}) > 1:
        return _bad("Content-Length is malformed")
    if "Transfer-Encoding" in headers or any(int(length) for length in lengths):
        return plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This server accepts no request bodies")
    return None


def _origin_form(method: str, target: str) -> str:
    """Return a target as path and query (RFC 9112, section 3.2), or an empty text if it is malformed."""
    if "#" in target:
        return ""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return ""
    return absolute[1] if absolute[1].startswith("/") else f"/{absolute[1]}"


def _incomplete(received: bytes, status: HTTPStatus) -> HttpResponse | None:
    return plain(status) if len(received) > MAX_HEAD_BYTES else None


def _bad(why: str) -> HttpResponse:
    return plain(HTTPStatus.BAD_REQUEST, f"Bad Request: {why}")
