"""Reads the HTTP requests of a file; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stampede.dialects.http_steps import HEADER, HttpStep
from stampede.dialects.placeholders import TextTemplate, for_header, for_url
from stampede.dialects.template.fields import OF_REQUEST, Fields

if TYPE_CHECKING:
    from stampede.dialects.template.matching import Path
    from stampede.dialects.template.reading import Table

_REQUEST: Final = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*|https?://\S+)")
_EXAMPLE: Final = "a method and a path such as POST /api/login"
_FORM: Final = "application/x-www-form-urlencoded"


def http_step(
    fields: Fields, table: Table, *, without: frozenset[str] = OF_REQUEST, may_expire: bool = False
) -> HttpStep:
    """Return an HTTP request; the table has further keys."""
    text = table.text("http", _EXAMPLE)
    found = _REQUEST.fullmatch(text or "")
    if found is None:
        raise table.error("http", f"expected {_EXAMPLE}, not {text!r}" if text else f"missing: expected {_EXAMPLE}")
    url = fields.template(table, "http", escape=for_url, without=without)
    assert url is not None  # noqa: S101 # the text is there
    method, address = found.groups()
    headers = header_templates(fields, table)
    has_type = any(name.lower() == "content-type" for name in headers)
    form = any(str(value).startswith(_FORM) for name, value in headers.items() if name.lower() == "content-type")
    body = fields.message(table, "body", without=without, escape="url" if form else None)
    if body is not None and not has_type and _looks_like_json(table.content["body"]):
        headers["Content-Type"] = TextTemplate.parse("application/json")
    step = HttpStep(
        key=table.key,
        name=table.text("name", "the name of the request in the table of results") or text or "",
        method=method,
        url=TextTemplate.parse(address, for_url),
        headers=headers,
        body=body,
        expect=fields.match(table, "expect", without=without),
        save=_save(fields, table),
        expires=table.number("expires") if may_expire else None,
    )
    table.end()
    return step


def header_templates(fields: Fields, table: Table) -> dict[str, TextTemplate]:
    """Return the headers of a table."""
    headers = table.table("headers")
    if headers is None:
        return {}
    found = {name: fields.template(headers, name, escape=for_header, without=OF_REQUEST) for name in headers.names}
    for name in found:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise headers.error(name, "expected the name of a header")
    return {name: value for name, value in found.items() if value is not None}


def _looks_like_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _save(fields: Fields, table: Table) -> dict[str, Path | str]:
    """Return what to keep of a response: paths in its JSON, and names of headers."""
    found: dict[str, Path | str] = {}
    for name, place in table.text_table("save").items():
        if place.startswith(HEADER):
            found[name] = place.removeprefix(HEADER).strip()
        else:
            found[name] = fields.path_of(table, f"save.{name}", place)
        fields.save_name(table, name)
    return found
