"""The load test's options: one table for the command line, the environment and Locust's web page."""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from stampede.argument_types import base_url, endpoint_path
from stampede.client.context import DEFAULT_JOIN_GRACE
from stampede.dialect_registry import DEFAULT, FORMS
from stampede.ledger.stamp import SIZE
from stampede.locust.option_topics import FIRST, TOPICS, topic_of
from stampede.measure.storm import Manner
from stampede.verdict.slo import SloError, parse_slo, split_slos
from stampede.verdict.summary import EXIT_CODES
from stampede.verdict.thresholds import WINDOW_SECONDS
from stampede.websocket.endpoint import parse_endpoints
from stampede.websocket.headers import parse_header
from stampede.workload.backoff import Policy
from stampede.workload.schedule import Arrivals
from stampede.workload.shapes import DESCRIPTIONS, Shape
from stampede.workload.sizes import Sizes
from stampede.workload.timed_users import MIN_TIMED_USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOKEN: Final = re.compile(r"[!-~]+")
DEFAULT_ROOM_SIZE: Final = 20
NO_SHAPE: Final = "none"
RUN: Final = "{run}"
STEP_SUMMARY: Final = "GITHUB_STEP_SUMMARY"
"""Environment variable with the file to which a job of GitHub Actions adds Markdown."""

_MAX_TEXT_BYTES: Final = 16 * 1024
_HELP_WIDTH: Final = 78


