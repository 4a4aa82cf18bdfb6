"""The one table of settings: flag, environment name, default and help of each are derived from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import configargparse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENVIRONMENT_PREFIX: Final = "STAMPEDE_"
_UPLOADS: Final = Path("uploads")


def _port(text: str) -> int:
    """Read a TCP port; 0 lets the system choose."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _seconds(text: str) -> float:
    """Read a duration: finite, not negative."""
    seconds = float(text)
    if not 0 <= seconds < 1e9:
        raise ValueError
    return seconds


def _size(text: str) -> int:
    """Read a number of bytes or of things."""
    size = int(text)
    if size < 0:
        raise ValueError
    return size


def _level(text: str) -> str:
    level = text.lower()
    if level not in ("debug", "info", "warning", "error"):
        raise ValueError
    return level


_port.__name__, _seconds.__name__, _size.__name__ = "port", "number of seconds", "number"
_level.__name__ = "log level"


def _setting(default: object, read: Callable[[str], object], text: str) -> Any:
    return dataclasses.field(default=default, metadata={"read": read, "help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set; durations in seconds, 0 turns a limit off."""

    host: str = _setting("127.0.0.1", str, "address to listen on")
    port: int = _setting(8080, _port, "port to listen on; 0: any free one, named in the first line printed")
    metrics_port: int | None = _setting(
        None, _port, "serve /metrics on this port instead of the public one; 0: any free one"
    )
    work_per_message: float = _setting(
        0.0, _seconds, "CPU seconds to burn for each message received: stands for an application's own work"
    )
    upload_dir: Path = _setting(  # noqa: RUF009 - a field, not a value
        _UPLOADS, Path, "folder for uploaded files; made when the first one comes"
    )
    heartbeat_interval: float = _setting(30.0, _seconds, "seconds between two pings to a client; 0: none")
    heartbeat_timeout: float = _setting(
        35.0, _seconds, "seconds without a byte of any kind until a client is dropped; 0: never"
    )
    buffer_soft_limit: int = _setting(
        64 * 1024, _size, "unsent bytes of a client above which it is not sent what is ephemeral; 0: none"
    )
    buffer_hard_limit: int = _setting(1024 * 1024, _size, "unsent bytes of a client above which it is dropped; 0: none")
    slow_timeout: float = _setting(10.0, _seconds, "seconds above the soft limit until a client is dropped; 0: never")
    presence_threshold: int = _setting(
        200, _size, "members above which a room is told of comings and goings in sum, four times a second; 0: never"
    )
    log_level: str = _setting("info", _level, "debug, info, warning or error")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as a person sees it."""

    flag: str
    environment: str
    default: str
    help: str


def table() -> list[Row]:
    """Return the settings in their order, for the command line and for the documentation."""
    return [
        Row(
            flag="--" + field.name.replace("_", "-"),
            environment=ENVIRONMENT_PREFIX + field.name.upper(),
            default="" if field.default is None else str(field.default),
            help=field.metadata["help"],
        )
        for field in dataclasses.fields(Settings)
    ]


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read settings from the command line, then the environment, then the defaults.

    An unusable value ends the program with one line on stderr and exit code 2.
    """
    parser = configargparse.ArgumentParser(
        prog="python -m server",
        description="Stampede's chat server.",
        add_env_var_help=False,
        allow_abbrev=False,
        usage="%(prog)s [options]",
    )
    for row, field in zip(table(), dataclasses.fields(Settings), strict=True):
        shown = f" [{row.environment}; default {row.default or 'none'}]"
        parser.add_argument(
            row.flag,
            env_var=row.environment,
            type=field.metadata["read"],
            default=field.default,
            metavar=field.name.rpartition("_")[2].upper(),
            help=row.help.replace("%", "%%") + shown,
        )
    values = parser.parse_args(list(arguments), env_vars=dict(environment))
    return Settings(**vars(values))
