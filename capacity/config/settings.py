"""The settings of a run: every option of `python -m capacity`, declared once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from capacity.config import option_types as types
from capacity.config.invocation import command_line
from capacity.config.listen_address import DEFAULT_LISTEN_ADDRESS, ListenAddress, listen_address
from capacity.config.load_options import LOAD_OPTIONS, REPLACED, LoadOptions
from capacity.config.options import Program, flag, option, options_of, parse_options
from capacity.config.scenario import Scenario
from capacity.config.slo import DEFAULT_SLOS, DEFAULT_STORM_SLOS, RunSlo, check_storm_slos, parse_slo
from capacity.config.slo_file import read_slo_file
from capacity.errors import UsageError
from capacity.formatting import error_text
from stampede.dialect_registry import DEFAULT, DialectError, load_dialect
from stampede.dialects.stampede import StampedeDialect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.options import Option
    from stampede.dialects.base import Dialect

_SERVER: Final = "server"
_SLOS: Final = "service-level objectives"
_LEVELS: Final = "levels of users"
_DURATION: Final = "duration"
_USERS: Final = "load generator"
_REPORT: Final = "report"

_DEFAULT_CLASS: Final = "ChattingUser"
_HASH_LENGTH: Final = 12

_OF_WORKERS: Final = ("master_bind_host", "master_bind_port", "worker_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The settings of one run.

    Attributes:
        slos: from `slo` and `slo_file`, or the defaults.
        load: the options of the load test.
        locustfile_hash: start of the SHA-256 of the locustfile's content, read once at the start.
    """

    host: str | None = option(
        "URL (ws:// or wss://) of the server under test (default: the bundled server is started)",
        _SERVER, first=True, metavar="URL", parse=types.websocket_url, compare_may_differ=True, defines_question=True,
    )  # fmt: skip
    metrics: tuple[str, ...] = option(
        "URL of the metrics page of one server process, repeatable (default: /metrics at --host)",
        _SERVER, metavar="URL", parse=types.http_url, repeatable=True,
    )  # fmt: skip
    prometheus: str | None = option(
        "URL of a Prometheus that scrapes the server; source of the server's metrics and of SLOs in PromQL",
        _SERVER, metavar="URL", parse=types.http_url, compare_may_differ=True,
    )  # fmt: skip
    server_pid: int | str | None = option(
        "process id of the server on this machine, whose descendants belong to it; auto: what listens at --host "
        "(default: auto, if found)",
        _SERVER, metavar="PID", parse=types.process_id, compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    work_per_message: float = option(
        "CPU time that the bundled server spends on each message, to simulate the work of an application",
        _SERVER, metavar="SECONDS", parse=types.seconds, default="0", unit="s", defines_question=True,
    )  # fmt: skip
    workers_list: tuple[int, ...] | None = option(
        "process counts of the bundled server; runs one search for each and reports how capacity scales",
        _SERVER, metavar="N,N,...", parse=types.numbers, defines_question=True,
    )  # fmt: skip

    slo: tuple[str, ...] = option(
        f"service-level objective (SLO) on a figure of the load test, repeatable (default: {' '.join(DEFAULT_SLOS)})",
        _SLOS, first=True, metavar="SLO", repeatable=True,
    )  # fmt: skip
    slo_file: str | None = option(
        "TOML file of SLOs on figures or PromQL queries, each with window, grace period and direction",
        _SLOS,
        metavar="FILE",
    )

    users_min: int = option(
        "number of users of the first step",
        _LEVELS, metavar="USERS", parse=types.positive_int, default="200", compare_may_differ=True,
    )  # fmt: skip
    users_max: int = option(
        "highest number of users that the search tries",
        _LEVELS, metavar="USERS", parse=types.positive_int, default="20000", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip
    unbounded: bool = option(
        "search for the highest number of users that meets the SLOs; this is the default", _LEVELS, parse=None
    )
    bounded: int | None = option(
        "measure only this number of users; exit code 99 if an SLO is not met",
        _LEVELS, first=True, metavar="USERS", parse=types.positive_int, compare_may_differ=True, selects_levels=True,
    )  # fmt: skip
    steps: tuple[int, ...] | None = option(
        "measure these numbers of users instead of searching",
        _LEVELS, metavar="N,N,...", parse=types.numbers, compare_may_differ=True, selects_levels=True,
    )  # fmt: skip
    storm: int | None = option(
        "keep this many users connected and find the largest share that can reconnect at once "
        f"(default SLO: {' '.join(DEFAULT_STORM_SLOS)})",
        _LEVELS, metavar="USERS", parse=types.positive_int, selects_levels=True,
    )  # fmt: skip

    max_duration: float = option(
        "time limit of the search",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="165", thorough="1800", unit="s",
        compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    settle: float = option(
        "maximum wait before each measurement window for deliveries to become steady",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="3", thorough="10", unit="s",
    )  # fmt: skip
    window: float = option(
        "length of the measurement window of each step",
        _DURATION, metavar="SECONDS", parse=types.positive_float, default="6", thorough="30", unit="s",
    )  # fmt: skip
    thorough: bool = option(
        "longer windows and more confirmations, up to half an hour; recommended for purchasing decisions",
        _DURATION, parse=None, compare_may_differ=True,
    )  # fmt: skip

    locustfile: str | None = option(
        "file of your own user classes (default: those of loadtest/)",
        _USERS, first=True, metavar="FILE", parse=types.python_file, defines_question=True,
    )  # fmt: skip
    mix: dict[str, int] | None = option(
        f"user classes and their weights (default: {_DEFAULT_CLASS}=1; with --locustfile all classes of the file)",
        _USERS, metavar="CLASS=N,...", parse=types.user_mix, defines_question=True,
    )  # fmt: skip
    processes: int | None = option(
        "worker processes of the load generator (default: one per CPU core that the server does not use)",
        _USERS, metavar="N", parse=types.positive_int, compare_may_differ=True,
    )  # fmt: skip
    expect_workers: int | None = option(
        "wait for this many Locust workers on other machines instead of starting processes here",
        _USERS, metavar="N", parse=types.positive_int, compare_may_differ=True,
    )  # fmt: skip
    master_bind_host: str | None = option(
        "address of this machine to which the workers connect (default: all interfaces)",
        _USERS, metavar="ADDRESS", compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    master_bind_port: int = option(
        "port to which the workers connect",
        _USERS, metavar="PORT", parse=types.port, default="5557", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip
    worker_timeout: float = option(
        "how long to wait for the workers to connect, and for a lost one to come back",
        _USERS, metavar="SECONDS", parse=types.positive_float, default="60", unit="s", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip

    report: str = option(
        "folder in which report.json and report.html are written", _REPORT, metavar="DIR", default="report"
    )
    web: ListenAddress | None = option(
        "serve the report while it is being made, at this address "
        f"(default without a value: {DEFAULT_LISTEN_ADDRESS})",
        _REPORT, metavar="HOST:PORT", parse=listen_address, without_value=DEFAULT_LISTEN_ADDRESS,
    )  # fmt: skip
    runs: str = option(
        "folder that keeps the reports of all runs and their index; an empty value keeps none",
        _REPORT,
        metavar="DIR",
        default="runs",
    )
    summary_json: str | None = option(
        "file for the summary of the run as JSON",
        _REPORT, metavar="FILE", compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    junit: str | None = option(
        "file for the verdict and the SLOs of the run as a JUnit report",
        _REPORT, metavar="FILE", compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    resume: str | None = option(
        "continue the interrupted run whose report is in this folder, with the same options", _REPORT, metavar="DIR"
    )
    target_users: int | None = option(
        "also compute the processes and machines that this many users need",
        _REPORT, metavar="USERS", parse=types.positive_int, compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip
    headroom: float = option(
        "share of each process's capacity that the computed deployment keeps in reserve",
        _REPORT, metavar="SHARE", parse=types.fraction, default="30%", unit="%", compare_may_differ=True,
        resume_may_change=True,
    )  # fmt: skip

    price_per_core: float | None = option(
        "price of one CPU core for a month, in any currency: also compute what the --target-users cost a month",
        _REPORT, metavar="PRICE", parse=types.positive_float, compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip

    profile: bool = option(
        "after the search, profile the server's CPU at the highest level that passed and at the lowest that failed",
        _REPORT, parse=None, compare_may_differ=True, resume_may_change=True,
    )  # fmt: skip

    slos: tuple[RunSlo, ...] = ()
    load: LoadOptions = field(default_factory=LoadOptions)
    locustfile_hash: str | None = None

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
    def scenario(self) -> Scenario:
        """The users of the run."""
        default = {} if self.locustfile else {_DEFAULT_CLASS: 1}
        return Scenario(self.locustfile, default if self.mix is None else self.mix)

    @property
    def interval_width(self) -> float:
        """Width of the answer's interval at which the search ends, relative to its lower end."""
        return 0.05 if self.thorough else 0.1

    @property
    def confirmations(self) -> int:
        """How many more times the answer has to pass."""
        return 4 if self.thorough else 2

    @property
    def dialect(self) -> Dialect | None:
        """The dialect of the run; None for that of the classes of `--locustfile`.

        Raises:
            DialectError: there is no such dialect.
        """
        if self.load.dialect is None and self.locustfile is not None:
            return None
        return load_dialect(self.load.dialect or DEFAULT)


RUN_OPTIONS: Final[dict[str, Option]] = options_of(RunSettings)
"""The options of the capacity run itself."""

OPTIONS: Final[dict[str, Option]] = RUN_OPTIONS | LOAD_OPTIONS


_OTHER_COMMANDS: Final = ("compare A B", "drill", "mix", "history")
_RUN: Final = Program(
    words=(),
    kind="a capacity run",
    description="Find how many chat users a server holds within its SLOs, and its bottleneck.",
    epilog=f"Other commands: {', '.join(command_line('capacity', *words.split()) for words in _OTHER_COMMANDS)}. "
    "Each has its own --help.",
)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> RunSettings:
    """Read the command line and the environment.

    Raises:
        UsageError: an option is unknown, or a value or a combination of options is invalid.
        SystemExit: `--help` was given.
    """
    settings = settings_of(parse_options(OPTIONS, arguments, environment, REPLACED, _RUN))
    slos = slos_of(settings, DEFAULT_SLOS if settings.storm is None else DEFAULT_STORM_SLOS)
    if settings.storm is not None:
        check_storm_slos(slos)
    return replace(settings, slos=slos)


def settings_of(values: Mapping[str, Any]) -> RunSettings:
    """Return the settings with these values of all options, without SLOs.

    Raises:
        UsageError: a combination of options is invalid.
    """
    own = {name: values[name] for name in RUN_OPTIONS}
    load = {name: values[name] for name in LOAD_OPTIONS if values[name]}
    settings = RunSettings(**own, load=LoadOptions(load))
    _check_combinations(settings)
    return replace(settings, locustfile_hash=_content_hash(settings.locustfile))


def _content_hash(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:_HASH_LENGTH]
    except OSError as error:
        raise UsageError(f"--locustfile {file}: {error_text(error)}") from None


def _check_combinations(settings: RunSettings) -> None:
    _check_levels(settings)
    if "rooms" in settings.load.given and "room_size" in settings.load.given:
        raise UsageError("--rooms and --room-size exclude each other: give the number of rooms or their size")
    _check_workers(settings)
    try:
        settings.load.headers  # noqa: B018 - checks them
    except ValueError as error:
        raise UsageError(f"--header: {error}") from None
    try:
        dialect = settings.dialect
    except DialectError as error:
        raise UsageError(f"--dialect: {error}") from None
    if not settings.host and dialect is not None and not isinstance(dialect, StampedeDialect):
        raise UsageError(f"--dialect {settings.load.dialect} is for a server at --host, not for the bundled server")
    if settings.host and settings.work_per_message:
        raise UsageError("--work-per-message is for the bundled server: start your own server with it instead")
    if not settings.host and settings.server_pid is not None:
        raise UsageError("--server-pid is for a server at --host: the bundled server is observed without it")
    if settings.host and settings.worker_counts != (1,):
        raise UsageError("--workers-list is for the bundled server: start your own server with several processes")
    if len(set(settings.worker_counts)) < len(settings.worker_counts):
        raise UsageError(f"--workers-list {','.join(map(str, settings.worker_counts))} repeats a number")


def _check_levels(settings: RunSettings) -> None:
    if settings.bounded is not None and settings.steps:
        raise UsageError("--bounded and --steps exclude each other")
    if settings.storm is not None and (settings.bounded is not None or settings.steps or settings.workers_list):
        raise UsageError("--storm sets its own level: omit --bounded, --steps and --workers-list")
    if settings.storm is not None and settings.profile:
        raise UsageError("--profile is for levels of steady users: omit --storm")
    if settings.given and settings.unbounded:
        raise UsageError("--unbounded is a search: omit --bounded, --steps and --storm")
    if settings.price_per_core is not None and settings.target_users is None:
        raise UsageError("--price-per-core is the price of what --target-users needs: give --target-users N as well")
    if settings.users_min > settings.users_max:
        raise UsageError(f"--users-min {settings.users_min} is above --users-max {settings.users_max}")


def _check_workers(settings: RunSettings) -> None:
    if settings.expect_workers is None:
        for name in _OF_WORKERS:
            one = RUN_OPTIONS[name]
            default = one.parse(one.default) if one.parse is not None and one.default is not None else None
            if getattr(settings, name) != default:
                raise UsageError(f"{flag(name)} is for --expect-workers N")
    elif settings.processes is not None:
        raise UsageError(
            "--expect-workers and --processes exclude each other: workers on other machines, or processes on this one"
        )
    elif settings.workers_list is not None:
        raise UsageError("--workers-list starts the load generator several times: omit --expect-workers")


def slos_of(settings: RunSettings, defaults: Sequence[str]) -> tuple[RunSlo, ...]:
    """Return the SLOs of the file and of the options, or the defaults if there are none.

    Raises:
        UsageError: one of them is invalid, or needs a Prometheus.
    """
    from_file = read_slo_file(Path(settings.slo_file)) if settings.slo_file else ()
    given = [parse_slo(text) for text in settings.slo or (() if from_file else defaults)]
    slos = {slo.text: slo for slo in (*from_file, *given)}
    promql = [slo.text for slo in slos.values() if slo.promql]
    if promql and not settings.prometheus:
        raise UsageError(f"{promql[0]} needs a Prometheus to query: add --prometheus URL")
    return tuple(slos.values())


def secret_flags() -> list[str]:
    """Return the flags whose values commands in reports hide."""
    return [flag(name) for name, one in OPTIONS.items() if one.secret]
