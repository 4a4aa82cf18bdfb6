"""Texts of a check: messages and addresses, shortened and without secrets; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.redaction import redact_message

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stampede.check.result import Logged
    from stampede.websocket.target import Target

SHOWN_CHARACTERS: Final = 160
"""Longest text of a message in a report."""

_IN_A_LINE: Final = 100


def show(payload: bytes, secrets: Collection[str] = (), length: int = SHOWN_CHARACTERS) -> str:
    """Return a message as one line of at most `length` characters and an ellipsis, without secrets."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = repr(payload)
    text = redact_message(text, secrets)
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text if len(text) <= length else f"{text[:length]}..."


def address_of(target: Target, secrets: Collection[str] = ()) -> str:
    """Return the URL that is connected to, without secrets."""
    uri = target.uri
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    url = f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{uri.resource_name}"
    return redact_message(url, secrets)


def refusal(label: str) -> str:
    """Return that the server has refused something, and why; some labels say `refused` themselves."""
    return label if label.startswith("refused") else f"refused: {label}"


def came_instead(received: Sequence[Logged], ignored: int, secrets: Collection[str]) -> str:
    """Return what a server has sent in place of what was expected.

    Args:
        received: what it has sent.
        ignored: how many binary messages the dialect has ignored.
        secrets: texts that must not be shown.
    """
    if ignored:
        return f"the server sent {ignored} binary messages, which the dialect ignores"
    if not received:
        return "the server sent nothing"
    last = received[-1]
    meaning = f" ({last.meaning})" if last.meaning else ""
    return f"the last message of the server was '{show(last.payload, secrets, _IN_A_LINE)}'{meaning}"
