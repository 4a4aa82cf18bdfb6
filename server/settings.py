"""The one table of settings: flag, environment name, default and help of each are derived from it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from server import setting_types as values
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

ENVIRONMENT_PREFIX: Final = "STAMPEDE_"
_UPLOADS: Final = Path("uploads")


def _setting(default: object, read: Callable[[str], object], text: str, *, repeat: bool = False) -> Any:
    """Describe a setting; one that may be repeated has a tuple of values."""
    return dataclasses.field(default=default, metadata={"read": read, "help": text, "repeat": repeat})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set; durations in seconds, 0 turns a limit off."""

    host: str = _setting("127.0.0.1", str, "name or address to listen on; :: is every address, IPv4 included")
    port: int = _setting(8080, values.port, "port to listen on; 0: any free one, named in the first line printed")
    metrics_port: int | None = _setting(
        None,
        values.port,
        "serve /metrics on this port instead of the public one; 0: any free one; with --workers, /targets is there",
    )
    work_per_message: float = _setting(
        0.0, values.seconds, "CPU seconds to burn for each message received: stands for an application's own work"
    )
    upload_dir: Path = _setting(_UPLOADS, Path, "folder for uploaded files; made when the first one comes")
    max_uploads: int = _setting(64, values.size, "uploads in progress at once; 0: any number")
    upload_budget: int = _setting(
        10 * 1024**3, values.size, "bytes of disk that stored files and those in progress may take; 0: any number"
    )
    upload_keep: float = _setting(86400.0, values.seconds, "seconds for which a stored file is kept; 0: for ever")
    heartbeat_interval: float = _setting(30.0, values.seconds, "seconds between two pings to a client; 0: none")
    heartbeat_timeout: float = _setting(
        35.0, values.seconds, "seconds without a byte of any kind until a client is dropped; 0: never"
    )
    drain_seconds: float = _setting(
        10.0, values.seconds, "seconds over which clients are told to go when the server is told to end; 0: all at once"
    )
    max_connections: int | None = _setting(
        None,
        values.size,
        "connections in all (default: as many as the file limit allows, less a reserve); 0: any number",
    )
    max_connections_per_address: int = _setting(
        0, values.size, "connections from one address, IPv6 by /64; 0: any number"
    )
    handshake_rate: float = _setting(2000.0, values.rate, "upgrades a second, and as many at once; 0: any number")
    message_rate: float = _setting(
        50.0, values.rate, "messages a second from one client, and twice as many at once; 0: any number"
    )
    chat_rate: float = _setting(
        5.0,
        values.rate,
        "messages of type chat, to everyone, a second from one client, twice as many at once; 0: any number",
    )
    chat_rate_total: float = _setting(
        50.0,
        values.rate,
        "messages of type chat, to everyone, a second from all clients, twice as many at once; 0: any number",
    )
    allowed_origin: tuple[str, ...] = _setting(
        (), str, "Origin that may connect, * standing for any characters; repeatable; none given: all may", repeat=True
    )
    require_origin: bool = _setting(
        False, values.yes_or_no, "refuse clients that send no Origin, which no browser is: yes or no"
    )
    trusted_proxy: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (), values.network, "network of proxies whose X-Forwarded-For is believed; repeatable", repeat=True
    )
    jwt_secret_file: Path | None = _setting(
        None, Path, "file with the secret (HS256) or the JWKS (RS256) that clients' tokens are checked against"
    )
    jwt_audience: tuple[str, ...] = _setting(
        (), str, "audience that a token may be for; repeatable; none given: it must name none", repeat=True
    )
    jwt_issuer: tuple[str, ...] = _setting(
        (), str, "issuer that a token may come from; repeatable; none given: any that has the key", repeat=True
    )
    jwt_leeway: float = _setting(30.0, values.seconds, "seconds by which the clocks of server and issuer may differ")
    notifications: bool = _setting(True, values.yes_or_no, "serve /ws/notifications and what /live shows: yes or no")
    echo: bool = _setting(True, values.yes_or_no, "serve /ws/echo: yes or no")
    echo_rate: float = _setting(
        1000.0, values.rate, "messages, or 64 KiB of them, a second that /ws/echo takes from a client; 0: any number"
    )
    tls_cert: Path | None = _setting(None, Path, "certificate chain in PEM; with it the server speaks wss, and https")
    tls_key: Path | None = _setting(None, Path, "private key in PEM; SIGHUP reads both again")
    buffer_soft_limit: int = _setting(
        64 * 1024, values.size, "unsent bytes of a client above which it is not sent what is ephemeral; 0: none"
    )
    buffer_hard_limit: int = _setting(
        1024 * 1024, values.size, "unsent bytes of a client above which it is dropped; 0: none"
    )
    slow_timeout: float = _setting(
        10.0, values.seconds, "seconds above the soft limit until a client is dropped; 0: never"
    )
    presence_threshold: int = _setting(
        200,
        values.size,
        "members above which a room is told of comings and goings in sum, four times a second; 0: never",
    )
    workers: int = _setting(
        1, values.count, "server processes on the one port; over NATS they are one: over --nats, or over a private one"
    )
    reuse_port: bool = _setting(
        False, values.yes_or_no, "let other processes, started by hand, listen on the same port: yes or no"
    )
    nats: str | None = _setting(
        None, values.bus_url, "URL of the NATS server over which several server processes are one: nats:// or tls://"
    )
    nats_credentials: Path | None = _setting(None, Path, "file with the JWT and seed of a NATS user")
    log_level: str = _setting("info", values.level, "debug, info, warning or error")
    log_format: str = _setting("text", values.log_format, "form of the log's lines on stderr: text (logfmt) or json")


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
            default=_shown(field.default),
            help=field.metadata["help"],
        )
        for field in dataclasses.fields(Settings)
    ]


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default in (None, ()) else str(default)


