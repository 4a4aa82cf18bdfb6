"""An exchange of two users in one room: connect, open, join, one message each way, leave.

It uses the chat connections of a load test, so that a server which passes works in a load test, too. The exchange ends
at the first step that fails. Its users are in no ledger but their own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Final, NoReturn

from stampede.check.findings import find
from stampede.check.participant import NO_STEPS, Participant
from stampede.check.probe import change_of, contains_text
from stampede.check.result import Exchange, Findings, Logged, Step, StepName
from stampede.check.texts import address_of, came_instead, refusal
from stampede.client.context import DEFAULT_JOIN_GRACE
from stampede.client.replies import AnswerError
from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.room import Room
from stampede.waiting import wait_until
from stampede.websocket.errors import ClientError, ConnectError
from stampede.websocket.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.client.user_steps import UserSteps
    from stampede.dialects.base import Dialect
    from stampede.websocket.target import Target

STEP_SECONDS: Final = 10.0
"""Longest time of a step, as in a load test."""

ECHO_SECONDS: Final = 1.0
"""Time after the last delivery in which senders may still receive their own messages."""

_ECHO_FACTOR: Final = 5
"""A slow server has this many times the latency of its deliveries, if that is longer."""


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """Settings of an exchange.

    Attributes:
        room: name of the room.
        accounts: of the two users, each with its name as `user`.
        steps: what the two users do beside the messages of the dialect.
        timeout: longest time of a step, in seconds.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        waits_for_copies: whether to wait for copies of a message that the dialect does not announce.
        leaves: whether to leave the room before the connections are closed.
    """

    room: str
    accounts: tuple[Mapping[str, str], Mapping[str, str]]
    steps: tuple[UserSteps, UserSteps] = NO_STEPS
    timeout: float = STEP_SECONDS
    join_grace: float = DEFAULT_JOIN_GRACE
    waits_for_copies: bool = False
    leaves: bool = True


def run_exchange(target: Target, dialect: Dialect, settings: ExchangeSettings) -> Exchange:
    """Let two users exchange messages over a server; return what they sent and received. Other greenlets run meanwhile.

    Both connect to the same address of the server: the check is about its protocol, not about a bus between instances.

    A failure of the server is part of the result.
    """
    return _Run(target, dialect, settings).run()


class _FailedError(Exception):
    """A step has failed, and is recorded."""


class _Run:
    """One exchange."""

    def __init__(self, target: Target, dialect: Dialect, settings: ExchangeSettings) -> None:
        room = Room(0, settings.room, AddressPairs(), echoes=bool(dialect.echoes))
        context = (room, secrets.randbits(32))
        self._target = target
        self._dialect = dialect
        self._settings = settings
        self._reactor = Reactor(Random(), _ignore_fault)
        self._log: list[Logged] = []
        self._users = [
            Participant(
                number=number,
                dialect=dialect,
                account=account,
                context=context,
                join_grace=settings.join_grace,
                steps=steps,
                log=self._log,
            )
            for number, (account, steps) in enumerate(zip(settings.accounts, settings.steps, strict=True), 1)
        ]
        self._steps: list[Step] = []
        self._logged = 0  # messages of earlier steps
        self._began = 0.0
        self._confirms_joins = True
        self._findings = Findings()

    def run(self) -> Exchange:
        """Run the exchange, and close the connections."""
        try:
            self._exchange()
        except _FailedError:
            pass
        finally:
            for user in self._users:
                user.close()
            self._reactor.close()
        return Exchange(
            self._dialect.name,
            address_of(self._users[0].target or self._target, self._secrets),
            self._settings.room,
            tuple(self._steps),
            self._findings,
            self._secrets,
        )

    @property
    def _secrets(self) -> tuple[str, ...]:
        """The columns of the accounts and what the logins have saved, except the names of the users and the room."""
        pairs = (pair for user in self._users for pair in user.values.items())
        values = {value for name, value in pairs if name not in {"user", "number"}}
        return tuple(sorted(values - {"", self._settings.room}))

    def _exchange(self) -> None:
        first, second = self._users
        for user in self._users:
            self._log_in(user)
            self._open(user)
        for user in self._users:
            self._join(user)
        acknowledged = [self._send(sender, receiver) for sender, receiver in ((first, second), (second, first))]
        self._await_copies()
        self._findings = find(
            self._dialect,
            [
                second.receipt_of(first, self._log, acknowledged=acknowledged[0]),
                first.receipt_of(second, self._log, acknowledged=acknowledged[1]),
            ],
        )
        for user in self._users if self._settings.leaves else ():
            self._leave(user)

    # --- steps ---

    def _begin(self) -> None:
        self._began = monotonic()
        for user in self._users:
            user.begin_step()

    def _end(self, name: StepName, user: Participant, outcome: str, *, ok: bool = True) -> None:
        """Record a step with the messages of both users since the last one."""
        messages = tuple(self._log[self._logged :])
        self._logged += len(messages)
        self._steps.append(Step(name, user.number, ok, outcome, monotonic() - self._began, messages))

    def _fail(self, name: StepName, user: Participant, what: str, witness: Participant | None = None) -> NoReturn:
        """Record a step that failed, with what the server has sent to its witness instead, and end the exchange."""
        if witness is not None:
            received = self._received_by(witness)
            what = f"{what}; {came_instead(received, witness.ignored, self._secrets)}"
        self._end(name, user, what, ok=False)
        raise _FailedError

    def _received_by(self, user: Participant) -> list[Logged]:
        """Return the messages that a user has received since the last step."""
        return [one for one in self._log[self._logged :] if one.user == user.number and not one.sent]

    def _why(self, user: Participant) -> str:
        """Return why the server has ended a step, for the user; empty if it has not."""
        if user.refusal:
            return f"the server {refusal(user.refusal)}"
        return f"the server closed the connection: {user.recorder.closed}" if user.recorder.closed else ""

    def _log_in(self, user: Participant) -> None:
        self._begin()
        try:
            user.log_in(self._target)
        except ClientError as error:
            self._fail(StepName.LOGIN, user, str(error))

    def _open(self, user: Participant) -> None:
        self._begin()
        timeout = self._settings.timeout
        try:
            user.open(self._reactor, timeout)
        except ConnectError as error:
            del self._log[self._logged :]  # nothing was sent
            address = address_of(user.target or self._target, self._secrets)
            self._fail(StepName.CONNECT, user, f"cannot connect to {address}: {error}")
        except ClientError:
            waited = f"no answer within {timeout:g} s: expected {user.awaited}"
            self._fail(StepName.OPEN, user, self._why(user) or waited, user)
        self._target = replace(self._target, preferred=user.address)
        self._end(StepName.OPEN, user, "accepted" if self._dialect.confirms_opening else "connected")

    def _join(self, user: Participant) -> None:
        self._begin()
        timeout, grace = self._settings.timeout, self._settings.join_grace
        try:
            confirmed = user.join(timeout)
        except AnswerError:
            self._fail(StepName.JOIN, user, self._why(user) or f"no confirmation within {timeout:g} s", user)
        except ClientError as error:  # of an HTTP request, or the connection is lost
            self._fail(StepName.JOIN, user, self._why(user) or str(error), user if self._why(user) else None)
        wait_until(lambda: user.has_joined or bool(self._why(user)), grace + timeout)
        if self._why(user) or not user.has_joined:
            self._fail(StepName.JOIN, user, self._why(user) or "not joined", user)
        self._confirms_joins &= confirmed
        self._end(StepName.JOIN, user, "confirmed" if confirmed else f"not confirmed, waited {grace:g} s")

    def _send(self, sender: Participant, receiver: Participant) -> bool:
        """Send a message, and wait for its delivery; return whether the server has acknowledged it."""
        self._begin()
        timeout = self._settings.timeout
        try:
            sender.say()
        except (ClientError, NotImplementedError) as error:
            self._fail(StepName.MESSAGE, sender, str(error))
        wait_until(
            lambda: bool(receiver.deliveries_of(sender) or self._why(sender) or receiver.recorder.closed), timeout
        )
        arrived = receiver.deliveries_of(sender)
        if not arrived:
            self._fail_to_deliver(sender, receiver)
        if self._dialect.acknowledges_messages:
            wait_until(lambda: sender.is_acknowledged or bool(self._why(sender)), timeout)
            if not sender.is_acknowledged:
                what = self._why(sender) or f"delivered, but not acknowledged within {timeout:g} s"
                self._fail(StepName.MESSAGE, sender, what, sender)
        at, (_, sent, *_), _ = arrived[0]
        self._end(StepName.MESSAGE, sender, f"delivered to user {receiver.number} in {(at - sent) / 1e6:.1f} ms")
        return sender.is_acknowledged

    def _fail_to_deliver(self, sender: Participant, receiver: Participant) -> NoReturn:
        if self._why(sender):
            self._fail(StepName.MESSAGE, sender, self._why(sender), sender)
        what = f"not delivered to user {receiver.number} within {self._settings.timeout:g} s"
        if receiver.recorder.closed:
            what = f"not delivered to user {receiver.number}: {self._why(receiver)}"
        for one in self._received_by(receiver):
            if contains_text(one.payload):
                change = change_of(one.payload, sender.recorder.stamps[-1], found=False)
                what = f"{what}: {change or 'the text arrived, but the dialect does not find it'}"
                break
        else:
            # What the sender received in this step, such as a refusal, is a better explanation.
            if not (receiver.recorder.closed or self._confirms_joins or self._received_by(sender)):
                what = f"{what}; the server does not confirm joins: one may need longer than --join-grace"
        has_nothing = not receiver.ignored and not self._received_by(receiver)
        self._fail(StepName.MESSAGE, sender, what, sender if has_nothing else receiver)

    def _await_copies(self) -> None:
        """Wait until senders have received what the dialect says, and for further copies if the settings say so."""
        slowest = max(step.seconds for step in self._steps if step.name is StepName.MESSAGE)
        seconds = max(ECHO_SECONDS, _ECHO_FACTOR * slowest)
        if self._settings.waits_for_copies:
            wait_until(lambda: False, seconds)
        elif self._dialect.echoes is not False:
            wait_until(lambda: all(user.deliveries_of(user) for user in self._users), seconds)

    def _leave(self, user: Participant) -> None:
        """Leave the room, if the server confirms that; a message right before the end is an error for some servers."""
        self._begin()
        if not self._dialect.acknowledges_leaves:
            self._end(StepName.LEAVE, user, "by closing the connection")
            return
        try:
            ok = user.leave(self._settings.timeout)
        except ClientError as error:
            self._end(StepName.LEAVE, user, str(error), ok=False)
        else:
            self._end(StepName.LEAVE, user, "confirmed" if ok else "not confirmed", ok=ok)


def _ignore_fault(error: Exception) -> None:
    """Ignore faults of the reactor: a connection that has one is lost, and its step fails."""
