"""How an option of a run is declared: once, as a field of `RunSettings`.

The command line, the environment names, the help, the settings of a report, and the rules for `--resume`, `compare` and
`history` are derived from these declarations.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import configargparse

from capacity.config.invocation import command_line
from capacity.errors import UsageError
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENVIRONMENT_PREFIX: Final = "STAMPEDE_CAPACITY_"
FIRST: Final = "options that most people need first"
"""Heading of a few options of all groups in the help."""

_METADATA: Final = "option"


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        group: heading of the option in the help and in the documentation.
        first: whether the help shows it before all groups, among the options that most people need.
        parse: converts the text; None for a switch without a value.
        default: as text, as it is typed; `thorough`: the default with `--thorough`.
        without_value: the value of the option if it is given without one; None if it needs one.
        repeatable: whether each occurrence adds a value to a tuple.
        secret: whether commands in reports hide the value.
        unit: of the value in a report's page: `s`, `%` or empty.
        resume_may_change: whether `--resume` may use another value than the run that it continues.
        compare_may_differ: whether `compare` accepts runs with different values: the option changes how a run is
            measured, not its question.
        defines_question: whether `history` shows runs with different values in different charts.
        selects_levels: whether the option replaces the search by given levels.
    """

    help: str
    group: str
    first: bool = False
    parse: Callable[[str], object] | None = str
    metavar: str | None = None
    default: str | None = None
    thorough: str | None = None
    without_value: str | None = None
    repeatable: bool = False
    secret: bool = False
    unit: str = ""
    resume_may_change: bool = False
    compare_may_differ: bool = False
    defines_question: bool = False
    selects_levels: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A command, as its help and its errors describe it.

    Attributes:
        words: of the command line after the module, such as `drill`; none for a capacity run.
        kind: what the command does, such as `a capacity run`, in errors.
    """

    words: tuple[str, ...]
    kind: str
    description: str
    epilog: str

    @property
    def command(self) -> str:
        """The command line up to the options."""
        return command_line("capacity", *self.words)


def option(help_text: str, group: str, **attributes: Any) -> Any:
    """Declare a field of the settings as an option."""
    return dataclasses.field(metadata={_METADATA: Option(help_text, group, **attributes)})


def options_of(settings: type) -> dict[str, Option]:
    """Return the options that a settings class declares, by field name."""
    return {
        field.name: field.metadata[_METADATA] for field in dataclasses.fields(settings) if _METADATA in field.metadata
    }


def flag(name: str) -> str:
    """Return the command-line flag of a field."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def parse_options(
    options: Mapping[str, Option],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    replaced: Mapping[str, str],
    program: Program,
) -> dict[str, Any]:
    """Parse arguments and environment into the values of all options, by field name.

    Args:
        options: the options by field name.
        arguments: the command line.
        environment: the environment.
        replaced: options that are refused, and what to use instead.
        program: the command.

    Raises:
        UsageError: an option is unknown, or a value is invalid.
        SystemExit: `--help` was given.
    """
    parser = _parser(options, replaced, program)
    values = vars(parser.parse_args(list(arguments), env_vars=dict(environment)))
    if values.get("thorough"):
        parser.set_defaults(**{name: one.thorough for name, one in options.items() if one.thorough is not None})
        values = vars(parser.parse_args(list(arguments), env_vars=dict(environment)))
    return {name: tuple(values[name] or ()) if one.repeatable else values[name] for name, one in options.items()}


class _Parser(configargparse.ArgumentParser):  # type: ignore[misc] # configargparse has no annotations
    """Report errors as one line without secrets."""

    def error(self, message: str) -> NoReturn:
        """Raise the error that `main` prints."""
        raise UsageError(redact(message))


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults, except where an option has none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


def _parser(options: Mapping[str, Option], replaced: Mapping[str, str], program: Program) -> _Parser:
    parser = _Parser(
        prog=program.command,
        usage=f"{program.command} [--host URL] [OPTION ...]",
        description=program.description,
        epilog=program.epilog,
        auto_env_var_prefix=ENVIRONMENT_PREFIX,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    groups: dict[str, Any] = {FIRST: parser.add_argument_group(FIRST)}
    for name, one in options.items():
        heading = FIRST if one.first else one.group
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        kind: dict[str, Any] = {"action": "store_true"}
        if one.parse is not None:
            action = "append" if one.repeatable else "store"
            parse = argument_type(one.parse, secret=one.secret)
            kind = {"type": parse, "metavar": one.metavar, "default": one.default, "action": action}
            if one.without_value is not None:
                kind |= {"nargs": "?", "const": parse(one.without_value)}
        # argparse formats help with the % operator
        groups[heading].add_argument(flag(name), help=one.help.replace("%", "%%"), **kind)
    for name, instead in replaced.items():
        refuse = _refusal(f"not an option of {program.kind}: {instead}")
        # A switch has no value; argparse then parses the constant.
        parser.add_argument(flag(name), help=argparse.SUPPRESS, type=refuse, nargs="?", const="", env_var=None)
    return parser


def _refusal(text: str) -> Callable[[str], object]:
    """Return a parser that refuses every value."""

    def parse(_value: str) -> object:
        raise argparse.ArgumentTypeError(text)

    return parse


def argument_type(parse: Callable[[str], object], *, secret: bool = False) -> Callable[[str], object]:
    """Return a parser for argparse, whose errors name the value unless it is secret."""

    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            shown = "the value" if secret else repr(redact(text))
            raise argparse.ArgumentTypeError(f"{shown} is {error}") from None

    return read
