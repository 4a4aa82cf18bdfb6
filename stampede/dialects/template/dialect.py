"""A dialect that a file describes; pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from stampede.dialects.base import Dialect, Feature, UpgradeRequest
from stampede.dialects.placeholders import ALWAYS, ROOM, UUID
from stampede.dialects.template.conversation import TemplateConversation
from stampede.dialects.template.delivery import DeliveryRule
from stampede.dialects.template.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from stampede.dialects.base import Conversation
    from stampede.dialects.template.template import Template


class TemplateDialect(Dialect):
    """A protocol of JSON or text messages.

    Args:
        template: the content of the file.
        new_uuid: returns a new value for each message with `{uuid}`.
    """

    def __init__(self, template: Template, new_uuid: Callable[[], str]) -> None:
        self._template = template
        self._new_uuid = new_uuid
        self._rule = DeliveryRule(template.receive, template.receive_text, template.private, template.ack)
        self.find_stamp = self._rule.find_stamp  # type: ignore[method-assign,assignment] # without a call in between
        self._set_features()

    def _set_features(self) -> None:
        template = self._template
        self.name = template.name
        self.room_name = template.room_name
        self.subprotocols = template.subprotocols
        if template.path is not None and not template.path.names:
            self.path = str(template.path)
        self.room_is_in_request = bool(self._names_in_request() & ({ROOM} | self._names_of_rooms()))
        self.rooms_per_connection = 1 if self.room_is_in_request else None
        self.confirms_opening = any(step.expect is not None for step in template.open)
        self.acknowledges_joins = any(step.expect is not None for step in template.join)
        self.acknowledges_leaves = any(step.expect is not None for step in template.leave)
        self.acknowledges_messages = template.ack is not None
        self.echoes = template.echoes
        self.features = frozenset({Feature.TYPING} if template.typing is not None else ())
        self.keepalive_seconds = template.keepalive_seconds
        self.max_message_bytes = template.message_bytes
        self.sends_binary = template.sends_binary
        self.splits_frames = bool(template.separator)
        self.notices = template.ignore
        self.metrics = template.metrics
        self.http_steps = template.http or None
        self.places_token = "token" in template.uses

    def _names_in_request(self) -> frozenset[str]:
        """Return the placeholders whose values are needed before the first room is joined."""
        template = self._template
        texts = [template.path, template.query, *template.headers.values(), *(step.send for step in template.open)]
        matches = (step.expect for step in template.open)
        of_login = (step.names for step in template.http.login)
        return frozenset[str]().union(*(one.names for one in (*texts, *matches) if one is not None), *of_login)

    def _names_of_rooms(self) -> frozenset[str]:
        """Return the names of the values that differ from room to room."""
        return frozenset(name for step in (*self._template.http.setup, *self._template.http.join) for name in step.save)

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Return path, query and headers with the user's values."""
        template = self._template
        known = {**template.defaults, UUID: self._new_uuid(), **values, **({ROOM: rooms[0]} if rooms else {})}
        return UpgradeRequest(
            template.path.fill(known) if template.path is not None and template.path.names else None,
            template.query.fill(known) if template.query is not None else "",
            {name: value.fill(known) for name, value in template.headers.items()},
        )

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        known = {**self._template.defaults, **values, **({ROOM: rooms[0]} if rooms else {})}
        return TemplateConversation(self._template, self._rule, known, self._new_uuid)

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in a chat message."""
        return self._template.escape_text(text).encode()

    def check_columns(self, columns: Collection[str]) -> None:
        """Check that each placeholder has a value.

        Args:
            columns: names of what the accounts have.

        Raises:
            TemplateError: one has none.
        """
        known = {*ALWAYS, *self._template.saves, *self._template.defaults, *columns}
        for name, key in self._template.uses.items():
            if name in known:
                continue
            if name == "token":
                advice = "give --token, --token-file or a column token of --credentials, or save it in a [[login]]"
            elif name != "password" and (near := _nearest(name, known)):
                advice = f"did you mean {{{near}}}?"
            else:
                advice = f"give a column {name} of --credentials, or save it in a step"
            raise TemplateError(self._template.file, key, f"{{{name}}} has no value: {advice}")


def _nearest(name: str, known: Collection[str]) -> str | None:
    """Return the placeholder that a mistyped one probably means."""
    return next(iter(difflib.get_close_matches(name, {*known, "password", "token"}, 1, 0.75)), None)
