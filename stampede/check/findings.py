"""What an exchange shows about a server, compared with what its dialect says; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stampede.check.result import Findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.dialects.base import Dialect


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one chat message.

    Attributes:
        latency: of the delivery, in seconds from the send.
        deliveries: how often the other user has received it.
        own: how often the sender has received it as a delivery.
        private_copies: how often the sender has received it otherwise, apart from acknowledgements.
        acknowledged: whether the server has acknowledged it.
        change: how the server writes the text.
    """

    latency: float
    deliveries: int
    own: int
    private_copies: int
    acknowledged: bool
    change: str


def find(dialect: Dialect, receipts: Sequence[Receipt]) -> Findings:
    """Return what the receipts of both messages show."""
    echoes = {receipt.own > 0 for receipt in receipts}
    return Findings(
        echoes=echoes.pop() if len(echoes) == 1 else None,
        private_copies=any(receipt.private_copies for receipt in receipts),
        acknowledges_messages=all(receipt.acknowledged for receipt in receipts),
        latencies=tuple(receipt.latency for receipt in receipts),
        change=next((receipt.change for receipt in receipts if receipt.change), ""),
        problems=tuple(_problems(dialect, receipts)),
    )


def _problems(dialect: Dialect, receipts: Sequence[Receipt]) -> Iterator[str]:
    """Yield why the ledger would be wrong."""
    echoed = [receipt.own > 0 for receipt in receipts]
    if any(echoed) != all(echoed):
        first, second = ("first", "second") if echoed[0] else ("second", "first")
        yield f"the sender of the {first} message received it itself, the sender of the {second} one did not"
    elif dialect.echoes is True and not any(echoed):
        yield "senders do not receive their own messages, but the dialect says so: each would count as lost"
    elif dialect.echoes is False and any(echoed):
        yield "senders receive their own messages, but the dialect denies it: each would count as duplicated"
    if any(receipt.own > 1 for receipt in receipts):
        yield (
            "a sender received its own message twice: each second one would count as duplicated; if it is a private "
            "copy, the dialect must tell it from a delivery"
        )
    if any(receipt.deliveries > 1 for receipt in receipts):
        yield "a message was delivered twice: each second delivery would count as duplicated"
