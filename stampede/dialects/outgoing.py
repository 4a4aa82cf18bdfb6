"""The messages of one connection, made from templates; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.placeholders import NUMBER_OF_MESSAGE, ROOM, TEXT, TextTemplate, for_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Outgoing:
    """Fills the templates of one connection: with the user's values, `{room}`, `{n}` and `{text}`.

    Args:
        templates: the messages by their kind; the dialect's, so that connections share them.
        values: of the user.
    """

    __slots__ = ("_filled", "_number", "_templates", "_values")

    def __init__(self, templates: Mapping[str, TextTemplate], values: Mapping[str, str]) -> None:
        self._templates = templates
        self._values = values
        self._number = 0
        self._filled: dict[tuple[str, str], list[bytes]] = {}  # all but the text, by kind and room

    def message(self, kind: str, room: str, text: bytes = b"") -> bytes:
        """Return a message.

        Args:
            kind: of the message.
            room: name of the room.
            text: escaped text in place of `{text}`.
        """
        pieces = self._filled.get((kind, room))
        if pieces is None:
            pieces = self._fill(kind, room)
        return text.join(pieces)

    def _fill(self, kind: str, room: str) -> list[bytes]:
        template = self._templates[kind]
        values = {**self._values, ROOM: room}
        if NUMBER_OF_MESSAGE in template.names:
            self._number += 1
            values[NUMBER_OF_MESSAGE] = str(self._number)
        pieces = [piece.encode() for piece in template.pieces(values)]
        if NUMBER_OF_MESSAGE not in template.names:
            self._filled[kind, room] = pieces
        return pieces


def argument_list(payload: str) -> str:
    """Return the arguments that a payload gives, separated by commas: a list gives all of them, other JSON is one."""
    payload = payload.strip()
    return payload[1:-1].strip() if payload.startswith("[") else payload


def check_payloads(payloads: object, kinds: Iterable[str]) -> None:
    """Check the payloads of an application.

    Args:
        payloads: an object with a payload for each kind.
        kinds: the names of its attributes; `say` is one of them.

    Raises:
        ValueError: one is no JSON, or `say` has no place for the text; the message begins with `payload.` and its name.
    """
    for kind in kinds:
        template = TextTemplate.parse(getattr(payloads, kind), for_json)
        if not template.is_json():
            raise ValueError(f"payload.{kind}: expected JSON with placeholders")
        if kind == "say" and TEXT not in template.names:
            raise ValueError("payload.say: expected JSON with the placeholder {text}")
