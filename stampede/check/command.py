"""The command `python -m stampede check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from stampede.argument_types import base_url, endpoint_path
from stampede.check.exchange import STEP_SECONDS, ExchangeSettings, run_exchange
from stampede.check.participant import NO_STEPS
from stampede.check.report import report
from stampede.check.start import room_of
from stampede.client.context import DEFAULT_JOIN_GRACE
from stampede.client.user_steps import UserSteps
from stampede.credentials_file import read_accounts
from stampede.dialect_registry import DEFAULT, FORMS, DialectError, load_dialect
from stampede.dialects.base import Dialect
from stampede.redaction import redact
from stampede.websocket.errors import ClientError, TargetError
from stampede.websocket.headers import all_headers
from stampede.websocket.target import DEFAULT_HOST, http_url, join_url, resolve
from stampede.workload.accounts import account_of

if TYPE_CHECKING:
    from collections.abc import Sequence

StepsFactory: TypeAlias = Callable[
    [Dialect, tuple[Mapping[str, str], Mapping[str, str]], str], tuple[UserSteps, UserSteps]
]
"""Returns what the two users do over HTTP, given the dialect, their accounts and the base URL."""

PASSED: Final = 0
FAILED: Final = 1

DEFAULT_ROOM: Final = "stampede-check"


class CommandError(Exception):
    """The command cannot run; the text is one line for the user."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = (
        "Let two users exchange a message each way in one room of a server, print each step, and compare the server "
        "with its dialect."
    )
    parser.epilog = (
        f"Exit codes: {PASSED}: both messages arrived. {FAILED}: a step failed, and the last line says which one and "
        "what came instead; or the server does not do what the dialect says. 2: an option is invalid."
    )
    add = parser.add_argument
    add("--dialect", default=DEFAULT, help=f"protocol of the server: {FORMS} (default: {DEFAULT})")
    add("--host", default=DEFAULT_HOST, help=f"URL of the server (default: {DEFAULT_HOST})")
    add(
        "--path",
        type=endpoint_path,
        help="path of the endpoint, unless --host contains one (default: that of the dialect)",
    )
    add("--room", help=f"name of the room (default: {DEFAULT_ROOM}, or a name of the form that the dialect requires)")
    add("--http-host", type=base_url, help="base URL of HTTP requests (default: --host with http for ws)")
    account = parser.add_mutually_exclusive_group()
    account.add_argument("--token", help="bearer token of both users")
    account.add_argument("--credentials", metavar="FILE", help="CSV file of accounts; the first two rows are used")
    add("--header", action="append", default=[], help="header of each upgrade request, repeatable")
    add("--origin", help="Origin header of each upgrade request")
    add("--insecure", action="store_true", help="accept any certificate of a wss:// server")
    add("--ca-file", metavar="FILE", help="trusted certificates (PEM) for a wss:// server")
    add(
        "--timeout",
        type=_seconds(0.001),
        default=STEP_SECONDS,
        metavar="SECONDS",
        help=f"longest time of a step (default: {STEP_SECONDS:g})",
    )
    add(
        "--join-grace",
        type=_seconds(0),
        default=DEFAULT_JOIN_GRACE,
        metavar="SECONDS",
        help="time after which a user counts as joined, if the server does not confirm joins (default: "
        f"{DEFAULT_JOIN_GRACE:g})",
    )


def _seconds(low: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not low <= value <= 600:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between {low:g} and 600")
        return value

    return parse


def run(options: argparse.Namespace, make_steps: StepsFactory | None) -> int:
    """Run the check and print it; return the exit code.

    Args:
        options: of the command line.
        make_steps: makes the HTTP requests that the dialect declares; None if it declares none.

    Raises:
        CommandError: an option is unusable.
        StampedeError: the accounts lack a column that the dialect needs.
    """
    try:
        dialect = load_dialect(options.dialect)
    except DialectError as error:
        raise CommandError(f"--dialect: {error}") from error
    accounts = _accounts(options)
    dialect.check_columns(accounts[0].keys() if accounts else ())
    try:
        headers = all_headers(options.header, options.origin, has_token=any("token" in one for one in accounts))
    except ValueError as error:
        raise CommandError(f"--header: {error}") from error
    try:
        url = join_url(options.host, options.path or dialect.path)
        target = resolve(url, verify=not options.insecure, ca_file=options.ca_file, headers=headers)
    except TargetError as error:
        raise CommandError(str(error)) from error
    except ClientError as error:
        raise CommandError(f"--host {redact(options.host)}: {error}") from error
    users = (account_of(0, accounts), account_of(1, accounts))
    http_host = options.http_host or http_url(options.host)
    settings = ExchangeSettings(
        options.room or (DEFAULT_ROOM if dialect.room_name == Dialect.room_name else room_of(dialect)),
        users,
        steps=make_steps(dialect, users, http_host) if make_steps is not None else NO_STEPS,
        timeout=options.timeout,
        join_grace=options.join_grace,
        waits_for_copies=True,
    )
    exchange = run_exchange(target, dialect, settings)
    print("\n".join(report(exchange, dialect)), flush=True)
    problem = exchange.failure or next(iter(exchange.findings.problems), "")
    if problem:
        print(problem, file=sys.stderr, flush=True)
        return FAILED
    return PASSED


def _accounts(options: argparse.Namespace) -> Sequence[Mapping[str, str]]:
    if options.credentials is None:
        return [{"token": options.token}] if options.token else []
    try:
        return read_accounts(options.credentials)
    except ValueError as error:
        raise CommandError(f"--credentials {options.credentials}: {error}") from error
