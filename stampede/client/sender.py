"""What a user says: stamped messages, at their moment where that can be, and as soon as it can be where not.

Stamped is what is sent, when it is sent: the two clocks of a delivery part where the server takes no bytes, or the
connection is lost for a while.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from stampede.client.outbox import SKIP_AFTER, Outbox
from stampede.ledger import stamp

if TYPE_CHECKING:
    from stampede.client.client import Identity
    from stampede.ledger.room import Membership
    from stampede.measure.measures import Measures
    from stampede.websocket.connection import Connection

_SAY: Final = b'{"type":"chatMessage","text":"%b%b"}'

TOO_LATE: Final = "skipped: too late"
NOT_TAKEN: Final = "skipped: not taken"
TOO_MANY: Final = "skipped: too many held back"
AWAY_TOO_LONG: Final = "skipped: not in a room"
HELD_TOO_LONG: Final = "skipped: held back too long"


class Sender:
    """Sends what one user has to say, over whatever connection it has at the time.

    Args:
        measures: of this process.
        identity: of this process.
        padding: what a message says after its stamp.
    """

    __slots__ = ("_identity", "_measures", "_outbox", "_padding")

    def __init__(self, measures: Measures, identity: Identity, padding: bytes) -> None:
        self._measures = measures
        self._identity = identity
        self._padding = padding
        self._outbox = Outbox()

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return bool(self._outbox)

    def say(self, connection: Connection | None, membership: Membership | None, intended: int, *, away: bool) -> None:
        """Send a message that was due at `intended`, keep it while it cannot be sent, or count why not.

        Args:
            connection: of the user, if it has one.
            membership: in its room, if it is in one or about to be.
            intended: monotonic nanoseconds.
            away: whether it is out of its room on purpose, so that it is no failure if it cannot speak.
        """
        now = monotonic_ns()
        if now - intended > SKIP_AFTER:
            self._measures.skip(TOO_LATE)
        elif away:
            self._measures.skip(None)
        elif connection is None or membership is None or not membership.joined or connection.congested:
            self._hold(intended, now, in_room=membership is not None and membership.joined)
        elif self._send(connection, membership, intended, now):
            self._measures.sent_after(now - intended)
        else:
            self._measures.skip(NOT_TAKEN)

    def _send(self, connection: Connection, membership: Membership, intended: int, now: int) -> bool:
        room, slot, identity = membership.room, membership.slot, self._identity
        prefix = stamp.make(intended, now, identity.host, identity.origin, room.number, slot, room.next_seq[slot])
        if not connection.send_text(_SAY % (prefix, self._padding)):
            return False
        room.send(membership)
        return True

    def _hold(self, intended: int, now: int, *, in_room: bool) -> None:
        measures = self._measures
        measures.skip_held(HELD_TOO_LONG if in_room else AWAY_TOO_LONG, self._outbox.expire(now))
        if self._outbox.keep(intended, now - intended):
            measures.waiting += 1
        else:
            measures.skip(TOO_MANY)

    def catch_up(self, connection: Connection, membership: Membership) -> None:
        """Send what was held back, the oldest first, as long as it is taken; the user is in its room."""
        measures = self._measures
        while self._outbox and not connection.congested:
            now = monotonic_ns()
            measures.skip_held(HELD_TOO_LONG, self._outbox.expire(now))
            oldest = self._outbox.next()
            if oldest is not None:
                intended, lag = oldest
                if self._send(connection, membership, intended, now):
                    measures.sent_held(lag, now - intended)
                else:
                    measures.skip_held(NOT_TAKEN, 1)

    def give_up(self, why: str | None = None) -> None:
        """Say no more of what is held back; without a reason that is no failure."""
        self._measures.skip_held(why, self._outbox.clear())
