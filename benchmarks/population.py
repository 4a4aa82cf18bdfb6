"""What a cluster costs, from the measured terms of a node and of the bus: the arithmetic behind docs/scaling.md.

    .venv/bin/python -m capacity.population docs/scaling.json

Users are dealt over nodes at random, as a balancer by least connections does that knows nothing of rooms. All rates are
per second, CPU in microseconds per second of one node or one NATS server unless said otherwise.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CORE: Final = 1e6
"""CPU microseconds that a core has in a second."""

HEARTBEAT_SECONDS: Final = 30.0
SLOTS: Final = 128
BUS_CORES: Final = 4
"""Cores of a machine that runs a NATS server, which uses as many as there are."""

_MOST_NODES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Measured: CPU of one of each in a node and in NATS, bytes of a bus message, bytes of an entry of members."""

    node: Mapping[str, float]
    bus: Mapping[str, float]
    message_bytes: float
    entry_bytes: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is to be served: users, in rooms of a size, messages of each a second, seconds that one stays."""

    users: int
    room_size: int = 20
    message_rate: float = 0.1
    session_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Design:
    """How nodes find each other's messages.

    Attributes:
        slots: subjects that rooms are hashed onto; 0: each room has its own.
        presence_to_all: whether every node is told of every coming and going, or only those with members in the room.
        by_room: whether a room's users all come to one node.
    """

    slots: int = SLOTS
    presence_to_all: bool = True
    by_room: bool = False


TODAY: Final = Design()
BY_INTEREST: Final = Design(slots=0, presence_to_all=False)
BY_ROOM: Final = Design(slots=0, presence_to_all=False, by_room=True)


@dataclass(frozen=True, slots=True)
class Node:
    """What one node does in a second, by term of its cost, and what it has to remember of the others."""

    second: float
    message: float
    join: float
    write: float
    published: float
    heard: float
    overheard: float
    joined: float
    beats: float
    entries: float

    def cpu(self, terms: Terms) -> dict[str, float]:
        """Return the CPU of each term; a beat is taken for a message that nobody here is to hear."""
        cpu = {name: getattr(self, name) * cost for name, cost in terms.node.items()}
        return cpu | {"beats": self.beats * terms.node["overheard"]}


def node(crowd: Crowd, nodes: int, design: Design = TODAY) -> Node:
    """Return what each of so many nodes does, in expectation over where users happen to be."""
    users, size = crowd.users, crowd.room_size
    said = users * crowd.message_rate
    turns = users / crowd.session_seconds  # arrivals; as many depart
    beats = users / HEARTBEAT_SECONDS
    alone = nodes == 1
    has_one = 1.0 if alone else 1 - (1 - 1 / nodes) ** (size - 1)  # of the room mates of a given user
    occupied = users / size * (1 - (1 - 1 / nodes) ** size)  # rooms with members here
    shared = users / size * (1 - 2 * (1 - 1 / nodes) ** size + max(0.0, 1 - 2 / nodes) ** size)  # and on a given other
    listens = 1 - (1 - 1 / design.slots) ** occupied if design.slots else 0.0
    elsewhere = 0.0 if alone or design.by_room else (nodes - 1) / nodes
    heard = said * elsewhere * has_one
    told = 2 * turns * (0.0 if alone or design.by_room else elsewhere * (1.0 if design.presence_to_all else has_one))
    return Node(
        second=1,
        message=(said + beats) / nodes,
        join=turns / nodes,
        write=(said * (size - 1) + 2 * turns * (size - 1) + beats) / nodes,
        published=0.0 if alone or design.by_room else said / nodes,
        heard=heard,
        overheard=said * elsewhere * (1 - has_one) * listens,
        joined=told,
        beats=0.0 if alone or design.by_room else nodes - 1,
        entries=0.0 if alone or design.by_room else (nodes - 1) * (occupied if design.presence_to_all else shared),
    )


def nodes_needed(crowd: Crowd, terms: Terms, headroom: float, design: Design = TODAY) -> int | None:
    """Return the least number of nodes that leave so much of their core free; None when no number does."""

    def holds(nodes: int) -> bool:
        return sum(node(crowd, nodes, design).cpu(terms).values()) <= (1 - headroom) * CORE

    many = 1
    while not holds(many):
        many *= 2
        if many > _MOST_NODES:
            return None
    few = many // 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if holds(middle) else (middle, many)
    return many


@dataclass(frozen=True, slots=True)
class Bus:
    """The NATS servers that so many nodes need.

    Attributes:
        taken, given: messages in and out.
        servers: how many it takes.
        routes: connections between them, each with each.
        bytes_out: of one server to its nodes and to the others.
    """

    taken: float
    given: float
    servers: int
    routes: int
    bytes_out: float


def bus(crowd: Crowd, nodes: int, terms: Terms, headroom: float, design: Design = TODAY) -> Bus | None:
    """Return what the bus has to carry; None for nodes that need none."""
    each = node(crowd, nodes, design)
    if not each.published:
        return None
    turns = 2 * crowd.users / crowd.session_seconds
    beats = 3.0 * nodes  # one that all hear, two to itself
    taken = each.published * nodes + turns + beats
    given = nodes * (each.heard + each.overheard + each.joined + nodes - 1 + 2)
    servers = 1
    while _busiest(taken, given, servers, terms) > (1 - headroom) * BUS_CORES * CORE:
        servers += 1
    forwarded = taken / servers * (servers - 1)
    out = (given / servers + forwarded) * terms.message_bytes
    return Bus(taken, given, servers, servers * (servers - 1) // 2, out)


def _busiest(taken: float, given: float, servers: int, terms: Terms) -> float:
    """Return the CPU of one NATS server: what it takes, from nodes and from the others, and what it gives."""
    forwarded = taken / servers * (servers - 1)
    cost = terms.bus
    return cost["second"] + (taken / servers + forwarded) * cost["in"] + (given / servers + forwarded) * cost["out"]


def read_terms(path: Path) -> Terms:
    """Read what `python -m benchmarks.scaling` wrote."""
    told = json.loads(path.read_text())
    return Terms(told["node"], told["bus"], told["message_bytes"], told["entry_bytes"])


# --- the tables of the document ---

HEADROOM: Final = 0.3
POPULATIONS: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CELL_USERS: Final = 50_000
_DESIGNS: Final = {"today": TODAY, "by interest": BY_INTEREST, "by room": BY_ROOM}


def growth(terms: Terms) -> list[list[str]]:
    """Return, for each population, the nodes of today's design and where their CPU goes."""
    rows = []
    for users in POPULATIONS:
        crowd = Crowd(users)
        needed = nodes_needed(crowd, terms, HEADROOM)
        floor = _floor(crowd, terms)
        if needed is None:
            rows.append([_count(users), "none suffices", "", "", "", "", _percent(floor)])
            continue
        cpu = node(crowd, needed).cpu(terms)
        own = sum(cpu[name] for name in ("second", "message", "join", "write"))
        shares = [own, cpu["published"], cpu["heard"] + cpu["overheard"], cpu["joined"] + cpu["beats"]]
        rows.append([_count(users), _count(needed), *(_percent(share / CORE) for share in shares), _percent(floor)])
    return rows


