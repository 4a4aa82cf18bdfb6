"""Finds the dialect that an option, a class attribute or an argument names."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from stampede.dialects.base import Dialect
from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.parsing import parse_template
from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT: Final = "stampede"

FORMS: Final = "the name of a dialect, FILE.toml, or module:Class"
"""What `--dialect` takes, for its help."""

BUILT_IN: Final = {
    "stampede": "stampede.dialects.stampede:StampedeDialect",
    "plain": "stampede.dialects.base:Dialect",
    "socketio": "stampede.dialects.socketio:SocketIoDialect",
    "signalr": "stampede.dialects.signalr:SignalRDialect",
    "actioncable": "stampede.dialects.actioncable:ActionCableDialect",
    "stomp": "stampede.dialects.stomp:StompDialect",
    "mqtt": "stampede.dialects.mqtt:MqttDialect",
}
"""Names of the built-in dialects, and their classes."""

PRESETS: Final = ("phoenix", "graphql-ws", "centrifugo", "pusher")
"""Names of the dialects that the package describes by files; other files may extend them."""

PROVEN_ON: Final = {
    "stampede": "the bundled server",
    "actioncable": "Action Cable 6.1",
    "stomp": "RabbitMQ 3.10",
    "socketio": "socket.io 4.8 and python-socketio 5.18",
    "signalr": "aiosignalr 0.1",
    "mqtt": "Mosquitto 2.0",
    "graphql-ws": "graphql-ws 6.4",
}
"""The real server on which the tests prove a built-in dialect, by the dialect's name."""

SUFFIX: Final = ".toml"
"""End of the name of a file that describes a dialect."""

ENTRY_POINTS: Final = "stampede.dialects"
"""Group of the entry points by which installed packages add dialects."""


class DialectError(StampedeError):
    """No usable dialect was found; the text is one line for the user."""


def names() -> list[str]:
    """Return the names of all dialects: the built-in ones, then those of installed packages."""
    built_in = (*BUILT_IN, *PRESETS)
    return [*built_in, *sorted(entry_points(group=ENTRY_POINTS).names.difference(built_in))]


def presets() -> Mapping[str, Callable[[], str]]:
    """Return functions that return the content of the presets' files, by the presets' names."""
    folder = files("stampede.dialects") / "presets"
    return {name: partial((folder / f"{name}.toml").read_text, encoding="utf-8") for name in PRESETS}


def load_dialect(given: str | Dialect) -> Dialect:
    """Return a dialect by its name, by a file that describes it, or by `module:Class`.

    Raises:
        DialectError: there is no such dialect.
    """
    if isinstance(given, Dialect):
        return given
    if given in BUILT_IN:
        return _create(given, BUILT_IN[given])
    if given in PRESETS:
        return parse_template(presets()[given](), given, _new_uuid)
    for entry in entry_points(group=ENTRY_POINTS, name=given):
        return _create(given, entry.value)
    if given.endswith(SUFFIX):
        return _read(given)
    if ":" in given:
        return _create(given, given)
    raise DialectError(
        f"{given!r} is not a dialect: give one of {', '.join(names())}, FILE.toml, or module:Class; "
        "see docs/dialects/README.md"
    )


def _read(file: str) -> Dialect:
    """Return the dialect that a file describes."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DialectError(f"{file}: {getattr(error, 'strerror', None) or 'not a text file in UTF-8'}") from error
    try:
        return parse_template(text, file, _new_uuid, presets())
    except TemplateError as error:
        raise DialectError(str(error)) from error


def _new_uuid() -> str:
    return str(uuid4())


def _create(name: str, place: str) -> Dialect:
    module, _, attribute = place.partition(":")
    try:
        dialect = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DialectError(f"{name!r} is not a dialect: {error}") from error
    if isinstance(dialect, type) and issubclass(dialect, Dialect):
        return dialect()
    if isinstance(dialect, Dialect):
        return dialect
    raise DialectError(f"{name!r} is not a dialect: {place} is no subclass of stampede.Dialect")
