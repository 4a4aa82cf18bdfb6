"""The base of dialects whose names and payloads are the application's; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.address import Address
from stampede.dialects.base import Dialect, UpgradeRequest
from stampede.dialects.placeholders import check_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from stampede.dialects.placeholders import TextTemplate


class ApplicationDialect(Dialect):
    """A dialect with options that contain placeholders.

    Args:
        path: path of the endpoint, with a query if the server needs one; placeholders are allowed.
        echo: whether a sender receives its own messages; None if that must be discovered.
        templates: the other texts with placeholders.
    """

    def __init__(self, path: str, echo: bool | None, templates: Iterable[TextTemplate]) -> None:
        self._address = Address(path)
        self._templates = (*self._address.templates, *templates)
        self.path = self._address.path
        self.room_is_in_request = self._address.has_room
        self.rooms_per_connection = 1 if self.room_is_in_request else None
        self.echoes = echo
        self.places_token = any("token" in template.names for template in self._templates)

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Return the path and the query with the values of a user.

        Raises:
            MissingValueError: a placeholder has no value.
        """
        self.check_columns(values)
        return self._address.request(values, rooms)

    def check_columns(self, columns: Collection[str]) -> None:
        """Check that each placeholder has a value.

        Args:
            columns: names of what the accounts have.

        Raises:
            MissingValueError: a placeholder has none.
        """
        steps = () if self.http_steps is None else (*self.http_steps.login, *self.http_steps.setup)
        own = (template.names for template in self._templates)
        saved = [name for step in steps for name in step.save]
        check_values(frozenset[str]().union(*own, *(step.names for step in steps)), {*columns, *saved})
