"""The address of a stored file, and the headers with which it is served. Pure.

The uploader chose name, type and content of a file, so a browser must never run it. Only pictures and plain text, by
the list below, are shown by a browser. Any other file, such as HTML, SVG or PDF, is saved. In each case the browser
may not guess another type, and a file that is opened as a page has no scripts and no origin.
"""

from __future__ import annotations

import re
import unicodedata
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from server.http.response import PLAIN_TEXT, HttpResponse, plain
from server.stats import FILES_PATH

UNKNOWN_TYPE: Final = "application/octet-stream"

SHOWN: Final = {
    **{picture: picture for picture in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif")},
    **dict.fromkeys(("text/plain", "text/csv", "text/markdown", "application/json"), PLAIN_TEXT),
}
"""The types that a browser shows, by the type that the uploader named."""

MAX_CACHE_SECONDS: Final = 3600

_FILE_PATH: Final = re.compile(re.escape(FILES_PATH) + r"/([0-9a-f]{32})")
_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"  # browsers style pictures inline
)
_NAME_LENGTH: Final = 100
_SUFFIX: Final = re.compile(r"\.\w{1,10}\Z", re.ASCII)
_UNSAFE: Final = re.compile(r'[\\/:*?"<>|]')
_UNITS: Final = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def file_id_of(path: str) -> str | None:
    """Return the id in the decoded path of a stored file, or None for another path."""
    match = _FILE_PATH.fullmatch(path)
    return match[1] if match else None


def stored_file(name: str, mime_type: str, seconds_left: float) -> HttpResponse:
    """Return the response that serves a stored file, without its body.

    Args:
        name: the uploader's name for it.
        mime_type: the uploader's type.
        seconds_left: how long the file can still be downloaded.
    """
    content_type = SHOWN.get(mime_type.partition(";")[0].strip().lower(), UNKNOWN_TYPE)
    headers = {
        "Content-Disposition": content_disposition(name, is_shown=content_type != UNKNOWN_TYPE),
        "Content-Security-Policy": _SECURITY_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",  # the address may contain a token
        "Accept-Ranges": "none",
        "Cache-Control": f"private, max-age={int(min(seconds_left, MAX_CACHE_SECONDS))}",
    }
    return HttpResponse(HTTPStatus.OK, b"", content_type, headers)


def no_file(keep_seconds: float) -> HttpResponse:
    """Return the response for a file that has expired or never existed."""
    text = "There is no such file."
    if keep_seconds:
        text += f" It may have expired: this server keeps files for {duration(keep_seconds)}."
    return plain(HTTPStatus.NOT_FOUND, text, headers={"Cache-Control": "no-store"})


def content_disposition(name: str, *, is_shown: bool) -> str:
    """Return the header that names a file, in ASCII and in UTF-8 (RFC 6266, appendix D)."""
    kept = "".join(each for each in name if unicodedata.category(each)[0] != "C")  # controls, directions, surrogates
    kept = _UNSAFE.sub("_", kept).strip(" .")
    suffix = _SUFFIX.search(kept)
    end = suffix.group() if suffix else ""
    kept = kept.removesuffix(end)[: _NAME_LENGTH - len(end)] + end or "file"
    ascii_name = re.sub(r"[^A-Za-z0-9 ._()\-]", "_", kept)
    kind = "inline" if is_shown else "attachment"
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(kept, safe='')}"


def duration(seconds: float) -> str:
    """Return a time in the largest unit that fits into it at least twice."""
    size, name = next((unit for unit in _UNITS if seconds >= 2 * unit[0]), _UNITS[-1])
    count = f"{round(seconds / size, 1):g}"
    return f"{count} {name.removesuffix('s') if count == '1' else name}"
