"""Every flag of `.venv/bin/python -m capacity`, also readable as `STAMPEDE_CAPACITY_...` in the environment."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import configargparse

from capacity.config.invocation import as_started
from capacity.config.promise import Promise, promise, read_promises
from capacity.config.slo import DEFAULT_SLOS
from capacity.errors import UsageError
from capacity.storms import storm
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Passed through to Locust as they are, in this order; None leaves Locust its own default.
_LOAD_OPTIONS: Final[tuple[tuple[str, type, str], ...]] = (
    ("message-bytes", int, "size of a chat message in bytes"),
    ("upload-bytes", str, "sizes of uploads, as the load test takes them"),
    ("storm-share", float, "share of the storming users that drops at once"),
    ("storm-period", float, "seconds between storms"),
    ("backoff", str, "reconnect policy of storming users"),
    ("seed", int, "seed of every schedule"),
    ("prometheus-port", int, "export the load generator's metrics on this port"),
    ("origin", str, "Origin of the page that the users claim to come from"),
)
# What --thorough puts in place of the quick run's defaults: an answer that machines are bought by.
_THOROUGH: Final = {"max_duration": 1800.0, "settle": 10.0, "window": 30.0}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run was asked to do.

    Attributes:
        host: WebSocket URL of a running server, or None for the bundled one.
        levels: the service levels.
        prometheus: URL of a Prometheus that scrapes the server; `metrics`: pages of the server's processes.
        given: exactly these levels of users, or empty for a search.
        bounded: whether the one given level decides the exit code.
        users_min, users_max: first level of the search and its cap.
        max_duration, settle, window: seconds for the search, and of a step's two phases (settling at most).
        processes: processes of the load generator, or None for one on each core beside the server's.
        mix: user classes and their weights.
        rooms, room_size: either the number of rooms or the users in each.
        passed: further options for Locust, as flags and values.
        origin, headers: of each upgrade request.
        target_users, headroom: what to size for, with what share of each process left free.
        runs: folder that keeps every run's report, or None.
        thorough: narrower interval, more confirmations.
        workers_list: how many processes the bundled server has, one search for each.
        storm: users that are held while shares of them are dropped, or None for no storms.
        backoff: how those dropped wait.
    """

    host: str | None
    report: str
    levels: tuple[Promise, ...]
    prometheus: str | None
    metrics: tuple[str, ...]
    given: tuple[int, ...]
    bounded: bool
    users_min: int
    users_max: int
    max_duration: float
    settle: float
    window: float
    processes: int | None
    mix: dict[str, int]
    rooms: int | None
    room_size: int | None
    message_rate: float
    work_per_message: float
    passed: tuple[str, ...]
    target_users: int | None
    headroom: float
    runs: str | None
    resume: str | None
    thorough: bool
    workers_list: tuple[int, ...] = (1,)
    storm: int | None = None
    backoff: str = "full-jitter"
    origin: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def workers(self) -> int:
        """How many processes the bundled server has in this search."""
        return self.workers_list[-1]

    @property
    def interval_width(self) -> float:
        """How narrow the interval of the answer is to be, as a share of its lower end."""
        return 0.05 if self.thorough else 0.1

    @property
    def confirmations(self) -> int:
        """How often the answer is to pass again."""
        return 4 if self.thorough else 2

    @property
    def title(self) -> str:
        """What kind of run this is, in words."""
        if not self.thorough:
            return "Stampede capacity run"
        width, times = self.interval_width * 100, self.confirmations
        return f"Stampede capacity run, thorough: {self.window:g} s windows, to {width:g} %, confirmed {times} times"

    def load_arguments(self) -> list[str]:
        """Return Locust's arguments for the load: who the users are and what they do."""
        rooms = ["--rooms", str(self.rooms)] if self.rooms else ["--room-size", str(self.room_size)]
        return [*rooms, "--message-rate", f"{self.message_rate:g}", *self.passed]

    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that the users add to their upgrade requests."""
        return (*([("Origin", self.origin)] if self.origin else []), *self.headers)

    def header_arguments(self) -> list[str]:
        """Return Locust's arguments for the headers, which no report may hold: they may be secrets."""
        return [part for name, value in self.headers for part in ("--header", f"{name}: {value}")]