class Form(Enum):
    """How an option is given: with one value, repeatedly with one value each, or without a value."""

    VALUE = "value"
    REPEATABLE = "repeatable"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the load test.

    Attributes:
        name: without the leading dashes.
        default: its value when it is not given.
        parse: turns a text into a value; raises `argparse.ArgumentTypeError`.
        help: one sentence for `--help`, the web page and the documentation.
        choices: the allowed values, if only some are.
        form: whether the option takes one value, several, or none.
        secret: whether reports and the web page hide the value.
        on_page: whether the option is in the start form of the web page.
    """

    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    choices: tuple[str, ...] | None = None
    form: Form = Form.VALUE
    secret: bool = False
    on_page: bool = True

    @property
    def dest(self) -> str:
        """Name of the attribute in the parsed options."""
        return self.name.replace("-", "_")

    @property
    def topic(self) -> str:
        """Topic in the help."""
        return topic_of(self.name)

    @property
    def env(self) -> str:
        """Name of the environment variable."""
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


def _share(text: str) -> float:
    return float(_number(0, 100)(text[:-1]) / 100 if text.endswith("%") else _number(0, 1)(text))


def _sizes(text: str) -> str:
    try:
        Sizes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _token(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError("invalid token: printable ASCII without spaces only")
    return text


def _origin(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin such as https://chat.example.org")
    return text


def _header(text: str) -> str:
    try:
        parse_header(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _endpoints(text: str) -> str:
    try:
        parse_endpoints(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _threshold(text: str) -> str:
    try:
        for slo in split_slos(text):
            parse_slo(slo, "threshold")
    except SloError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


_SHAPES: Final = (NO_SHAPE, *(shape.value for shape in Shape))
_COUNT: Final = _number(1, whole=True)
_MANNERS: Final = tuple(manner.value for manner in Manner)
_POLICIES: Final = tuple(policy.value for policy in Policy)

OPTIONS: Final = (
    Option("rooms", None, _COUNT, "Number of rooms; users are distributed evenly over them."),
    Option("room-size", None, _COUNT, f"Users per room, in place of --rooms (default: {DEFAULT_ROOM_SIZE})."),
    Option("rooms-per-user", 1, _COUNT, "Rooms that each user is in, on its one connection."),
    Option("message-rate", 1.0, _number(0.001, 1000), "Chat messages per second of each ChattingUser."),
    Option(
        "arrivals",
        "constant",
        str,
        "Distribution of the times between one user's messages.",
        tuple(a.value for a in Arrivals),
    ),
    Option(
        "message-bytes",
        64,
        _number(SIZE, _MAX_TEXT_BYTES, whole=True),
        f"Length of a chat message's text in bytes; at least {SIZE}, the length of its time stamp.",
    ),
    Option(
        "timed-share",
        1.0,
        _share,
        "Share of the users whose deliveries are timed, such as 0.1. The ledger counts those of all users.",
    ),
    Option("timed-users", MIN_TIMED_USERS, _number(0, whole=True), "Least number of timed users, over all processes."),
    Option(
        "batch-interval",
        1.0,
        _number(0.05, 2),
        "Seconds between two reads of the connection of a user that is not timed.",
    ),
    Option("upload-bytes", "1k-1m", _sizes, "Size of uploaded files: 64k, one of 1k,64k,1m, or any from 1k-1m."),
    Option("storm-share", 0.5, _number(0, 1), "Fraction of the users that drop at the same moment in a storm."),
    Option("storm-period", 30.0, _number(1), "Seconds between two drops of ReconnectStormUsers."),
    Option(
        "storm-manner",
        "abrupt",
        str,
        "How users drop: by a TCP reset (abrupt) or by a close handshake (polite).",
        _MANNERS,
    ),
    Option("backoff", "full-jitter", str, "Policy for the wait before users reconnect after a drop.", _POLICIES),
    Option(
        "churn-per-minute",
        0.0,
        _number(0, 60),
        "Fraction of all users that drop and reconnect each minute, one after the other; 0.1 is a tenth.",
    ),
    Option(
        "dialect",
        None,
        str,
        f"Protocol of the server: {FORMS} (default: that of the user classes, otherwise {DEFAULT}).",
    ),
    Option(
        "join-grace",
        DEFAULT_JOIN_GRACE,
        _number(0, 60),
        "Seconds after which a user counts as joined without a delivery, if the server does not confirm joins.",
    ),
    Option(
        "http-host",
        None,
        base_url,
        "Base URL of HTTP requests (default: --host with http for ws and https for wss, without its path).",
    ),
    Option(
        "path",
        None,
        endpoint_path,
        "Path of the chat endpoint, unless --host contains one (default: that of the dialect, otherwise /).",
    ),
    Option(
        "connect-to",
        None,
        _endpoints,
        "Addresses such as 10.0.0.1:8080,[2001:db8::1]:8080 to connect to, in place of those of --host's name. The "
        "Host header, the TLS name and the path stay those of --host.",
    ),
    Option(
        "ca-file", None, str, "File of CA certificates (PEM) that verify a wss:// server, in place of the system's."
    ),
    Option("origin", None, _origin, "Origin header of each upgrade request, for servers that check it."),
    Option("token", None, _token, "Bearer token that every user sends in the Authorization header.", secret=True),
    Option("token-file", None, str, "File with one token per line, assigned to users in turn, in place of --token."),
    Option(
        "credentials",
        None,
        str,
        "CSV file of accounts, assigned to users in turn, in place of --token. The first line names the columns, such "
        "as user,password,token.",
    ),
    Option(
        "threshold-window",
        WINDOW_SECONDS,
        _number(1),
        "Length in seconds of the windows in which each --threshold is checked.",
    ),
    Option(
        "shape",
        NO_SHAPE,
        str,
        "Load shape: how the number of users changes over time. -u sets its peak, -t its duration.",
        _SHAPES,
    ),
    Option("seed", 1, _number(0, whole=True), "Seed of all schedules; the same seed gives the same schedules."),
    Option(
        "prometheus-port",
        None,
        _number(0, 65535, whole=True),
        "Port on which Prometheus metrics are served; none by default.",
        on_page=False,  # the port is opened before the web page exists
    ),
    Option(
        "summary-json",
        None,
        str,
        f"File for the summary of a run as JSON; {RUN} in its name is the number of the run in this process.",
        on_page=False,  # a form must not choose where this process writes files
    ),
    Option(
        "junit",
        None,
        str,
        f"File for the verdict and the thresholds of a run as a JUnit report; {RUN} as for --summary-json.",
        on_page=False,
    ),
    Option(
        "threshold",
        None,
        _threshold,
        "Threshold such as deliver_p99<250ms or search:p95<1s, repeatable; exit code 99 if one fails. "
        "All figures: docs/reference/load-test.md.",
        form=Form.REPEATABLE,
    ),
    Option(
        "header",
        None,
        _header,
        "Header of each upgrade request, such as 'Cookie: id=7', repeatable.",
        form=Form.REPEATABLE,
        secret=True,
        on_page=False,  # the form has one line per option, and no character can separate two headers
    ),
    Option(
        "insecure",
        None,
        str,
        "Accept any certificate of a wss:// server, without verification.",
        form=Form.SWITCH,
    ),
)
"""All options of the load test."""

ON_PAGE: Final = frozenset(option.dest for option in OPTIONS if option.on_page)
"""Attributes of the options in the web page's start form."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to Locust's parser, and thereby to its web page; a second call for a parser has no effect."""
    if parser.get_default("message_rate") is not None:
        return
    title = "Chat load test"
    first = parser.add_argument_group(f"{title}: options that most people need first")
    groups = {topic: parser.add_argument_group(f"{title}: {topic}", _DESCRIPTIONS.get(topic)) for topic in TOPICS}
    for option in OPTIONS:  # in this order on the web page
        text = option.help
        if option.default is not None:
            text += f" Default: {option.default}."
        group = first if option.name in FIRST else groups[option.topic]
        action = group.add_argument(f"--{option.name}", env_var=option.env, help=text, **_parsing(option))
        if option.on_page:
            _show_on_page(action, is_secret=option.secret)


def _parsing(option: Option) -> dict[str, Any]:
    """Return how argparse parses an option."""
    if option.form is Form.SWITCH:
        return {"action": "store_true"}
    return {
        "action": "append" if option.form is Form.REPEATABLE else "store",
        "type": option.parse,
        "default": option.default,
        "choices": option.choices,
        "metavar": None if option.choices else f"<{option.name}>",
    }


def _description(what: str, lines: Mapping[str, str]) -> str:
    """Return the description of a topic in `--help`: what there is, and a paragraph for each."""
    shown = (f"  {name}: {text}".replace("`", "") for name, text in lines.items())
    return "\n".join([f"{what}:", *(textwrap.fill(line, _HELP_WIDTH, subsequent_indent=" " * 6) for line in shown)])


_DESCRIPTIONS: Final = {
    "load shapes": _description("Load shapes", {shape.value: text for shape, text in DESCRIPTIONS.items()}),
    "verdict and results": _description("Exit codes", {str(code): text for code, text in EXIT_CODES.items()}),
}


def _show_on_page(action: argparse.Action, *, is_secret: bool = False) -> None:
    """Include an option in the start form of the web page; Locust 2.47 omits the options of an argument group."""
    for name, value in (
        ("include_in_web_ui", True),
        ("is_secret", is_secret),
        ("is_required", False),
        ("is_multiple", False),
    ):
        setattr(action, name, value)
