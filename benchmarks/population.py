"""Model the cost of a cluster for a population of users, from the measured cost terms. Used by docs/scaling.md.

Users connect to random nodes, as behind a balancer that counts connections and ignores rooms. Rates are per second. CPU
is in microseconds per second of one node or one NATS server, unless stated otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CORE: Final = 1e6
"""CPU microseconds of one core in one second."""

HEARTBEAT_SECONDS: Final = 30.0
SLOTS: Final = 128
NATS_CORES: Final = 4
"""Cores of a machine that runs a NATS server; NATS uses all of them."""

_MOST_NODES: Final = 100_000


@dataclass(frozen=True, slots=True)
class CostTerms:
    """Measured costs: CPU per event of a node and of NATS, bytes of a bus message, bytes of a membership entry."""

    node: Mapping[str, float]
    nats: Mapping[str, float]
    message_bytes: float
    entry_bytes: float


@dataclass(frozen=True, slots=True)
class Population:
    """The users to serve: their number, members per room, messages per second of each, seconds of a session."""

    users: int
    room_size: int = 20
    message_rate: float = 0.1
    session_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Design:
    """How messages reach other nodes.

    Attributes:
        slots: number of subjects that rooms are hashed onto; 0 gives each room its own subject.
        presence_to_all: whether every node receives every presence change, or only nodes with members in the room.
        by_room: whether all users of a room connect to the same node.
    """

    slots: int = SLOTS
    presence_to_all: bool = True
    by_room: bool = False


TODAY: Final = Design()
BY_INTEREST: Final = Design(slots=0, presence_to_all=False)
BY_ROOM: Final = Design(slots=0, presence_to_all=False, by_room=True)


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """Events per second of one node, by cost term, and the membership entries that it stores for other nodes."""

    second: float
    message: float
    join: float
    write: float
    published: float
    received: float
    discarded: float
    presence: float
    heartbeats: float
    entries: float

    def cpu(self, terms: CostTerms) -> dict[str, float]:
        """Return the CPU of each term; a heartbeat of another node costs as much as a discarded message."""
        cpu = {name: getattr(self, name) * cost for name, cost in terms.node.items()}
        return cpu | {"heartbeats": self.heartbeats * terms.node["discarded"]}


def node_load(population: Population, nodes: int, design: Design = TODAY) -> NodeLoad:
    """Return the expected load of each of so many nodes, for users on random nodes."""
    users, size = population.users, population.room_size
    sent = users * population.message_rate
    arrivals = users / population.session_seconds  # the number of departures is the same
    pings = users / HEARTBEAT_SECONDS
    on_bus = nodes > 1 and not design.by_room
    # Probability that a node has at least one room mate of a given user, who is on another node.
    has_room_mate = 1.0 if nodes == 1 else 1 - (1 - 1 / nodes) ** (size - 1)
    # Rooms with members on a given node, and rooms with members on two given nodes.
    occupied = users / size * (1 - (1 - 1 / nodes) ** size)
    shared = users / size * (1 - 2 * (1 - 1 / nodes) ** size + max(0.0, 1 - 2 / nodes) ** size)
    subscribed = 1 - (1 - 1 / design.slots) ** occupied if design.slots else 0.0
    from_others = (nodes - 1) / nodes if on_bus else 0.0
    return NodeLoad(
        second=1,
        message=(sent + pings) / nodes,
        join=arrivals / nodes,
        write=(sent * (size - 1) + 2 * arrivals * (size - 1) + pings) / nodes,
        published=sent / nodes if on_bus else 0.0,
        received=sent * from_others * has_room_mate,
        discarded=sent * from_others * (1 - has_room_mate) * subscribed,
        presence=2 * arrivals * from_others * (1.0 if design.presence_to_all else has_room_mate),
        heartbeats=nodes - 1 if on_bus else 0.0,
        entries=(nodes - 1) * (occupied if design.presence_to_all else shared) if on_bus else 0.0,
    )


def nodes_needed(population: Population, terms: CostTerms, headroom: float, design: Design = TODAY) -> int | None:
    """Return the smallest number of nodes that keeps the fraction `headroom` of each core free; None if none does."""

    def suffices(nodes: int) -> bool:
        return sum(node_load(population, nodes, design).cpu(terms).values()) <= (1 - headroom) * CORE

    high = 1
    while not suffices(high):
        high *= 2
        if high > _MOST_NODES:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class NatsLoad:
    """The NATS servers that so many nodes need.

    Attributes:
        messages_in: messages per second from the nodes.
        messages_out: messages per second to the nodes.
        servers: number of NATS servers.
        routes: connections between the servers, in a full mesh.
        bytes_out: bytes per second of one server to its nodes and to the other servers.
    """

    messages_in: float
    messages_out: float
    servers: int
    routes: int
    bytes_out: float


def nats_load(
    population: Population, nodes: int, terms: CostTerms, headroom: float, design: Design = TODAY
) -> NatsLoad | None:
    """Return the load of NATS; None for nodes that publish nothing."""
    each = node_load(population, nodes, design)
    if not each.published:
        return None
    presence = 2 * population.users / population.session_seconds
    heartbeats = 3.0 * nodes  # one to all nodes, two to the sender itself
    messages_in = each.published * nodes + presence + heartbeats
    messages_out = nodes * (each.received + each.discarded + each.presence + nodes - 1 + 2)
    servers = 1
    while _nats_cpu(messages_in, messages_out, servers, terms) > (1 - headroom) * NATS_CORES * CORE:
        servers += 1
    forwarded = messages_in / servers * (servers - 1)
    out = (messages_out / servers + forwarded) * terms.message_bytes
    return NatsLoad(messages_in, messages_out, servers, servers * (servers - 1) // 2, out)


def _nats_cpu(messages_in: float, messages_out: float, servers: int, terms: CostTerms) -> float:
    """Return the CPU of one of several NATS servers, which forward each message once to every other server."""
    forwarded = messages_in / servers * (servers - 1)
    cost = terms.nats
    return (
        cost["second"]
        + (messages_in / servers + forwarded) * cost["in"]
        + (messages_out / servers + forwarded) * cost["out"]
    )
