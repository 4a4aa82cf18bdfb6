"""The check at the start of a test: a wrong dialect ends in one line, not in thousands of users that cannot join."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from stampede.check.exchange import ExchangeSettings, run_exchange
from stampede.check.participant import NO_STEPS
from stampede.dialects.base import Dialect
from stampede.websocket.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.client.user_steps import UserSteps
    from stampede.websocket.target import Target


def room_of(dialect: Dialect) -> str:
    """Return the name of a room that no load test uses, of the form that the dialect requires."""
    number = 2**32 + secrets.randbits(32)
    return f"stampede-check-{number}" if dialect.room_name == Dialect.room_name else dialect.name_room(number)


class CheckError(ClientError):
    """The server has failed the check; the text is one line for the user."""

    def __init__(self, text: str) -> None:
        super().__init__("check failed", text)


def check_exchange(
    target: Target,
    dialect: Dialect,
    accounts: tuple[Mapping[str, str], Mapping[str, str]],
    join_grace: float,
    steps: tuple[UserSteps, UserSteps] = NO_STEPS,
) -> bool:
    """Let two users exchange messages with a server, in a room of their own; return whether senders get an echo.

    Args:
        target: the server.
        dialect: its wire protocol.
        accounts: of the two users.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        steps: what the two users do beside the messages of the dialect.

    Raises:
        CheckError: a step failed, or the server does not do what the dialect says.
    """
    # A leave without confirmation proves nothing, and Action Cable logs an error if it handles one after the close.
    leaves = dialect.acknowledges_leaves
    settings = ExchangeSettings(room_of(dialect), accounts, steps, join_grace=join_grace, leaves=leaves)
    exchange = run_exchange(target, dialect, settings)
    problem = exchange.failure or next(iter(exchange.findings.problems), "")
    if problem:
        raise CheckError(f"the check of {exchange.url} with the dialect {dialect.name} failed: {problem}")
    return bool(exchange.findings.echoes)