def designs(terms: Terms) -> list[list[str]]:
    """Return the nodes, the NATS servers and what a node must remember, for each population and design."""
    rows = []
    for users in POPULATIONS[2:]:
        for name, design in _DESIGNS.items():
            needed = nodes_needed(Crowd(users), terms, HEADROOM, design)
            rows.append([_count(users), name, *_sized(users, needed, terms, design)])
        cells = math.ceil(users / CELL_USERS)
        if cells == 1:
            continue
        inside = nodes_needed(Crowd(CELL_USERS), terms, HEADROOM)
        nodes, servers, links, memory = _sized(CELL_USERS, inside, terms, TODAY)
        rows.append(
            [
                _count(users),
                f"{_count(cells)} cells",
                *(f"{_count(cells)} x {n}" for n in (nodes, servers)),
                links,
                memory,
            ]
        )
    return rows


def limits(terms: Terms) -> list[list[str]]:
    """Return the most users that any number of nodes of today's design holds, by how much they speak."""
    rows = []
    for rate in (1.0, 0.1, 0.01):
        low, high = 1, 1
        while nodes_needed(Crowd(high, message_rate=rate), terms, HEADROOM) is not None:
            low, high = high, high * 2
        while high - low > max(1, low // 200):
            middle = (low + high) // 2
            fits = nodes_needed(Crowd(middle, message_rate=rate), terms, HEADROOM) is not None
            low, high = (middle, high) if fits else (low, middle)
        rows.append([f"{rate:g}", _count(_rounded(low))])
    return rows


def _sized(users: int, needed: int | None, terms: Terms, design: Design) -> list[str]:
    if needed is None:
        return ["none suffices", "", "", ""]
    carried = bus(Crowd(users), needed, terms, HEADROOM, design)
    memory = node(Crowd(users), needed, design).entries * terms.entry_bytes / 1e6
    if carried is None:
        return [_count(needed), "0", "", "0 MB"]
    return [
        _count(needed),
        _count(carried.servers),
        f"{_count(round(carried.bytes_out * 8 / 1e6))} Mbit/s",
        f"{memory:.0f} MB",
    ]


def _floor(crowd: Crowd, terms: Terms) -> float:
    """Return the share of a core that hearing the others takes in each of very many nodes."""
    cpu = node(crowd, 1000).cpu(terms)
    return (cpu["heard"] + cpu["overheard"] + cpu["joined"]) / CORE


def _rounded(number: int) -> int:
    step = int(10 ** (len(str(number)) - 2))
    return number // step * step


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit code 2 with one line when the figures cannot be read."""
    paths = sys.argv[1:] if arguments is None else list(arguments)
    try:
        terms = read_terms(Path(*paths[:1] or ["docs/scaling.json"]))
    except (OSError, ValueError, KeyError) as problem:
        print(f"cannot read the measured terms: {problem}", file=sys.stderr)
        return 2
    for table in (growth, designs, limits):
        for row in table(terms):
            print("| " + " | ".join(row) + " |")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
