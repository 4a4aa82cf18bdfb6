"""The path and the query of the upgrade request, with placeholders; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.base import UpgradeRequest
from stampede.dialects.placeholders import ROOM, TextTemplate, for_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Address:
    """A path with placeholders, and a query if it contains one.

    Args:
        source: such as `/cable?token={token}`.

    Attributes:
        path: the path, if it has no placeholders; otherwise `/`.
        has_room: whether the address contains the room.
        templates: the path and the query, to check their placeholders.

    Raises:
        ValueError: it is no path.
    """

    __slots__ = ("_path", "_query", "has_room", "path", "templates")

    def __init__(self, source: str) -> None:
        if not source.startswith("/"):
            raise ValueError("path: expected a text that begins with /")
        path, _, query = source.partition("?")
        self._path, self._query = TextTemplate.parse(path, for_url), TextTemplate.parse(query, for_url)
        self.templates = (self._path, self._query)
        self.path = "/" if self._path.names else path
        self.has_room = ROOM in self._path.names | self._query.names

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Return the upgrade request of a user; its path replaces that of the host only if it has placeholders."""
        values = {**values, ROOM: rooms[0]} if rooms else values
        return UpgradeRequest(self._path.fill(values) if self._path.names else None, self._query.fill(values))
