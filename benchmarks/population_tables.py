"""Compute the tables of docs/scaling.md from the measured cost terms.

.venv/bin/python -m benchmarks.population_tables docs/scaling.json
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.population import (
    BY_INTEREST,
    BY_ROOM,
    CORE,
    TODAY,
    CostTerms,
    Design,
    Population,
    nats_load,
    node_load,
    nodes_needed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADROOM: Final = 0.3
POPULATIONS: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CELL_USERS: Final = 50_000
_DESIGNS: Final = {"today": TODAY, "by interest": BY_INTEREST, "by room": BY_ROOM}


def read_terms(path: Path) -> CostTerms:
    """Read the cost terms that `python -m benchmarks.cluster.cost_terms` wrote."""
    figures = json.loads(path.read_text())
    return CostTerms(figures["node"], figures["bus"], figures["message_bytes"], figures["entry_bytes"])


def growth(terms: CostTerms) -> list[list[str]]:
    """Return a row for each population: the nodes that today's design needs, and the parts of their CPU."""
    rows = []
    for users in POPULATIONS:
        population = Population(users)
        needed = nodes_needed(population, terms, HEADROOM)
        floor = _floor(population, terms)
        if needed is None:
            rows.append([_count(users), "none suffices", "", "", "", "", _percent(floor)])
            continue
        cpu = node_load(population, needed).cpu(terms)
        own = sum(cpu[name] for name in ("second", "message", "join", "write"))
        shares = [own, cpu["published"], cpu["received"] + cpu["discarded"], cpu["presence"] + cpu["heartbeats"]]
        rows.append([_count(users), _count(needed), *(_percent(share / CORE) for share in shares), _percent(floor)])
    return rows


def designs(terms: CostTerms) -> list[list[str]]:
    """Return a row for each population and design: nodes, NATS servers, and memory for members on other nodes."""
    rows = []
    for users in POPULATIONS[2:]:
        for name, design in _DESIGNS.items():
            needed = nodes_needed(Population(users), terms, HEADROOM, design)
            rows.append([_count(users), name, *_sized(users, needed, terms, design)])
        cells = math.ceil(users / CELL_USERS)
        if cells == 1:
            continue
        per_cell = nodes_needed(Population(CELL_USERS), terms, HEADROOM)
        nodes, servers, traffic, memory = _sized(CELL_USERS, per_cell, terms, TODAY)
        rows.append(
            [
                _count(users),
                f"{_count(cells)} cells",
                *(f"{_count(cells)} x {n}" for n in (nodes, servers)),
                traffic,
                memory,
            ]
        )
    return rows


def limits(terms: CostTerms) -> list[list[str]]:
    """Return a row for each message rate: the most users that any number of nodes of today's design can serve."""
    rows = []
    for rate in (1.0, 0.1, 0.01):
        low, high = 1, 1
        while nodes_needed(Population(high, message_rate=rate), terms, HEADROOM) is not None:
            low, high = high, high * 2
        while high - low > max(1, low // 200):
            middle = (low + high) // 2
            fits = nodes_needed(Population(middle, message_rate=rate), terms, HEADROOM) is not None
            low, high = (middle, high) if fits else (low, middle)
        rows.append([f"{rate:g}", _count(_rounded(low))])
    return rows


def _sized(users: int, needed: int | None, terms: CostTerms, design: Design) -> list[str]:
    if needed is None:
        return ["none suffices", "", "", ""]
    nats = nats_load(Population(users), needed, terms, HEADROOM, design)
    memory = node_load(Population(users), needed, design).entries * terms.entry_bytes / 1e6
    if nats is None:
        return [_count(needed), "0", "", "0 MB"]
    return [
        _count(needed),
        _count(nats.servers),
        f"{_count(round(nats.bytes_out * 8 / 1e6))} Mbit/s",
        f"{memory:.0f} MB",
    ]


def _floor(population: Population, terms: CostTerms) -> float:
    """Return the fraction of a core that messages of other nodes use on each node, as their number grows."""
    cpu = node_load(population, 1000).cpu(terms)
    return (cpu["received"] + cpu["discarded"] + cpu["presence"]) / CORE


def _rounded(number: int) -> int:
    step = int(10 ** (len(str(number)) - 2))
    return number // step * step


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return 0, or 2 after one line on stderr if the figures cannot be read."""
    paths = sys.argv[1:] if arguments is None else list(arguments)
    try:
        terms = read_terms(Path(*paths[:1] or ["docs/scaling.json"]))
    except (OSError, ValueError, KeyError) as problem:
        print(f"cannot read the measured cost terms: {problem}", file=sys.stderr)
        return 2
    for table in (growth, designs, limits):
        for row in table(terms):
            print("| " + " | ".join(row) + " |")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
