"""The settings of a test: the parsed options, converted and checked."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stampede.credentials_file import read_accounts
from stampede.dialect_registry import DEFAULT, DialectError, load_dialect
from stampede.errors import StampedeError
from stampede.locust.hooks import ServerHooks
from stampede.locust.options import DEFAULT_ROOM_SIZE, NO_SHAPE, OPTIONS, TOKEN, Form
from stampede.measure.storm import Manner
from stampede.redaction import redact
from stampede.verdict.slo import SloError, parse_slo, split_slos
from stampede.websocket.endpoint import Endpoint, parse_endpoints
from stampede.websocket.headers import Header, all_headers
from stampede.websocket.target import DEFAULT_HOST, http_url
from stampede.workload.backoff import Backoff, Policy
from stampede.workload.placement import RoomPlan
from stampede.workload.schedule import Arrivals
from stampede.workload.shapes import Shape
from stampede.workload.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from stampede.dialects.base import Dialect
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
        dialect: name of the dialect; None for that of the user classes.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        path: None for that of the dialect.
        connect_to: where to connect, in place of the addresses of the host's name; none for these.
        accounts: rows of `--credentials`, or those of `--token` or `--token-file`, which have a `token` only.
        headers: from `--origin` and `--header`.
        churn_per_minute: fraction of all users that drop each minute.
        thresholds: each must hold in every window of `threshold_window` seconds.
        shape: number of users over time; None to use Locust's own ramp.
    """

    plan: RoomPlan
    message_rate: float
    arrivals: Arrivals
    timed_share: float
    timed_users: int
    batch_interval: float
    message_bytes: int
    upload_bytes: Sizes
    storm_share: float
    storm_period: float
    storm_manner: Manner
    churn_per_minute: float
    backoff: Backoff
    dialect: str | None
    join_grace: float
    path: str | None
    connect_to: tuple[Endpoint, ...]
    verify_tls: bool
    ca_file: str | None
    accounts: tuple[Mapping[str, str], ...]
    headers: tuple[Header, ...]
    seed: int
    thresholds: tuple[Slo, ...]
    threshold_window: float
    shape: Shape | None
    prometheus_port: int | None
    summary_json: str | None
    junit: str | None

    @property
    def threshold_requests(self) -> tuple[str, ...]:
        """Names of the requests that thresholds are about."""
        return tuple(slo.request for slo in self.thresholds if slo.request is not None)


