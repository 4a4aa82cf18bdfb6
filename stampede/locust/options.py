"""The load test's options: one table for the command line, the environment and the web page; and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stampede.ledger.stamp import SIZE
from stampede.measure.slo import SloError, parse_slo, split_slos
from stampede.measure.storm import Manner
from stampede.measure.thresholds import WINDOW_SECONDS
from stampede.websocket.headers import Header, all_headers, parse_header
from stampede.workload.backoff import Backoff, Policy
from stampede.workload.placement import RoomPlan
from stampede.workload.schedule import Arrivals
from stampede.workload.shapes import Shape
from stampede.workload.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.measure.slo import Slo

_TOKEN: Final = re.compile(r"[!-~]+")
DEFAULT_ROOM_SIZE: Final = 20
_LARGEST_TEXT: Final = 16 * 1024


class OptionError(Exception):
    """Options are unusable; one line for the person who gave them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options mean; each attribute is the option of that name.

    Attributes:
        plan: from `--rooms` and `--room-size`.
        message_rate: chat messages per user and second.
        storm_share: 0..1 of the storm users drop at a time.
        storm_period: seconds between drops.
        tokens: from `--token` or `--token-file`.
        headers: from `--origin` and `--header`.
        churn_per_minute: part of all users that drops each minute.
        thresholds: what must hold, each over every window of `threshold_window` seconds.
        shape: of the number of users over time, or None for Locust's own way.
    """

    plan: RoomPlan
    message_rate: float
    arrivals: Arrivals
    message_bytes: int
    upload_bytes: Sizes
    storm_share: float
    storm_period: float
    storm_manner: Manner
    churn_per_minute: float
    backoff: Backoff
    path: str
    verify_tls: bool
    ca_file: str | None
    tokens: tuple[str, ...]
    headers: tuple[Header, ...]
    seed: int
    thresholds: tuple[Slo, ...]
    threshold_window: float
    shape: Shape | None
    prometheus_port: int | None


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    choices: tuple[str, ...] | None = None

    @property
    def dest(self) -> str:
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        return f"LOCUST_{self.dest.upper()}"


def _number(low: float, high: float = math.inf, *, whole: bool = False) -> Callable[[str], Any]:
    """Return a parser for numbers from `low` to `high`."""
    what = ("a whole number" if whole else "a number") + (
        f" of at least {low:g}" if high == math.inf else f" between {low:g} and {high:g}"
    )

    def parse(text: str) -> Any:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with a slash")
    return text


def _sizes(text: str) -> str:
    try:
        Sizes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError("what is given is no token: it has characters that no header may have")
    return text


def _origin(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no origin such as https://chat.example.org")
    return text


def _header(text: str) -> str:
    try:
        parse_header(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _headers(given: list[str] | None, origin: str | None, *, has_token: bool) -> tuple[Header, ...]:
    try:
        return all_headers(given or [], origin, has_token=has_token)
    except ValueError as error:
        raise OptionError(f"--header: {error}") from None


def _tokens(one: str | None, file: str | None) -> tuple[str, ...]:
    if one and file:
        raise OptionError("--token and --token-file contradict each other: give one of them")
    if not file:
        return (one,) if one else ()
    try:
        lines = Path(file).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--token-file {file}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
    if not lines or not all(_TOKEN.fullmatch(line) for line in lines):
        raise OptionError(f"--token-file {file}: not a file with a token a line")
    return tuple(lines)


def _level(text: str) -> str:
    try:
        for level in split_slos(text):
            parse_slo(level, "threshold")
    except SloError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


_NO_SHAPE: Final = "none"
_SHAPES: Final = (_NO_SHAPE, *(shape.value for shape in Shape))
_COUNT: Final = _number(1, whole=True)
_MANNERS: Final = tuple(manner.value for manner in Manner)
_POLICIES: Final = tuple(policy.value for policy in Policy)

OPTIONS: Final = (
    _Option("rooms", None, _COUNT, "Number of rooms the users are dealt over."),
    _Option("room-size", None, _COUNT, f"In place of --rooms: users per room (default: {DEFAULT_ROOM_SIZE})."),
    _Option("message-rate", 1.0, _number(0.001, 1000), "Chat messages each ChattingUser sends per second."),
    _Option("arrivals", "constant", str, "Spacing of one user's messages.", tuple(a.value for a in Arrivals)),
    _Option(
        "message-bytes",
        64,
        _number(SIZE, _LARGEST_TEXT, whole=True),
        f"Length of a chat message's text; at least {SIZE}, which the measuring stamp takes.",
    ),
    _Option("upload-bytes", "1k-1m", _sizes, "Size of uploaded files: 64k, one of 1k,64k,1m, or any from 1k-1m."),
    _Option("storm-share", 0.5, _number(0, 1), "Part of the users that drops at the same moment in a storm."),
    _Option("storm-period", 30.0, _number(1), "Seconds between two drops of ReconnectStormUsers."),
    _Option("storm-manner", "abrupt", str, "How users drop: cut off, or with a goodbye.", _MANNERS),
    _Option("backoff", "full-jitter", str, "How users wait before reconnecting after a drop.", _POLICIES),
    _Option(
        "churn-per-minute",
        0.0,
        _number(0, 60),
        "Part of all users that drops and comes back each minute, one by one; 0.1 is a tenth.",
    ),
    _Option("path", "/", _path, "Path of the chat on the server, unless --host has one."),
    _Option("ca-file", None, str, "Certificates (PEM) that a wss:// server is checked by, in place of the system's."),
    _Option("origin", None, _origin, "Origin of the page that users claim to come from, for servers that check it."),
    _Option("token", None, _token, "Token that every user sends in the Authorization header, as a Bearer."),
    _Option("token-file", None, str, "In place of --token: a file with a token a line, dealt to the users in turn."),
    _Option("threshold-window", WINDOW_SECONDS, _number(1), "Seconds over which each --threshold must hold."),
    _Option("shape", _NO_SHAPE, str, "How the number of users moves, up to -u within -t, which it needs.", _SHAPES),
    _Option("seed", 1, _number(0, whole=True), "Seed of all schedules; the same one gives the same schedules."),
    _Option("prometheus-port", None, _number(0, 65535, whole=True), "Export Prometheus metrics on this port."),
)
"""All options but those that may be repeated, and the one that takes no value."""

_NOT_ON_PAGE: Final = "prometheus-port"
"""It is open, or not, before there is a page."""

ON_PAGE: Final = frozenset(
    {option.dest for option in OPTIONS if option.name != _NOT_ON_PAGE} | {"threshold", "insecure"}
)
"""Attributes of the options that the start form has."""

THRESHOLD_HELP: Final = (
    "What must hold, or the exit code is 99, like deliver_p99<250ms or resync_p95<5s; see the README. Repeatable."
)
HEADER_HELP: Final = "Header of each upgrade request, like 'Cookie: id=7'; repeatable."
INSECURE_HELP: Final = "Accept any certificate of a wss:// server."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to Locust's parser, and thereby to its web page; once, whoever asks first."""
    if parser.get_default("message_rate") is not None:
        return
    group = parser.add_argument_group("Chat load test")
    for option in OPTIONS:
        text = option.help
        if option.default is not None:
            text += f" Default: {option.default}."
        action = group.add_argument(
            f"--{option.name}",
            type=option.parse,
            default=option.default,
            choices=option.choices,
            metavar=None if option.choices else f"<{option.name}>",
            env_var=option.env,
            help=text,
        )
        if option.name != _NOT_ON_PAGE:
            _show_on_page(action, is_secret=option.name == "token")
    action = group.add_argument(
        "--threshold", action="append", type=_level, metavar="<level>", env_var="LOCUST_THRESHOLD", help=THRESHOLD_HELP
    )
    _show_on_page(action)
    # Not on the page: its form has one line for each option, and a header may hold any character to tell two apart by.
    group.add_argument(
        "--header", action="append", type=_header, metavar="<header>", env_var="LOCUST_HEADER", help=HEADER_HELP
    )
    action = group.add_argument("--insecure", action="store_true", env_var="LOCUST_INSECURE", help=INSECURE_HELP)
    _show_on_page(action)


