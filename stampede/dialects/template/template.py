"""What a file declares about a protocol; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.dialects.http_steps import HttpSteps
    from stampede.dialects.placeholders import Escape, TextTemplate
    from stampede.dialects.template.matching import Match, Path
    from stampede.dialects.template.steps import Step


@dataclass(frozen=True, slots=True)
class Reply:
    """A message of the server that the client must answer at once.

    Attributes:
        match: recognises it.
        send: the answer.
        save: values of the message for placeholders of the answer.
    """

    match: Match
    send: TextTemplate
    save: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """A message of the server that reports an error outside of any step.

    Attributes:
        match: recognises it.
        label: path of what tells errors apart.
    """

    match: Match
    label: Path | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """The content of a file; its keys are described in docs/dialects/template.md.

    Attributes:
        file: name of the file, for error messages.
        uses: names of the placeholders, each with the first key that has it.
        saves: names of the values that steps save.
        defaults: values of placeholders that neither the account nor a step has.
        room_name: name of the planned rooms, with their `{number}`.
        path: of the chat endpoint; None for that of the address.
        query: of the chat endpoint; None for none.
        ends_with_separator: whether the separator ends each message; otherwise it stands between two in a frame.
        say: None if messages are sent over HTTP.
        escape_text: escapes the text of a chat message.
        reply_to: messages that are answered at once.
        keepalive: message to send every `keepalive_seconds`.
        echoes: None if that must be discovered.
        metrics: names of the server's own Prometheus series, by the keys of `SERIES_KEYS`.
    """

    file: str
    uses: Mapping[str, str]
    saves: frozenset[str]
    defaults: Mapping[str, str]
    name: str
    room_name: str
    path: TextTemplate | None
    query: TextTemplate | None
    subprotocols: tuple[str, ...]
    headers: Mapping[str, TextTemplate]
    separator: bytes
    ends_with_separator: bool
    sends_binary: bool
    open: tuple[Step, ...]
    join: tuple[Step, ...]
    leave: tuple[Step, ...]
    http: HttpSteps
    say: TextTemplate | None
    escape_text: Escape
    ack: Match | None
    receive: Match | None
    receive_text: Path | None
    ignore: tuple[bytes, ...]
    typing: TextTemplate | None
    keepalive: TextTemplate | None
    keepalive_seconds: float | None
    reply_to: tuple[Reply, ...]
    echoes: bool | None
    private: Match | None
    errors: tuple[ErrorRule, ...]
    message_bytes: int | None
    metrics: Mapping[str, str]
