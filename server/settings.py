"""The settings of the server: one table, from which options, environment variables and help are derived."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from server import setting_types as types
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

ENVIRONMENT_PREFIX: Final = "STAMPEDE_"
_UPLOADS: Final = Path("uploads")

FIRST: Final = "options that most people need first"
"""Heading of a few options of all topics in the help."""

_ADDRESS: Final = "addresses and TLS"
_PROCESSES: Final = "several processes"
_ACCESS: Final = "who may connect"
_CONNECTIONS: Final = "connections"
_MESSAGES: Final = "messages and slow clients"
_FILES: Final = "uploads"
_OTHER: Final = "other endpoints and logs"
_HEADINGS: Final = (FIRST, _ADDRESS, _PROCESSES, _ACCESS, _CONNECTIONS, _MESSAGES, _FILES, _OTHER)


def _setting(
    default: object,
    read: Callable[[str], object],
    text: str,
    *,
    topic: str,
    first: bool = False,
    repeat: bool = False,
) -> Any:
    """Declare a setting.

    Args:
        default: its default value.
        read: parses a text, as the functions of `setting_types` do.
        text: its help.
        topic: its heading in the help.
        first: whether the help shows it before all topics, among the options that most people need.
        repeat: whether the option may be given several times; the value is then a tuple.
    """
    heading = FIRST if first else topic
    return dataclasses.field(
        default=default, metadata={"read": read, "help": text, "heading": heading, "repeat": repeat}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server process. Durations are in seconds; 0 disables a limit."""

    host: str = _setting(
        "127.0.0.1",
        str,
        "host name or address to listen on; :: means every address, IPv4 included",
        topic=_ADDRESS,
        first=True,
    )
    port: int = _setting(
        8080,
        types.port,
        "port to listen on; 0: any free port, which the first line of output names",
        topic=_ADDRESS,
        first=True,
    )
    metrics_port: int | None = _setting(
        None,
        types.port,
        "serve /metrics on this port instead of the public one; 0: any free port; with --workers it serves /targets",
        topic=_ADDRESS,
    )
    work_per_message: float = _setting(
        0.0,
        types.seconds,
        "CPU seconds to use for each received message, to simulate the work of an application",
        topic=_OTHER,
    )
    upload_dir: Path = _setting(_UPLOADS, Path, "folder for uploaded files; created for the first upload", topic=_FILES)
    max_uploads: int = _setting(64, types.size, "limit on uploads in progress; 0: no limit", topic=_FILES)
    upload_budget: int = _setting(
        10 * 1024**3,
        types.size,
        "limit on the bytes of disk for stored files and uploads in progress; 0: no limit",
        topic=_FILES,
    )
    upload_keep: float = _setting(
        86400.0, types.seconds, "seconds until a stored file is removed; 0: never", topic=_FILES
    )
    heartbeat_interval: float = _setting(
        30.0, types.seconds, "seconds between two pings to a client; 0: no pings", topic=_CONNECTIONS
    )
    heartbeat_timeout: float = _setting(
        35.0,
        types.seconds,
        "seconds without any data from a client until its connection is closed; 0: never",
        topic=_CONNECTIONS,
    )
    drain_seconds: float = _setting(
        10.0,
        types.seconds,
        "seconds over which a shutdown spreads the closing of connections; 0: all at once",
        topic=_CONNECTIONS,
    )
    max_connections: int | None = _setting(
        None,
        types.size,
        "limit on connections (default and 0: as many as the limit on open files allows, less a reserve)",
        topic=_CONNECTIONS,
    )
    max_connections_per_address: int = _setting(
        0, types.size, "limit on connections from one address, or from one /64 of IPv6; 0: no limit", topic=_CONNECTIONS
    )
    handshake_rate: float = _setting(
        2000.0,
        types.rate,
        "limit on upgrades per second, with a burst of the same number; 0: no limit",
        topic=_CONNECTIONS,
    )
    message_rate: float = _setting(
        50.0,
        types.rate,
        "limit on messages per second from one client, with a burst of twice that number; 0: no limit",
        topic=_MESSAGES,
    )
    chat_rate: float = _setting(
        5.0,
        types.rate,
        "limit on messages of type chat (to all clients) per second from one client; burst: twice that; 0: no limit",
        topic=_MESSAGES,
    )
    chat_rate_total: float = _setting(
        50.0,
        types.rate,
        "limit on messages of type chat (to all clients) per second from all clients; burst: twice that; 0: no limit",
        topic=_MESSAGES,
    )
    allowed_origin: tuple[str, ...] = _setting(
        (),
        str,
        "allowed value of the Origin header, in which * matches any characters; repeatable; none: any origin",
        repeat=True,
        topic=_ACCESS,
    )
    require_origin: bool = _setting(
        False,
        types.yes_or_no,
        "refuse clients without an Origin header, which every browser sends: yes or no",
        topic=_ACCESS,
    )
    trusted_proxy: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (),
        types.network,
        "network of proxies whose X-Forwarded-For header is trusted; repeatable",
        repeat=True,
        topic=_ACCESS,
    )
    jwt_secret_file: Path | None = _setting(
        None,
        Path,
        "file with the secret (HS256) or the JWKS (RS256) that verifies the tokens of clients",
        topic=_ACCESS,
        first=True,
    )
    jwt_audience: tuple[str, ...] = _setting(
        (),
        str,
        "accepted audience of tokens; repeatable; none: only tokens without an audience",
        repeat=True,
        topic=_ACCESS,
    )
    jwt_issuer: tuple[str, ...] = _setting(
        (), str, "accepted issuer of tokens; repeatable; none: any issuer with the key", repeat=True, topic=_ACCESS
    )
    jwt_leeway: float = _setting(
        30.0, types.seconds, "seconds by which the clocks of server and issuer may differ", topic=_ACCESS
    )
    notifications: bool = _setting(
        True, types.yes_or_no, "serve /ws/notifications, which /live needs: yes or no", topic=_OTHER
    )
    echo: bool = _setting(True, types.yes_or_no, "serve /ws/echo: yes or no", topic=_OTHER)
    echo_rate: float = _setting(
        1000.0,
        types.rate,
        "limit on messages (each 64 KiB counts as one) per second from one client of /ws/echo; 0: no limit",
        topic=_OTHER,
    )
    tls_cert: Path | None = _setting(
        None, Path, "file with the certificate chain in PEM; the server then uses wss and https", topic=_ADDRESS
    )
    tls_key: Path | None = _setting(
        None, Path, "file with the private key in PEM; SIGHUP reloads both files", topic=_ADDRESS
    )
    buffer_soft_limit: int = _setting(
        64 * 1024,
        types.size,
        "unsent bytes above which ephemeral messages to a client are dropped; 0: no limit",
        topic=_MESSAGES,
    )
    buffer_hard_limit: int = _setting(
        1024 * 1024,
        types.size,
        "unsent bytes above which the connection to a client is closed; 0: no limit",
        topic=_MESSAGES,
    )
    slow_timeout: float = _setting(
        10.0,
        types.seconds,
        "seconds above the soft limit until the connection to a client is closed; 0: never",
        topic=_MESSAGES,
    )
    presence_threshold: int = _setting(
        200,
        types.size,
        "members above which a room gets coalesced presence, four times per second; 0: never",
        topic=_MESSAGES,
    )
    workers: int = _setting(
        1,
        types.count,
        "server processes that share the port; they form one cluster over --nats, or over an embedded NATS server",
        topic=_PROCESSES,
        first=True,
    )
    reuse_port: bool = _setting(
        False, types.yes_or_no, "let other processes listen on the same port: yes or no", topic=_ADDRESS
    )
    nats: str | None = _setting(
        None,
        types.bus_url,
        "URL of the NATS server over which server processes form one cluster: nats:// or tls://",
        topic=_PROCESSES,
    )
    nats_credentials: Path | None = _setting(None, Path, "file with the JWT and seed of a NATS user", topic=_PROCESSES)
    log_level: str = _setting("info", types.level, "debug, info, warning or error", topic=_OTHER, first=True)
    log_format: str = _setting(
        "text", types.log_format, "format of the log lines on stderr: text (logfmt) or json", topic=_OTHER
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A setting, as help and documentation show it."""

    flag: str
    environment: str
    default: str
    help: str
    heading: str


def table() -> list[Row]:
    """Return the rows of all settings in their order."""
    return [
        Row(
            flag="--" + field.name.replace("_", "-"),
            environment=ENVIRONMENT_PREFIX + field.name.upper(),
            default=_shown(field.default),
            help=field.metadata["help"],
            heading=field.metadata["heading"],
        )
        for field in dataclasses.fields(Settings)
    ]


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default in (None, ()) else str(default)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors contain no secrets: an invalid value may be a URL with a password."""

    def error(self, message: str) -> NoReturn:
        super().error(redact(message))


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read settings from the command line, then the environment, then the defaults.

    An empty environment variable counts as unset. An invalid value ends the program with exit code 2 and a line on
    stderr that names the option or the variable.
    """
    parser = _Parser(
        prog=f"{sys.orig_argv[0]} -m server",
        description="Stampede's chat server.",
        allow_abbrev=False,
        usage="%(prog)s [options]",
    )
    rows = list(zip(table(), dataclasses.fields(Settings), strict=True))
    groups = {heading: parser.add_argument_group(heading) for heading in _HEADINGS}
    for row, field in rows:
        shown = f" [{row.environment}; default {row.default or 'none'}]"
        groups[row.heading].add_argument(
            row.flag,
            dest=field.name,
            action="append",
            metavar=field.name.rpartition("_")[2].upper(),
            help=row.help.replace("%", "%%") + shown,
        )
    flags = vars(parser.parse_args(list(arguments)))
    given: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for row, field in rows:
        is_repeated, texts, source = field.metadata["repeat"], flags[field.name], row.flag
        if texts is None and environment.get(row.environment):
            texts, source = _values_in(environment[row.environment], is_repeated), row.environment
        if texts is None:
            continue
        sources[field.name] = source
        read = [_read(field.metadata["read"], text, source, parser) for text in texts]
        given[field.name] = tuple(read) if is_repeated else read[-1]
    _check_required(sources, parser)
    return Settings(**given)


def _values_in(text: str, is_repeated: bool) -> list[str]:
    """Return the values in a variable; `[a,b]` are two values of a repeatable setting."""
    if is_repeated and text.startswith("[") and text.endswith("]"):
        return [part.strip() for part in text[1:-1].split(",")]
    return [text]


def _read(read: Callable[[str], object], text: str, source: str, parser: _Parser) -> object:
    try:
        return read(text)
    except ValueError as error:
        hint = ""
        if source.startswith(ENVIRONMENT_PREFIX) and text.startswith(("tcp://", "udp://")):
            hint = "; Kubernetes sets such variables for a Service named stampede: set enableServiceLinks: false"
        parser.error(f"{source}: {text!r} is {error}{hint}")


_REQUIRED: Final = {
    "tls_cert": "tls_key",
    "tls_key": "tls_cert",
    "jwt_audience": "jwt_secret_file",
    "jwt_issuer": "jwt_secret_file",
}


def _check_required(sources: Mapping[str, str], parser: _Parser) -> None:
    """End the program if a setting was given without the one that it requires."""
    for name, needed in _REQUIRED.items():
        if name in sources and needed not in sources:
            parser.error(f"{sources[name]} requires --{needed.replace('_', '-')}; see docs/how-to/tls-and-tokens.md")
