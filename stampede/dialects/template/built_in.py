"""Reads files that extend a built-in dialect: the keys of a file are the fields of the dialect's options; pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from stampede.dialects.actioncable import ActionCableDialect, ActionCableOptions
from stampede.dialects.http_steps import HttpSteps
from stampede.dialects.mqtt import MqttDialect, MqttOptions
from stampede.dialects.signalr import SignalRDialect, SignalROptions
from stampede.dialects.socketio import SocketIoDialect, SocketIoOptions
from stampede.dialects.stomp import StompDialect, StompOptions
from stampede.dialects.template.common_keys import (
    ECHOES,
    LOGIN,
    message_bytes_of,
    metrics_of,
    name_of,
    requests_of,
    room_name_of,
)
from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.extending import EXTENDS
from stampede.dialects.template.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stampede.dialects.application import ApplicationDialect
    from stampede.dialects.template.reading import Table

_Form: TypeAlias = "tuple[Callable[[Any], ApplicationDialect], type]"

EXTENDABLE: Final[Mapping[str, _Form]] = {
    "socketio": (SocketIoDialect, SocketIoOptions),
    "signalr": (SignalRDialect, SignalROptions),
    "actioncable": (ActionCableDialect, ActionCableOptions),
    "stomp": (StompDialect, StompOptions),
    "mqtt": (MqttDialect, MqttOptions),
}
"""The built-in dialects that a file may extend, and their options."""

_SCALARS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
}


def extend_built_in(name: str, top: Table) -> ApplicationDialect:
    """Return a built-in dialect with the options of a file, and with the HTTP requests that log in and set up rooms.

    Raises:
        TemplateError: the file has a mistake.
    """
    top.text(EXTENDS)
    dialect = _with_options(name, top)
    dialect.name = name_of(top)
    dialect.room_name = room_name_of(top, dialect.room_name)
    dialect.http_steps = HttpSteps(*requests_of(top, Fields("json"))) or None
    dialect.max_message_bytes = message_bytes_of(top) or dialect.max_message_bytes
    dialect.metrics = metrics_of(top) or dialect.metrics
    top.end()
    return dialect


def _with_options(name: str, top: Table) -> ApplicationDialect:
    create, options = EXTENDABLE[name]
    values = _values(options, top)
    echo = top.table("echo")
    if echo is not None:
        given = ECHOES[echo.one_of("self", tuple(ECHOES), "discover")]
        if "self" in echo:
            values["echo"] = given
        echo.end()
    try:
        return create(options(**values))
    except ValueError as error:
        raise TemplateError(top.file, "", str(error)) from None


def _values(options: Any, table: Table) -> dict[str, Any]:
    """Return the fields of a dataclass that a table gives."""
    values = {}
    for field in dataclasses.fields(options):
        if field.name == "echo":
            continue
        value = _value(field, table)
        if value is not None:
            values[field.name] = value
    return values


def _value(field: dataclasses.Field[Any], table: Table) -> Any:
    if field.name == LOGIN and isinstance(table.content.get(LOGIN), list | dict):
        return None  # HTTP requests that log in, and not the name that a STOMP broker calls so
    if field.type in _SCALARS:
        return table.get(field.name, _SCALARS[str(field.type)])
    if field.default_factory is dict:
        return table.text_table(field.name) or None
    inner = table.table(field.name)  # of the fields of another dataclass
    if inner is None:
        return None
    created: Any = field.default_factory
    values = _values(created, inner)
    inner.end()
    return created(**values)
