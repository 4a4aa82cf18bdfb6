"""The record of an exchange of two users with a server; pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class StepName(enum.StrEnum):
    """The steps of an exchange, in their order."""

    LOGIN = "login"
    CONNECT = "connect"
    OPEN = "open"
    JOIN = "join"
    MESSAGE = "message"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Logged:
    """One message of an exchange.

    Attributes:
        user: number of the user, 1 or 2.
        sent: whether the user sent it; otherwise the user received it.
        payload: the whole message.
        meaning: what the dialect takes it for, such as `joined`; empty if the dialect has no use for it.
    """

    user: int
    sent: bool
    payload: bytes
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one user.

    Attributes:
        name: of the step.
        user: number of the user, 1 or 2.
        ok: whether the step succeeded.
        outcome: what happened, or what failed and what came instead; one line.
        seconds: how long it took; the latency of the delivery for a chat message.
        messages: of both users in this step.
    """

    name: StepName
    user: int
    ok: bool
    outcome: str
    seconds: float
    messages: tuple[Logged, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What the exchange shows about the server.

    Attributes:
        echoes: whether senders receive their own messages; None if the two messages differ in that, or none arrived.
        private_copies: whether senders receive a copy of their message that is no delivery.
        acknowledges_messages: whether the server acknowledges chat messages.
        latencies: of the two deliveries, in seconds from the send.
        change: how the server writes the text that it was sent; empty if it delivers the same bytes.
        problems: why the ledger of a load test would be wrong, one line each.
    """

    echoes: bool | None = None
    private_copies: bool = False
    acknowledges_messages: bool = False
    latencies: tuple[float, ...] = ()
    change: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange of two users in one room.

    Attributes:
        dialect: name of the dialect.
        url: of the first user's connection.
        room: name of the room.
        steps: in the order in which they ended.
        findings: what the exchange shows, as far as it went.
        secrets: texts that must not be shown.
    """

    dialect: str
    url: str
    room: str
    steps: tuple[Step, ...]
    findings: Findings
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def failure(self) -> str:
        """The step that failed, and what came instead, in one line; empty if both messages arrived."""
        failed = next((step for step in self.steps if not step.ok and step.name is not StepName.LEAVE), None)
        return "" if failed is None else f"{failed.name}: {failed.outcome}"
