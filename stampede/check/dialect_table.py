"""The table of the dialects: what each supports; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.dialects.base import Feature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.dialects.base import Dialect

_UNPROVEN: Final = "not proven on a real server"
_HEAD: Final = ("dialect", "join", "echo", "ack", "typing", "ping", "upload", "rooms", "proven on")
_ECHO: Final = {True: "yes", False: "no", None: "discovered"}


def table(dialects: Mapping[str, Dialect], proven_on: Mapping[str, str]) -> list[str]:
    """Return one line for each dialect below a head, and the legend.

    Args:
        dialects: by their names.
        proven_on: the real server on which a dialect is tested.
    """
    rows = [_HEAD, *(_row(name, dialect, proven_on.get(name, _UNPROVEN)) for name, dialect in dialects.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [
        *lines,
        "",
        "join: whether joins are confirmed; otherwise users count as joined at a delivery, or after --join-grace",
        "echo: whether senders receive their own messages; ack: whether chat messages are acknowledged",
        "ping: of the protocol; otherwise those of WebSocket are used",
        "rooms: how many one connection can be in",
    ]


def _row(name: str, dialect: Dialect, proven_on: str) -> tuple[str, ...]:
    rooms = "1" if dialect.room_is_in_request else str(dialect.rooms_per_connection or "any")
    return (
        name,
        _yes(dialect.acknowledges_joins),
        _ECHO[dialect.echoes],
        _yes(dialect.acknowledges_messages),
        *(_yes(feature in dialect.features) for feature in (Feature.TYPING, Feature.PING, Feature.UPLOAD)),
        rooms,
        proven_on,
    )


def _yes(value: object) -> str:
    return "yes" if value else "no"
