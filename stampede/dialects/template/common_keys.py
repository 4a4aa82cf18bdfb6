"""The keys that all files may have, whether they describe a protocol or extend a built-in dialect; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.dialects.base import Dialect
from stampede.dialects.placeholders import PLACEHOLDER
from stampede.dialects.series import mistake_in
from stampede.dialects.template.http_fields import http_step

if TYPE_CHECKING:
    from stampede.dialects.http_steps import HttpStep
    from stampede.dialects.template.fields import Fields
    from stampede.dialects.template.reading import Table

ECHOES: Final = {"yes": True, "no": False, "discover": None}
"""The values of `self` in the table `[echo]`."""

LOGIN: Final = "login"


def name_of(top: Table) -> str:
    """Return the name of the dialect: by default, that of the file."""
    return top.text("name") or top.file.rpartition("/")[2].removesuffix(".toml")


def room_name_of(top: Table, default: str = Dialect.room_name) -> str:
    """Return the names of the rooms, with their `{number}`."""
    name = top.text("room_name") or default
    if PLACEHOLDER.findall(name) != ["number"]:
        raise top.error("room_name", "expected a name with {number} once, such as room-{number}")
    return name


def requests_of(top: Table, fields: Fields) -> tuple[tuple[HttpStep, ...], tuple[HttpStep, ...]]:
    """Return the requests that log in, and those that set up a room."""
    tables = top.tables(LOGIN) if not top.has_read(LOGIN) else []  # else the name of a STOMP user
    login = tuple(http_step(fields, one, may_expire=True) for one in tables)
    return login, tuple(http_step(fields, one) for one in top.tables("setup"))


def metrics_of(top: Table) -> dict[str, str]:
    """Return the names of the server's own Prometheus series; empty without a table."""
    metrics = top.text_table("metrics")
    if mistake := mistake_in(metrics):
        key, text = mistake
        raise top.error(f"metrics.{key}", text)
    return metrics


def message_bytes_of(top: Table) -> int | None:
    """Return the longest text of a chat message; None for no limit."""
    limits = top.table("limits")
    if limits is None:
        return None
    value = limits.number("message_bytes", whole=True)
    limits.end()
    return None if value is None else int(value)
