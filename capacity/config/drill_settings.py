"""The settings of a drill: its own options, and those of the capacity run that do not belong to the search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from capacity.config import option_types as types
from capacity.config.load_options import LOAD_OPTIONS, REPLACED
from capacity.config.options import Program, option, options_of, parse_options
from capacity.config.settings import RUN_OPTIONS, RunSettings, settings_of, slos_of
from capacity.config.slo import DEFAULT_DRILL_SLOS, check_drill_slos
from capacity.errors import UsageError
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.options import Option

_DRILL: Final = "drill"
_ALL: Final = "100%"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSettings:
    """The settings of one drill.

    Attributes:
        run_settings: the options of the capacity run.
    """

    users: int = option(
        "number of users that are held while the command runs",
        _DRILL,
        first=True,
        metavar="USERS",
        parse=types.positive_int,
    )
    run: str = option(
        "command to run through the shell: it must end when the deploy, failover or restart is over",
        _DRILL, first=True, metavar="COMMAND",
    )  # fmt: skip
    command_timeout: float = option(
        "time limit of the command, after which it is ended and the drill is invalid",
        _DRILL, metavar="SECONDS", parse=types.positive_float, default="600", unit="s",
    )  # fmt: skip
    recovery_timeout: float = option(
        "time limit, after the command, until all users are back and latency is as before",
        _DRILL, metavar="SECONDS", parse=types.positive_float, default="120", unit="s",
    )  # fmt: skip

    run_settings: RunSettings

    @property
    def longest_s(self) -> float:
        """Seconds that a drill takes at most, without the start of the server and the load generator."""
        own = self.run_settings
        return own.settle + own.window + self.command_timeout + self.recovery_timeout

    @property
    def title(self) -> str:
        """Title of the live display."""
        return f"Stampede drill: {self.users} {self.run_settings.scenario.noun} while this runs: {redact(self.run)}"


DRILL_OPTIONS: Final[dict[str, Option]] = options_of(DrillSettings)
"""The options of the drill itself."""

_LEVEL: Final = "the level is --users"
_ONE_COMMAND: Final = "a drill is one command at one level"
REFUSED: Final = {
    "workers_list": "start your own server with several processes, and give its --host",
    "users_min": _LEVEL,
    "users_max": _LEVEL,
    "unbounded": _LEVEL,
    "bounded": _LEVEL,
    "steps": _LEVEL,
    "storm": "the command causes the drops",
    "max_duration": "use --command-timeout and --recovery-timeout",
    "thorough": "use --window",
    "profile": _ONE_COMMAND,
    "resume": _ONE_COMMAND,
    "target_users": _ONE_COMMAND,
    "headroom": _ONE_COMMAND,
    "price_per_core": _ONE_COMMAND,
}
"""Options of the capacity run that a drill does not take, and why."""

_SHARED: Final = {name: one for name, one in RUN_OPTIONS.items() if name not in REFUSED}

_PROGRAM: Final = Program(
    words=("drill",),
    kind="a drill",
    description="Hold users, run a command that disturbs the server, such as a deploy, and report what the users felt.",
    epilog="Exit code 0: the SLOs were met; 99: one was missed; 98: invalid, also if the command failed; 2: usage.",
)


def read_drill_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> DrillSettings:
    """Read the command line and the environment.

    Raises:
        UsageError: an option is unknown or missing, or a value or a combination of options is invalid.
        SystemExit: `--help` was given.
    """
    options = DRILL_OPTIONS | _SHARED | LOAD_OPTIONS
    values = parse_options(options, arguments, environment, REPLACED | REFUSED, _PROGRAM)
    users, command = values["users"], values["run"]
    if users is None or not (command or "").strip():
        raise UsageError("a drill needs --users N and --run 'COMMAND'; see docs/how-to/rolling-deploys.md")
    # Users that are read in batches notice a close frame late.
    values["timed_share"] = values["timed_share"] or _ALL
    unused = parse_options({name: RUN_OPTIONS[name] for name in REFUSED}, [], {}, {}, _PROGRAM)
    run_settings = settings_of({**unused, **values, "bounded": users})
    slos = slos_of(run_settings, DEFAULT_DRILL_SLOS)
    check_drill_slos(slos)
    return DrillSettings(
        **{name: values[name] for name in DRILL_OPTIONS}, run_settings=replace(run_settings, slos=slos)
    )