def _show_on_page(action: argparse.Action, *, is_secret: bool = False) -> None:
    """Let the start form of the web page have an option: Locust 2.47 forgets those that belong to a group."""
    for name, value in (
        ("include_in_web_ui", True),
        ("is_secret", is_secret),
        ("is_required", False),
        ("is_multiple", False),
    ):
        setattr(action, name, value)


def read(options: argparse.Namespace) -> Settings:
    """Return what the options mean; a value that came over the web page is still text, and an empty one is none.

    Raises:
        OptionError: a value is unusable, or two contradict each other.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(options, option.dest, option.default)
        if isinstance(value, str):
            value = _reread(option, value)
        values[option.dest] = value
    rooms, size = values["rooms"], values["room_size"]
    if rooms and size:
        raise OptionError("--rooms and --room-size contradict each other: give one of them")
    tokens = _tokens(values["token"], values["token_file"])
    return Settings(
        plan=RoomPlan(rooms, None if rooms else size or DEFAULT_ROOM_SIZE),
        message_rate=values["message_rate"],
        arrivals=Arrivals(values["arrivals"]),
        message_bytes=values["message_bytes"],
        upload_bytes=Sizes.parse(values["upload_bytes"]),
        storm_share=values["storm_share"],
        storm_period=values["storm_period"],
        storm_manner=Manner(values["storm_manner"]),
        churn_per_minute=values["churn_per_minute"],
        backoff=Backoff(Policy(values["backoff"])),
        path=values["path"],
        ca_file=values["ca_file"],
        tokens=tokens,
        headers=_headers(getattr(options, "header", None), values["origin"], has_token=bool(tokens)),
        verify_tls=not getattr(options, "insecure", False),
        seed=values["seed"],
        thresholds=_levels(getattr(options, "threshold", None)),
        threshold_window=values["threshold_window"],
        shape=None if values["shape"] == _NO_SHAPE else Shape(values["shape"]),
        prometheus_port=values["prometheus_port"],
    )


def check_processes(settings: Settings, processes: int) -> None:
    """Make sure that every process has a room.

    Raises:
        OptionError: there are fewer rooms than processes.
    """
    rooms = settings.plan.rooms
    if rooms is not None and rooms < processes:
        raise OptionError(
            f"--rooms {rooms} is less than the {processes} processes, each of which needs a room of its own"
        )


def check_shape(settings: Settings, run_time: object) -> None:
    """Make sure that a shape has a length to fit itself to.

    Raises:
        OptionError: there is none.
    """
    if settings.shape is not None and not run_time:
        raise OptionError(
            f"--shape {settings.shape.value} needs the test's length: give -t, such as -t 5m (on the page: Run time)"
        )


def _levels(given: list[str] | str | None) -> tuple[Slo, ...]:
    """Return the thresholds; over the web page they come as one text, with blanks or commas between them."""
    texts = given if isinstance(given, list) else [given or ""]
    try:
        return tuple(parse_slo(text, "threshold") for text in split_slos(",".join(texts)))
    except SloError as error:
        raise OptionError(f"--threshold: {error}") from None


def _reread(option: _Option, text: str) -> Any:
    if text == "":
        return option.default
    try:
        value = option.parse(text)
    except argparse.ArgumentTypeError as error:
        raise OptionError(f"--{option.name}: {error}") from None
    if option.choices and value not in option.choices:
        raise OptionError(f"--{option.name}: {text!r} is none of {', '.join(option.choices)}")
    return value