def read_settings(arguments: Sequence[str], environment: dict[str, str]) -> Settings:
    """Read flags and environment.

    Raises:
        UsageError: a value or a combination is unusable.
        SystemExit: `--help`, or a flag that argparse itself refuses (code 2).
    """
    parser = _parser()
    known = vars(parser.parse_args(list(arguments), env_vars=environment))
    if known["thorough"]:
        parser.set_defaults(**_THOROUGH)
        known = vars(parser.parse_args(list(arguments), env_vars=environment))
    given = tuple(known["steps"] or ())
    if known["bounded"] is not None:
        if given:
            raise UsageError("--bounded and --steps exclude each other")
        given = (known["bounded"],)
    if known["storm"] is not None:
        if given or known["workers_list"]:
            raise UsageError("--storm holds its own level: leave out --bounded, --steps and --workers-list")
        given = (known["storm"],)
    if given and known["unbounded"]:
        raise UsageError("--unbounded searches; leave out --bounded and --steps")
    if known["users_min"] > known["users_max"]:
        raise UsageError(f"--users-min {known['users_min']} is above --users-max {known['users_max']}")
    if known["rooms"] and known["room_size"]:
        raise UsageError("--rooms and --room-size exclude each other: give the number of rooms or their size")
    if known["host"] and known["work_per_message"]:
        raise UsageError("--work-per-message is for the bundled server; start your own with it and leave it out")
    return Settings(
        host=_checked_host(known["host"]) if known["host"] else None,
        report=known["report"],
        levels=_promises(known),
        prometheus=_http("--prometheus", known["prometheus"]) if known["prometheus"] else None,
        metrics=tuple(_http("--metrics", url) for url in known["metrics"] or ()),
        given=given,
        bounded=known["bounded"] is not None,
        users_min=known["users_min"],
        users_max=known["users_max"],
        max_duration=known["max_duration"],
        settle=known["settle"],
        window=known["window"],
        processes=known["processes"],
        mix=_mix(known["mix"]),
        rooms=known["rooms"],
        room_size=None if known["rooms"] else known["room_size"] or 20,
        message_rate=known["message_rate"],
        work_per_message=known["work_per_message"],
        passed=tuple(
            part
            for name, _, _ in _LOAD_OPTIONS
            if (value := known[name.replace("-", "_")]) is not None
            for part in (f"--{name}", str(value))
        ),
        target_users=known["target_users"],
        headroom=known["headroom"],
        runs=known["runs"] or None,
        resume=known["resume"],
        thorough=known["thorough"],
        workers_list=_workers(known),
        storm=known["storm"],
        origin=known["origin"],
        headers=tuple(known["header"] or ()),
        backoff=known["backoff"] or "full-jitter",
    )


def _workers(known: dict[str, Any]) -> tuple[int, ...]:
    found = tuple(known["workers_list"] or (1,))
    if known["host"] and found != (1,):
        raise UsageError("--workers-list is for the bundled server; start your own in several processes")
    if len(set(found)) < len(found):
        raise UsageError(f"--workers-list {','.join(map(str, found))} names a number twice")
    return found


def _promises(known: dict[str, Any]) -> tuple[Promise, ...]:
    """Return the levels of the file and of the flags; the defaults only where there are neither."""
    filed = read_promises(Path(known["slo_file"])) if known["slo_file"] else ()
    usual = DEFAULT_SLOS if known["storm"] is None else storm.DEFAULT_LEVELS
    given = [promise(text) for text in known["slo"] or ([] if filed else usual)]
    levels = {level.text: level for level in (*filed, *given)}
    if known["storm"] is not None:
        _check_storm(levels.values())
    asked = [level.text for level in levels.values() if level.promql]
    if asked and not known["prometheus"]:
        raise UsageError(f"{asked[0]} is asked of a Prometheus: name it with --prometheus URL")
    return tuple(levels.values())


def _check_storm(levels: Iterable[Promise]) -> None:
    """Refuse levels that storms are not judged by, and storms without one on the way back."""
    odd = next((level.text for level in levels if not storm.is_judged(level) or level.window is not None), None)
    if odd is not None:
        raise UsageError(f"--storm: {odd}: storms are held against resync_pN, and deliver_pN of those not dropped")
    if not any(level.figure.startswith("resync_") for level in levels):
        raise UsageError("--storm needs a level on the way back, such as --slo 'resync_p95<5s'")


