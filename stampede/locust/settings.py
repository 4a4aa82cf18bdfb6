"""The settings of a test: the parsed options, converted and checked."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stampede.locust.options import DEFAULT_ROOM_SIZE, NO_SHAPE, OPTIONS, TOKEN
from stampede.measure.storm import Manner
from stampede.verdict.slo import SloError, parse_slo, split_slos
from stampede.websocket.headers import Header, all_headers
from stampede.workload.backoff import Backoff, Policy
from stampede.workload.placement import RoomPlan
from stampede.workload.schedule import Arrivals
from stampede.workload.shapes import Shape
from stampede.workload.sizes import Sizes

if TYPE_CHECKING:
    from stampede.locust.options import Option
    from stampede.verdict.slo import Slo


class OptionError(Exception):
    """An option is unusable; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class LoadTestSettings:
    """The settings of a test; an attribute without a description is the option of that name.

    Attributes:
        plan: from `--rooms` and `--room-size`.
        message_rate: chat messages per user and second.
        storm_share: fraction of the users that a storm drops, 0 to 1.
        storm_period: seconds between two drops.
        tokens: from `--token` or `--token-file`.
        headers: from `--origin` and `--header`.
        churn_per_minute: fraction of all users that drop each minute.
        thresholds: each must hold in every window of `threshold_window` seconds.
        shape: number of users over time; None to use Locust's own ramp.
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


def read_settings(options: argparse.Namespace) -> LoadTestSettings:
    """Return the settings that the options give; values from the web page are still text, an empty one is not given.

    Raises:
        OptionError: a value is unusable, or two options contradict each other.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(options, option.dest, option.default)
        if isinstance(value, str):
            value = _parse(option, value)
        values[option.dest] = value
    rooms, size = values["rooms"], values["room_size"]
    if rooms and size:
        raise OptionError("--rooms and --room-size contradict each other: give one of them")
    tokens = _tokens(values["token"], values["token_file"])
    return LoadTestSettings(
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
        thresholds=_thresholds(getattr(options, "threshold", None)),
        threshold_window=values["threshold_window"],
        shape=None if values["shape"] == NO_SHAPE else Shape(values["shape"]),
        prometheus_port=values["prometheus_port"],
    )


def check_processes(settings: LoadTestSettings, processes: int) -> None:
    """Check that every process gets a room.

    Raises:
        OptionError: there are fewer rooms than processes.
    """
    rooms = settings.plan.rooms
    if rooms is not None and rooms < processes:
        raise OptionError(
            f"--rooms {rooms} is less than the {processes} processes: each of them needs a room of its own"
        )


def check_shape(settings: LoadTestSettings, run_time: object) -> None:
    """Check that a test with a shape has a length.

    Raises:
        OptionError: there is none.
    """
    if settings.shape is not None and not run_time:
        raise OptionError(
            f"--shape {settings.shape.value} needs the test's length: give -t, such as -t 5m (on the page: Run time)"
        )


def _parse(option: Option, text: str) -> Any:
    """Return the value of an option that the web page sent as text."""
    if text == "":
        return option.default
    try:
        value = option.parse(text)
    except argparse.ArgumentTypeError as error:
        raise OptionError(f"--{option.name}: {error}") from None
    if option.choices and value not in option.choices:
        raise OptionError(f"--{option.name}: {text!r} is not one of {', '.join(option.choices)}")
    return value


def _headers(given: list[str] | None, origin: str | None, *, has_token: bool) -> tuple[Header, ...]:
    try:
        return all_headers(given or [], origin, has_token=has_token)
    except ValueError as error:
        raise OptionError(f"--header: {error}") from None


def _tokens(token: str | None, file: str | None) -> tuple[str, ...]:
    if token and file:
        raise OptionError("--token and --token-file contradict each other: give one of them")
    if not file:
        return (token,) if token else ()
    try:
        lines = Path(file).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--token-file {file}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
    if not lines or not all(TOKEN.fullmatch(line) for line in lines):
        raise OptionError(f"--token-file {file}: expected one token per line, printable ASCII without spaces")
    return tuple(lines)


def _thresholds(given: list[str] | str | None) -> tuple[Slo, ...]:
    """Return the thresholds; the web page sends them as one text, separated by spaces or commas."""
    texts = given if isinstance(given, list) else [given or ""]
    try:
        return tuple(parse_slo(text, "threshold") for text in split_slos(",".join(texts)))
    except SloError as error:
        raise OptionError(f"--threshold: {error}") from None