def read_settings(options: argparse.Namespace) -> LoadTestSettings:
    """Return the settings that the options give; values from the web page are still text, an empty one is not given.

    Raises:
        OptionError: a value is unusable, or two options contradict each other.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(options, option.dest, option.default)
        if isinstance(value, str) and option.form is Form.VALUE:
            value = _parse(option, value)
        values[option.dest] = value
    rooms, size = values["rooms"], values["room_size"]
    if rooms and size:
        raise OptionError("--rooms and --room-size contradict each other: give one of them")
    accounts = _accounts(values["token"], values["token_file"], values["credentials"])
    return LoadTestSettings(
        plan=RoomPlan(rooms, None if rooms else size or DEFAULT_ROOM_SIZE, values["rooms_per_user"]),
        message_rate=values["message_rate"],
        arrivals=Arrivals(values["arrivals"]),
        timed_share=values["timed_share"],
        timed_users=values["timed_users"],
        batch_interval=values["batch_interval"],
        message_bytes=values["message_bytes"],
        upload_bytes=Sizes.parse(values["upload_bytes"]),
        storm_share=values["storm_share"],
        storm_period=values["storm_period"],
        storm_manner=Manner(values["storm_manner"]),
        churn_per_minute=values["churn_per_minute"],
        backoff=Backoff(Policy(values["backoff"])),
        dialect=values["dialect"],
        join_grace=values["join_grace"],
        path=values["path"],
        connect_to=parse_endpoints(values["connect_to"] or ""),
        ca_file=values["ca_file"],
        accounts=accounts,
        headers=_headers(
            values["header"],
            values["origin"],
            has_token=any("token" in account for account in accounts),
        ),
        verify_tls=not values["insecure"],
        seed=values["seed"],
        thresholds=_thresholds(values["threshold"]),
        threshold_window=values["threshold_window"],
        shape=None if values["shape"] == NO_SHAPE else Shape(values["shape"]),
        prometheus_port=values["prometheus_port"],
        summary_json=values["summary_json"],
        junit=values["junit"],
    )


def check_processes(settings: LoadTestSettings, processes: int) -> None:
    """Check that every process has enough rooms.

    Raises:
        OptionError: there are too few.
    """
    rooms, per_user = settings.plan.rooms, settings.plan.per_user
    if rooms is not None and rooms < processes:
        raise OptionError(
            f"--rooms {rooms} is less than the {processes} processes: each of them needs a room of its own"
        )
    if rooms is not None and rooms // processes < per_user:
        each = f" in each of the {processes} processes" if processes > 1 else ""
        raise OptionError(f"--rooms-per-user {per_user} needs at least {per_user} rooms{each}: --rooms is {rooms}")


def check_rooms_per_user(settings: LoadTestSettings, dialect: Dialect) -> None:
    """Check that a connection can be in as many rooms as a user.

    Raises:
        OptionError: it cannot.
    """
    per_user, limit = settings.plan.per_user, dialect.rooms_per_connection
    if limit is not None and per_user > limit:
        raise OptionError(
            f"--rooms-per-user {per_user}: a connection of the {dialect.name} dialect can be in {limit} only"
        )


def check_message_bytes(settings: LoadTestSettings, dialect: Dialect) -> None:
    """Check that a chat message is not too long for a dialect.

    Raises:
        OptionError: it is.
    """
    length, limit = settings.message_bytes, dialect.max_message_bytes
    if limit is not None and length > limit:
        raise OptionError(f"--message-bytes {length}: a text of the {dialect.name} dialect has {limit} bytes at most")


def check_features(user_classes: Iterable[type], dialect: Dialect) -> None:
    """Check that a dialect has the features that the user classes need.

    Raises:
        OptionError: a feature is missing.
    """
    for user_class in user_classes:
        for feature in getattr(user_class, "required_features", ()):
            if feature not in dialect.features:
                raise OptionError(
                    f"{user_class.__name__} needs {feature.value}, which the {dialect.name} dialect does not have: "
                    "choose other user classes"
                )


def run_dialect(settings: LoadTestSettings, user_classes: Collection[type]) -> Dialect:
    """Return the dialect of a run, after a check that the run can use it.

    Raises:
        OptionError: there is no such dialect, or it does not fit the options or the user classes.
    """
    dialect = dialect_of(user_classes, settings.dialect)
    check_rooms_per_user(settings, dialect)
    check_message_bytes(settings, dialect)
    check_features(user_classes, dialect)
    if not any(_logs_in(user_class) for user_class in user_classes):  # a login of the scenario may give any value
        try:
            dialect.check_columns(settings.accounts[0].keys() if settings.accounts else ())
        except StampedeError as error:
            raise OptionError(str(error)) from error
    return dialect


def _logs_in(user_class: type) -> bool:
    """Return whether users of a class log in by code of the scenario."""
    return getattr(user_class, "login", ServerHooks.login) is not ServerHooks.login


def dialect_of(user_classes: Iterable[type], given: str | None) -> Dialect:
    """Return the dialect of a run: the option's, or that of the user classes, or the default.

    Raises:
        OptionError: the classes have several, or there is no such dialect.
    """
    dialects: set[Dialect | str] = {getattr(user_class, "dialect", None) or DEFAULT for user_class in user_classes}
    if len(dialects) > 1 and len(dialects := dialects - {DEFAULT}) > 1:
        names = ", ".join(sorted(one if isinstance(one, str) else one.name for one in dialects))
        raise OptionError(f"the user classes have several dialects, but a run has one: {names}")
    try:
        return load_dialect(given or next(iter(dialects), DEFAULT))
    except DialectError as error:
        raise OptionError(f"{'--dialect' if given else 'dialect'}: {error}") from error


def host_of(user_classes: Iterable[type], given: str | None) -> str:
    """Return the address of the server: the option's, or that of the chat users' classes, or the default.

    Raises:
        OptionError: the classes have several.
    """
    if given:
        return given
    chat_users = (user_class for user_class in user_classes if hasattr(user_class, "dialect"))
    hosts = {user_class.__name__: getattr(user_class, "host", None) or DEFAULT_HOST for user_class in chat_users}
    own = {name: host for name, host in hosts.items() if host != DEFAULT_HOST}
    if len(set(own.values())) > 1:
        listed = ", ".join(f"{name}: {redact(host)}" for name, host in sorted(own.items()))
        raise OptionError(f"user classes with different hosts ({listed}): give --host")
    return next(iter(own.values()), DEFAULT_HOST)


def http_base_url(user_classes: Iterable[type], options: argparse.Namespace | None, host: str) -> str:
    """Return the base URL of HTTP requests: the option's, or that of a user class, or the server's.

    Args:
        user_classes: those of the run.
        options: the parsed options.
        host: URL of the server.
    """
    given = getattr(options, "http_host", None)
    own = (getattr(user_class, "http_host", None) for user_class in user_classes)
    return given or next(filter(None, own), None) or http_url(host)


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


def _accounts(token: str | None, token_file: str | None, credentials: str | None) -> tuple[Mapping[str, str], ...]:
    given = [
        name
        for name, value in (("--token", token), ("--token-file", token_file), ("--credentials", credentials))
        if value
    ]
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} contradict each other: give one of them")
    if credentials:
        try:
            return read_accounts(credentials)
        except ValueError as error:
            raise OptionError(f"--credentials {credentials}: {error}") from None
    return tuple({"token": one} for one in _tokens(token, token_file))


def _tokens(token: str | None, file: str | None) -> tuple[str, ...]:
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
