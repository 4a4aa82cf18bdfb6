"""The terms of pages and reports, each defined once. `docs/glossary.md` shows the same definitions. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Term(NamedTuple):
    """A term and its definition, in one or two plain sentences."""

    name: str
    definition: str

    @property
    def anchor(self) -> str:
        """The anchor of the term's heading in `docs/glossary.md`, as GitHub derives it."""
        return re.sub(r"[^a-z0-9 -]", "", self.name.lower()).replace(" ", "-")


GLOSSARY: Final = (
    Term(
        "batched reading",
        "The load generator reads the connections of users that are not timed from time to time, not at once. That "
        "saves CPU, and the ledger still counts every delivery.",
    ),
    Term(
        "bottleneck",
        "The resource that was used up when a level failed, such as the server's CPU. A missed SLO is a symptom, never "
        "a bottleneck.",
    ),
    Term("churn", "Users that disconnect and come back one by one during the whole run, as people do."),
    Term(
        "delivery",
        "One message at one receiver. A message in a room of 20 makes 19 deliveries, or 20 if the server also returns "
        "it to its sender.",
    ),
    Term(
        "drop",
        "The loss of a user's connection: the server closes it, it fails, or the load test cuts it on purpose.",
    ),
    Term("duplicated", "An arrival that was not owed, such as the second copy of a message."),
    Term("fan-out", "The delivery of one message to all members of its room: the main work of a chat server."),
    Term("headroom", "The share of a process's measured capacity that a deployment keeps in reserve."),
    Term(
        "intended send time",
        "The moment at which a user's schedule sends a message, even if the load generator sends it later. Latency "
        "from this moment includes the time that a message had to wait before it could be sent.",
    ),
    Term(
        "invalid",
        "A verdict on the measurement, not on the server: the load generator was at a limit, or a figure is missing. "
        "Such a measurement neither passes nor fails.",
    ),
    Term(
        "ledger",
        "The count of every delivery: how many were owed, and how many were received, lost, duplicated or reordered.",
    ),
    Term(
        "loop lag",
        "How late a regular timer runs in the event loop of a process. A long lag means that the process was busy or "
        "had to wait for a core.",
    ),
    Term("lost", "A delivery that was owed and did not arrive within five to ten seconds."),
    Term(
        "measurement window",
        "The seconds of a step in which its figures are measured, after the deliveries have become steady.",
    ),
    Term("reconnect storm", "Many users that lose their connections at the same moment and all come back."),
    Term("reordered", "A delivery that a later message of the same sender had overtaken."),
    Term(
        "resync",
        "The return of a dropped user: it is connected, named and in its room again, and has received a delivery. The "
        "time counts from the drop.",
    ),
    Term(
        "send lag",
        "The time from the moment at which a message was due until the load generator was ready to send it. It shows "
        "the health of the load generator, not of the server.",
    ),
    Term(
        "SLO",
        "A service-level objective: a limit on a figure. deliver_p99<250ms means that 99 of 100 deliveries arrive "
        "within 250 ms. A level passes if all SLOs are met.",
    ),
    Term(
        "step",
        "One measurement of a search: a number of users, held until deliveries are steady and then for the measurement "
        "window. Its verdict is pass, fail or invalid.",
    ),
    Term(
        "timed users",
        "The users whose deliveries are read at once, so that their latency is known. They are drawn evenly over all "
        "rooms.",
    ),
    Term("user pool", "The virtual users that one process of the load generator runs."),
)
"""All terms, in alphabetical order."""


def terms(names: Iterable[str]) -> list[Term]:
    """Return the terms with these names, in alphabetical order.

    Raises:
        KeyError: a name is not in the glossary.
    """
    by_name = {term.name: term for term in GLOSSARY}
    wanted = {name: by_name[name] for name in names}
    return [term for term in GLOSSARY if term.name in wanted]