class _Parser(argparse.ArgumentParser):
    """Show no secrets in errors: what is wrong may be a URL with a password."""

    def error(self, message: str) -> NoReturn:
        super().error(redact(message))


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read settings from the command line, then the environment, then the defaults; an empty variable counts as unset.

    An unusable value ends the program with exit code 2, and a line on stderr that names the flag or the variable.
    """
    parser = _Parser(
        prog=f"{sys.orig_argv[0]} -m server",
        description="Stampede's chat server.",
        allow_abbrev=False,
        usage="%(prog)s [options]",
    )
    rows = list(zip(table(), dataclasses.fields(Settings), strict=True))
    for row, field in rows:
        shown = f" [{row.environment}; default {row.default or 'none'}]"
        parser.add_argument(
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
            texts, source = _in_environment(environment[row.environment], is_repeated), row.environment
        if texts is None:
            continue
        sources[field.name] = source
        read = [_read(field.metadata["read"], text, source, parser) for text in texts]
        given[field.name] = tuple(read) if is_repeated else read[-1]
    _check_needs(sources, parser)
    return Settings(**given)


def _in_environment(text: str, is_repeated: bool) -> list[str]:
    """Return the values in a variable; of a setting that may be repeated, `[a,b]` are two."""
    if is_repeated and text.startswith("[") and text.endswith("]"):
        return [part.strip() for part in text[1:-1].split(",")]
    return [text]


def _read(read: Callable[[str], object], text: str, source: str, parser: _Parser) -> object:
    try:
        return read(text)
    except ValueError as error:
        hint = ""
        if source.startswith(ENVIRONMENT_PREFIX) and text.startswith(("tcp://", "udp://")):
            hint = "; Kubernetes sets such variables for a Service called stampede: use enableServiceLinks: false"
        parser.error(f"{source}: {text!r} is {error}{hint}")


_NEEDS: Final = {
    "tls_cert": "tls_key",
    "tls_key": "tls_cert",
    "jwt_audience": "jwt_secret_file",
    "jwt_issuer": "jwt_secret_file",
}


def _check_needs(sources: Mapping[str, str], parser: _Parser) -> None:
    """End the program if a setting was given without the one that it needs."""
    for name, needed in _NEEDS.items():
        if name in sources and needed not in sources:
            parser.error(f"{sources[name]} needs --{needed.replace('_', '-')}")
