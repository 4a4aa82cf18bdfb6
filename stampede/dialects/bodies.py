"""The body of a chat message where the protocol leaves it to the application; pure."""

from __future__ import annotations

from stampede.dialects.placeholders import TEXT, TextTemplate, check_escape, for_json


def default_escape(body: str) -> str:
    """Return how a body is escaped: as JSON if it is JSON, otherwise not at all."""
    return "json" if TextTemplate.parse(body, for_json).is_json() else "raw"


def check_body(body: str, escape: str) -> None:
    """Check the options `body` and `escape`; an empty `escape` is the default.

    Raises:
        ValueError: one has no valid value; the text begins with its name.
    """
    if TEXT not in TextTemplate.parse(body).names:
        raise ValueError("body: expected a text with the placeholder {text}")
    if escape:
        check_escape(escape)
