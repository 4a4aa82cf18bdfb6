"""The settings of a run: every option of `python -m capacity`, declared once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.config import option_types as types
from capacity.config.options import flag, option, options_of, parse_options
from capacity.config.slo import DEFAULT_SLOS, DEFAULT_STORM_SLOS, RunSlo, check_storm_slos, parse_slo
from capacity.config.slo_file import read_slo_file
from capacity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.options import Option

_SERVER: Final = "server"
_SLOS: Final = "service-level objectives"
_LEVELS: Final = "levels of users"
_DURATION: Final = "duration"
_USERS: Final = "load generator"
_REPORT: Final = "report"

_DEFAULT_ROOM_SIZE: Final = 20
_DEFAULT_BACKOFF: Final = "full-jitter"  # the load test's own


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The settings of one run.

    Attributes:
        header: (name, value) pairs.
        slos: from `slo` and `slo_file`, or the defaults.
    """

    host: str | None = option(
        "URL (ws or wss) of a running server; without it the bundled server is started",
        _SERVER, metavar="URL", parse=types.websocket_url, compare_may_differ=True, defines_question=True,
    )  # fmt: skip
    metrics: tuple[str, ...] = option(
        "metrics page of a server process, repeatable (default: /metrics at --host)",
        _SERVER, metavar="URL", parse=types.http_url, repeatable=True,
    )  # fmt: skip
    prometheus: str | None = option(
        "Prometheus that scrapes the server, for its figures and for SLOs in PromQL",
        _SERVER, metavar="URL", parse=types.http_url, compare_may_differ=True,
    )  # fmt: skip
    work_per_message: float = option(
        "CPU time that the bundled server uses for each message, in place of an application's own work",
        _SERVER, metavar="SECONDS", parse=types.seconds, default="0", unit="s", defines_question=True,
    )  # fmt: skip
    workers_list: tuple[int, ...] | None = option(
        "numbers of processes of the bundled server: one search for each, and how capacity scales",
        _SERVER, metavar="N,N,...", parse=types.numbers, defines_question=True,
    )  # fmt: skip

    slo: tuple[str, ...] = option(
        f"SLO on a figure of the load test, repeatable (default: {' '.join(DEFAULT_SLOS)})",
        _SLOS, metavar="SLO", repeatable=True,
    )  # fmt: skip
    slo_file: str | None = option(
        "TOML file of SLOs: figures or PromQL, with window, grace and direction", _SLOS, metavar="FILE"
    )

    users_min: int = option(
        "first level of the search",
        _LEVELS, metavar="USERS", parse=types.positive_int, default="200", compare_may_differ=True,
    )  # fmt: skip
    users_max: int = option(
        "highest level of the search",
        _LEVELS, metavar="USERS", parse=types.positive_int, default="20000", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip
    unbounded: bool = option("search for the limit; this is the default", _LEVELS, parse=None)
    bounded: int | None = option(
        "measure one level; exit code 99 if it fails",
        _LEVELS, metavar="USERS", parse=types.positive_int, compare_may_differ=True, selects_levels=True,
    )  # fmt: skip
    steps: tuple[int, ...] | None = option(
        "measure exactly these levels",
        _LEVELS, metavar="N,N,...", parse=types.numbers, compare_may_differ=True, selects_levels=True,
    )  # fmt: skip
    storm: int | None = option(
        "hold this many users and find the largest share of them that may reconnect at once "
        f"(default SLO: {' '.join(DEFAULT_STORM_SLOS)})",
        _LEVELS, metavar="USERS", parse=types.positive_int, selects_levels=True,
    )  # fmt: skip

    max_duration: float = option(
        "time limit of the search",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="150", thorough="1800", unit="s",
        compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    settle: float = option(
        "longest wait for a steady rate",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="3", thorough="10", unit="s",
    )  # fmt: skip
    window: float = option(
        "measurement window of a step",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="6", thorough="30", unit="s",
    )  # fmt: skip
    thorough: bool = option(
        "longer windows and more confirmations, in up to half an hour: for purchasing decisions",
        _DURATION, parse=None, compare_may_differ=True,
    )  # fmt: skip

    mix: dict[str, int] = option(
        "user classes and their weights",
        _USERS, metavar="CLASS=N,...", parse=types.user_mix, default="ChattingUser=1", defines_question=True,
    )  # fmt: skip
    rooms: int | None = option("number of rooms, instead of their size", _USERS, metavar="N", parse=types.positive_int)
    room_size: int | None = option(
        f"users per room (default: {_DEFAULT_ROOM_SIZE})", _USERS, metavar="USERS", parse=types.positive_int
    )
    message_rate: float = option(
        "chat messages per user and second", _USERS, metavar="N", parse=types.positive_float, default="1"
    )
    message_bytes: int | None = option(
        "size of a chat message in bytes", _USERS, metavar="N", parse=types.whole_number, to_locust=True
    )
    upload_bytes: str | None = option("sizes of uploads, as in the load test", _USERS, metavar="SIZES", to_locust=True)
    storm_share: float | None = option(
        "share of the storming users that drops at once", _USERS, metavar="SHARE", parse=types.number, to_locust=True
    )
    storm_period: float | None = option(
        "seconds between storms", _USERS, metavar="SECONDS", parse=types.number, to_locust=True
    )
    backoff: str | None = option("reconnect policy of storming users", _USERS, metavar="POLICY", to_locust=True)
    seed: int | None = option("seed of every schedule", _USERS, metavar="N", parse=types.whole_number, to_locust=True)
    origin: str | None = option("Origin header of the upgrade requests", _USERS, metavar="ORIGIN", to_locust=True)
    header: tuple[tuple[str, str], ...] = option(
        "header of each upgrade request, repeatable; reports show only its name (passed to Locust)",
        _USERS, metavar="HEADER", parse=types.header, repeatable=True, secret=True,
    )  # fmt: skip
    processes: int | None = option(
        "worker processes of the load generator (default: one for each remaining core)",
        _USERS, metavar="N", parse=types.positive_int, compare_may_differ=True,
    )  # fmt: skip
    prometheus_port: int | None = option(
        "port for the load generator's own metrics", _USERS, metavar="PORT", parse=types.whole_number, to_locust=True
    )

    report: str = option("folder for report.json and report.html", _REPORT, metavar="DIR", default="report")
    runs: str = option(
        "folder that keeps the report of every run and their index; empty: none", _REPORT, metavar="DIR", default="runs"
    )
    resume: str | None = option(
        "continue the run whose report is in this folder, with its options", _REPORT, metavar="DIR"
    )
    target_users: int | None = option(
        "also compute the deployment for this many users",
        _REPORT, metavar="USERS", parse=types.positive_int, compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    headroom: float = option(
        "share of each process that the computed deployment leaves free",
        _REPORT, metavar="SHARE", parse=types.fraction, default="30%", unit="%", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip

    slos: tuple[RunSlo, ...] = ()

    @property
    def workers(self) -> int:
        """Number of processes of the bundled server in this search."""
        return self.worker_counts[-1]

    @property
    def worker_counts(self) -> tuple[int, ...]:
        """Numbers of processes of the bundled server, one search for each."""
        return self.workers_list or (1,)

    @property
    def given(self) -> tuple[int, ...]:
        """The levels to measure instead of a search; empty for a search."""
        single = self.storm if self.storm is not None else self.bounded
        return (single,) if single is not None else self.steps or ()

    @property
    def users_per_room(self) -> int | None:
        """Size of a room; None if the number of rooms is given instead."""
        return None if self.rooms else self.room_size or _DEFAULT_ROOM_SIZE

    @property
    def reconnect_policy(self) -> str:
        """Reconnect policy of the users that a storm drops."""
        return self.backoff or _DEFAULT_BACKOFF

    @property
    def interval_width(self) -> float:
        """Width of the answer's interval at which the search ends, relative to its lower end."""
        return 0.05 if self.thorough else 0.1

    @property
    def confirmations(self) -> int:
        """How many more times the answer has to pass."""
        return 4 if self.thorough else 2

    @property
    def title(self) -> str:
        """Title of the live display."""
        if not self.thorough:
            return "Stampede capacity run"
        width, times = self.interval_width * 100, self.confirmations
        return f"Stampede capacity run, thorough: {self.window:g} s windows, to {width:g} %, confirmed {times} times"

    def load_arguments(self) -> list[str]:
        """Return Locust's arguments for the load, without the secret headers."""
        rooms = ["--rooms", str(self.rooms)] if self.rooms else ["--room-size", str(self.users_per_room)]
        passed = [
            part
            for name, one in OPTIONS.items()
            if one.to_locust and (value := getattr(self, name)) is not None
            for part in (flag(name), str(value))
        ]
        return [*rooms, "--message-rate", f"{self.message_rate:g}", *passed]

    def header_arguments(self) -> list[str]:
        """Return Locust's arguments for the headers, which may be secrets."""
        return [part for name, value in self.header for part in ("--header", f"{name}: {value}")]

    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that users add to their upgrade requests."""
        return (*([("Origin", self.origin)] if self.origin else []), *self.header)


OPTIONS: Final[dict[str, Option]] = options_of(RunSettings)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> RunSettings:
    """Read the command line and the environment.

    Raises:
        UsageError: an option is unknown, or a value or a combination of options is invalid.
        SystemExit: `--help` was given.
    """
    settings = RunSettings(**parse_options(OPTIONS, arguments, environment))
    _check_combinations(settings)
    return replace(settings, slos=_slos(settings))


def _check_combinations(settings: RunSettings) -> None:
    if settings.bounded is not None and settings.steps:
        raise UsageError("--bounded and --steps exclude each other")
    if settings.storm is not None and (settings.bounded is not None or settings.steps or settings.workers_list):
        raise UsageError("--storm sets its own level: omit --bounded, --steps and --workers-list")
    if settings.given and settings.unbounded:
        raise UsageError("--unbounded is a search: omit --bounded, --steps and --storm")
    if settings.users_min > settings.users_max:
        raise UsageError(f"--users-min {settings.users_min} is above --users-max {settings.users_max}")
    if settings.rooms and settings.room_size:
        raise UsageError("--rooms and --room-size exclude each other: give the number of rooms or their size")
    if settings.host and settings.work_per_message:
        raise UsageError("--work-per-message is for the bundled server: start your own server with it instead")
    if settings.host and settings.worker_counts != (1,):
        raise UsageError("--workers-list is for the bundled server: start your own server with several processes")
    if len(set(settings.worker_counts)) < len(settings.worker_counts):
        raise UsageError(f"--workers-list {','.join(map(str, settings.worker_counts))} repeats a number")


def _slos(settings: RunSettings) -> tuple[RunSlo, ...]:
    """Return the SLOs of the file and of the options, or the defaults if there are none."""
    from_file = read_slo_file(Path(settings.slo_file)) if settings.slo_file else ()
    defaults = DEFAULT_SLOS if settings.storm is None else DEFAULT_STORM_SLOS
    given = [parse_slo(text) for text in settings.slo or (() if from_file else defaults)]
    slos = {slo.text: slo for slo in (*from_file, *given)}
    if settings.storm is not None:
        check_storm_slos(slos.values())
    promql = [slo.text for slo in slos.values() if slo.promql]
    if promql and not settings.prometheus:
        raise UsageError(f"{promql[0]} needs a Prometheus to query: add --prometheus URL")
    return tuple(slos.values())


def secret_flags() -> list[str]:
    """Return the flags whose values commands in reports hide."""
    return [flag(name) for name, one in OPTIONS.items() if one.secret]
