"""Reads a file that describes a dialect; pure.

    dialect = parse_template(text, "acme.toml", new_uuid)

`Table` reads TOML values, `Fields` reads messages, matches and steps in them, and this module puts them together.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from stampede.dialects.http_steps import HttpStep, HttpSteps
from stampede.dialects.placeholders import (
    ALWAYS,
    ESCAPES,
    NUMBER_OF_MESSAGE,
    PLACEHOLDER,
    ROOM,
    TEXT,
    UUID,
    TextTemplate,
    for_url,
    raw,
)
from stampede.dialects.template.built_in import EXTENDABLE, extend_built_in
from stampede.dialects.template.common_keys import (
    ECHOES,
    message_bytes_of,
    metrics_of,
    name_of,
    requests_of,
    room_name_of,
)
from stampede.dialects.template.dialect import TemplateDialect
from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.extending import EXTENDS, extended
from stampede.dialects.template.fields import NO_TEXT, OF_CONNECTION, OF_REQUEST, Fields
from stampede.dialects.template.http_fields import header_templates, http_step
from stampede.dialects.template.matching import TextMatch
from stampede.dialects.template.reading import Table
from stampede.dialects.template.template import ErrorRule, Reply, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stampede.dialects.base import Dialect
    from stampede.dialects.placeholders import Escape
    from stampede.dialects.template.matching import Match
    from stampede.dialects.template.steps import Step

_NO_PRESETS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType({})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def parse_template(
    text: str, file: str, new_uuid: Callable[[], str], presets: Mapping[str, Callable[[], str]] = _NO_PRESETS
) -> Dialect:
    """Return the dialect that a file describes.

    Args:
        text: content of the file.
        file: its name, for error messages.
        new_uuid: returns a new value for each message with `{uuid}`.
        presets: functions that return the content of files that this one may extend, by their names.

    Raises:
        TemplateError: the file has a mistake.
    """
    content = _parse(text, file)
    if EXTENDS in content:
        name = Table(file, content).text(EXTENDS) or ""
        if name in EXTENDABLE:
            return extend_built_in(name, Table(file, content))
        if name not in presets:
            raise TemplateError(file, EXTENDS, f"expected one of {', '.join((*EXTENDABLE, *presets))}, not {name!r}")
        content = extended(content, _parse(presets[name](), name))
    return TemplateDialect(read_template(Table(file, content)), new_uuid)


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(file, "", f"not TOML: {error}") from None


def read_template(top: Table) -> Template:
    """Return the content of a file.

    Raises:
        TemplateError: the file has a mistake.
    """
    fields = Fields(top.one_of("escape", tuple(ESCAPES), "json"))
    login, setup = requests_of(top, fields)
    path, query = _address(top, fields)
    open_steps = tuple(fields.step(one) for one in top.tables("open"))
    http_join, join = _joins(top, fields)
    say = _Say.read(top, fields)
    receive = top.table("receive") or Table(top.file, {}, "receive")
    keepalive = _Keepalive.read(top, fields)
    echo = top.table("echo") or Table(top.file, {}, "echo")
    separator = (top.text("separator") or "").encode()
    defaults = _defaults(top)
    template = Template(
        file=top.file,
        uses=fields.uses,
        saves=frozenset(fields.saves),
        defaults=defaults,
        name=name_of(top),
        room_name=room_name_of(top),
        path=path,
        query=query,
        subprotocols=_subprotocols(top),
        headers=header_templates(fields, top),
        separator=separator,
        ends_with_separator=_ends_with_separator(top, separator),
        sends_binary=top.one_of("frame", ("text", "binary"), "text") == "binary",
        open=open_steps,
        join=join,
        leave=tuple(fields.step(one) for one in top.tables("leave")),
        http=HttpSteps(login, setup, http_join, say.http, defaults, confirms_joins=bool(http_join) and not join),
        say=say.send,
        escape_text=say.escape,
        ack=say.ack,
        receive=fields.match(receive, "match", without=OF_CONNECTION),
        receive_text=fields.path(receive, "text"),
        ignore=tuple(text.encode() for text in receive.texts("ignore")),
        typing=_typing(top, fields),
        keepalive=keepalive.send,
        keepalive_seconds=keepalive.every,
        reply_to=keepalive.answers,
        echoes=ECHOES[echo.one_of("self", tuple(ECHOES), "discover")],
        private=fields.match(echo, "private", without=OF_CONNECTION),
        errors=tuple(_error(one, fields) for one in top.tables("error")),
        message_bytes=message_bytes_of(top),
        metrics=metrics_of(top),
    )
    for table in (receive, echo, top):
        table.end()
    return template


def _address(top: Table, fields: Fields) -> tuple[TextTemplate | None, TextTemplate | None]:
    """Return path and query of the chat endpoint."""
    template = fields.template(top, "path", escape=for_url, without=OF_REQUEST)
    if template is None:
        return None, None
    path, _, query = top.content["path"].partition("?")
    if not path.startswith("/") or not re.fullmatch(r"[!-~]+", path + query):
        raise top.error("path", "expected a path such as /ws/{room}, with special characters percent-encoded")
    if path.startswith("//") or "#" in path + query:
        raise top.error("path", "expected a path such as /ws/{room}, without a host and without #")
    return TextTemplate.parse(path, for_url), TextTemplate.parse(query, for_url) if query else None


def _defaults(top: Table) -> dict[str, str]:
    """Return the values of placeholders that have no other; a value may be empty."""
    table = top.table("defaults")
    if table is None:
        return {}
    found = {name: str(table.get(name, str)) for name in table.names}
    for name in found:
        if not PLACEHOLDER.fullmatch(f"{{{name}}}") or name in ALWAYS:
            raise table.error(name, "expected the name of a placeholder that an account or a step may give")
    return found


def _subprotocols(top: Table) -> tuple[str, ...]:
    names = top.texts("subprotocols")
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise top.error("subprotocols", f"{name!r} is not the name of a subprotocol, such as acme.v2")
    return names


def _ends_with_separator(top: Table, separator: bytes) -> bool:
    given: bool | None = top.get("ends_with_separator", bool)
    if given is not None and not separator:
        raise top.error("ends_with_separator", "needs `separator`")
    return given is not False


def _joins(top: Table, fields: Fields) -> tuple[tuple[HttpStep, ...], tuple[Step, ...]]:
    """Return the requests that join a room, and the steps on the connection after them."""
    requests, steps = [], []
    for table in top.tables("join"):
        if "http" not in table:
            steps.append(fields.step(table))
        elif steps:
            raise table.error("http", "HTTP requests come first: put this [[join]] before those with `send`")
        else:
            requests.append(http_step(fields, table))
    return tuple(requests), tuple(steps)


@dataclass(frozen=True, slots=True)
class _Say:
    """How chat messages are sent."""

    send: TextTemplate | None
    http: HttpStep | None
    escape: Escape
    ack: Match | None

    @classmethod
    def read(cls, top: Table, fields: Fields) -> _Say:
        table = top.table("say")
        if table is None:
            raise top.error("say", "missing: expected a table [say] with `send` or `http`")
        if "http" in table:
            request = http_step(fields, table, without=frozenset({NUMBER_OF_MESSAGE}))
            if TEXT not in request.names:
                raise table.error("body", "expected {text} in it, the text of the chat message")
            return cls(None, request, raw, None)
        send = fields.message(table, without=frozenset())
        if send is None:
            raise table.error("send", "missing: expected a message with {text}")
        escapes = [escape for name, escape in send.placeholders if name == TEXT]
        if len(escapes) != 1:
            raise table.error("send", "expected {text} once, the text of the chat message")
        ack = fields.match(table, "ack")
        if isinstance(ack, TextMatch) and ack.names - {NUMBER_OF_MESSAGE, UUID}:
            raise table.error("ack", "expected no placeholders but {n} and {uuid} in the text of an acknowledgement")
        table.end()
        return cls(send, None, escapes[0], ack)


@dataclass(frozen=True, slots=True)
class _Keepalive:
    """What keeps a connection open."""

    every: float | None = None
    send: TextTemplate | None = None
    answers: tuple[Reply, ...] = ()

    @classmethod
    def read(cls, top: Table, fields: Fields) -> _Keepalive:
        table = top.table("keepalive")
        if table is None:
            return cls()
        every, send = table.number("every"), fields.message(table, without=NO_TEXT | {ROOM})
        if (every is None) != (send is None):
            raise table.error("send" if send is None else "every", "missing: `every` and `send` belong together")
        answers = tuple(cls._answer(one, fields) for one in table.tables("answer"))
        table.end()
        return cls(every, send, answers)

    @staticmethod
    def _answer(table: Table, fields: Fields) -> Reply:
        match = fields.match(table, "match", without=OF_CONNECTION)
        send = fields.message(table, without=NO_TEXT | {ROOM})
        if match is None or send is None:
            raise table.error("match" if match is None else "send", "missing: an answer has `match` and `send`")
        reply = Reply(match, send, fields.save(table))
        table.end()
        return reply


def _error(table: Table, fields: Fields) -> ErrorRule:
    match = fields.match(table, "match", without=OF_CONNECTION)
    if match is None:
        raise table.error("match", 'missing: expected a match such as {op = "error"}')
    rule = ErrorRule(match, fields.path(table, "label"))
    table.end()
    return rule


def _typing(top: Table, fields: Fields) -> TextTemplate | None:
    table = top.table("typing")
    if table is None:
        return None
    send = fields.message(table)
    if send is None:
        raise table.error("send", 'missing: expected a message such as {"op":"typing"}')
    table.end()
    return send