def _parser() -> configargparse.ArgumentParser:
    parser = _Parser(
        prog=as_started("capacity"),
        description="Find how many chat users one server process holds, and what gives out first.",
        epilog=f"Also: {as_started('capacity')} compare A B; mix; history; each with --help.",
        auto_env_var_prefix="STAMPEDE_CAPACITY_",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = " ".join(DEFAULT_SLOS).replace("%", "%%")  # argparse formats help with the % operator
    add("--host", metavar="URL", help="URL (ws or wss) of a running server; without it the bundled one is started")
    add("--report", metavar="DIR", default="report", help="folder for report.json and report.html")
    add(
        "--slo",
        metavar="LEVEL",
        action="append",
        help=f"service level, repeatable (default: {defaults})",
    )
    add("--slo-file", metavar="FILE", help="service levels in TOML: figures or PromQL, with window, grace, direction")
    add("--prometheus", metavar="URL", help="Prometheus that scrapes the server: PromQL levels, and its figures")
    add(
        "--metrics",
        metavar="URL",
        action="append",
        help="page of metrics of a server process, repeatable (default: /metrics at --host)",
    )
    add("--steps", metavar="N,N,...", type=_levels, help="measure exactly these numbers of users")
    add("--bounded", metavar="USERS", type=_positive(int), help="measure one level; exit code 99 when it fails")
    add(
        "--storm",
        metavar="USERS",
        type=_positive(int),
        help="hold this many, and find the largest share of them that may reconnect at once (default: resync_p95<5s)",
    )
    add("--unbounded", action="store_true", help="search for the limit (this is what happens anyway)")
    add("--users-min", metavar="USERS", type=_positive(int), default=200, help="first level of the search")
    add("--users-max", metavar="USERS", type=_positive(int), default=20_000, help="highest level of the search")
    add("--max-duration", metavar="SECONDS", type=_positive(float), default=150.0, help="time for the search")
    add(
        "--thorough",
        action="store_true",
        help="at most half an hour, for an answer that machines are bought by: longer windows, more confirmations",
    )
    add("--resume", metavar="DIR", help="go on with the run whose report is in DIR, with its options")
    add("--target-users", metavar="USERS", type=_positive(int), help="also say what this many users need")
    add("--headroom", metavar="SHARE", type=_share, default="30%", help="share of a process that sizing leaves free")
    add("--runs", metavar="DIR", default="runs", help="folder that keeps the report of every run, and their index")
    add("--settle", metavar="SECONDS", type=_positive(float), default=3.0, help="longest wait for a steady rate")
    add("--window", metavar="SECONDS", type=_positive(float), default=6.0, help="measuring window of a step")
    add(
        "--workers-list",
        metavar="N,N,...",
        type=_levels,
        help="processes of the bundled server: a search for each number, and what more of them bring",
    )
    add("--processes", metavar="N", type=_positive(int), help="load generator processes (default: one per core left)")
    add("--mix", metavar="CLASS=N,...", default="ChattingUser=1", help="user classes and their weights")
    add("--rooms", metavar="N", type=_positive(int), help="number of rooms, in place of their size")
    add("--room-size", metavar="USERS", type=_positive(int), help="users in a room (default: 20)")
    add("--message-rate", metavar="N", type=_positive(float), default=1.0, help="chat messages per user and second")
    add(
        "--work-per-message",
        metavar="SECONDS",
        type=_not_negative,
        default=0.0,
        help="CPU that the bundled server burns for each message, standing for an application's own work",
    )
    for name, kind, text in _LOAD_OPTIONS:
        add(f"--{name}", type=kind, help=f"{text} (passed to Locust)")
    add(
        "--header",
        metavar="HEADER",
        action="append",
        type=_header,
        help="header of each upgrade request, repeatable; reports keep its name alone (passed to Locust)",
    )
    return parser


class _Parser(configargparse.ArgumentParser):  # type: ignore[misc] # it has no annotations
    """Shows no secrets in its complaints."""

    def error(self, message: str) -> None:
        """End with exit code 2."""
        super().error(redact(message))


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults, but not for flags that have none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


def _positive(kind: type[int | float]) -> Callable[[str], int | float]:
    def convert(text: str) -> int | float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    convert.__name__ = kind.__name__  # argparse names it in 'invalid int value'
    return convert


def _header(text: str) -> tuple[str, str]:
    """Read `Name: value`; Locust looks closer."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("what is given is no header of the form 'Name: value'")
    return name.strip(), value.strip()


def _share(text: str) -> float:
    """Read `30%` or `0.3`."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share such as 30%")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not zero or a positive number")
    return value


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or min(levels) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 200,400,800")
    return levels


def _mix(text: str) -> dict[str, int]:
    mix: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if not name.strip().isidentifier() or not weight.strip().isdigit() or int(weight) < 1:
            raise UsageError(f"--mix {text!r} is not of the form ChattingUser=10,TypingUser=5")
        mix[name.strip()] = int(weight)
    return mix


def _http(flag: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{flag} {redact(url)!r} is not a URL such as http://127.0.0.1:9090")
    return url


def _checked_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"--host {redact(url)!r} is not a WebSocket URL such as ws://127.0.0.1:8080")
    return url
