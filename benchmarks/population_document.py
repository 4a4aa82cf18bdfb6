"""Bring docs/scaling.md and its chart up to the measured terms: every table, and every figure in its sentences.

python -m capacity.population_document docs/scaling.json docs/scaling.md
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import population, population_chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREDICTED: Final = 3
"""Nodes from which on a run was predicted, not fitted."""

_TERMS: Final = {
    "second": "a second of running, with nobody there",
    "message": "a chat message of one of its own clients",
    "join": "a client that leaves its room and joins one",
    "write": "a delivery: one write to one member",
    "published": "a message put on the bus",
    "heard": "a message off the bus, for members here",
    "overheard": "a message off the bus that nobody here is to hear",
    "joined": "a message about members on another node",
    "bus in": "NATS: a message in",
    "bus out": "NATS: a message out, to one node",
}


def renewed(text: str, figures: Mapping[str, Any], terms: population.Terms) -> str:
    """Return the document with the tables and figures that the terms give.

    Raises:
        ValueError: it has no place for one of them.
    """
    for heading, rows in (
        ("## What was measured", _costs(terms)),
        ("## What today's design needs", population.growth(terms)),
        ("## How many it can hold", population.limits(terms)),
        ("## What comes then", population.designs(terms)),
    ):
        text = _with_rows(text, heading, rows)
    for pattern, figure in _prose(figures, terms).items():
        text, found = re.subn(pattern, rf"\g<1>{figure}\g<2>", text)
        if found != 1:
            raise ValueError(f"{found} places for {pattern}")
    return text


def _costs(terms: population.Terms) -> list[list[str]]:
    costs = {**terms.node, **{f"bus {name}": cost for name, cost in terms.bus.items() if cost}}
    return [[f"`{name}`", f"{cost:.1f}", _TERMS[name]] for name, cost in costs.items()]


def _prose(figures: Mapping[str, Any], terms: population.Terms) -> dict[str, str]:
    """Return the figures in sentences, by what stands before and after each."""
    rows = [row for row in figures["rows"] if row["node"] != "nats"]
    fitted = [row for row in rows if row["nodes"] < _PREDICTED]
    ahead = [row for row in rows if row["nodes"] >= _PREDICTED]
    return {
        r"(two, each process' )[^;]+(; two shared cores)": figures["taken"],
        r"(least squares over )\d+( processes)": str(len(fitted)),
        r"(processes under )\d+( loads)": str(len({row["scenario"] for row in fitted})),
        r"(terms is within )\d+( %)": _worst([row for row in fitted if "silence" not in row["scenario"]], terms),
        r"(and within )\d+( %)": _worst(ahead, terms),
        r"(A chat message is )\d+( bytes)": f"{terms.message_bytes:.0f}",
        r"(node costs )\d+( bytes)": f"{terms.entry_bytes:.0f}",
        r"(per delivery, )[\d.]+( times)": f"{_ratio(rows):.2f}",
        r"(hands out )[\d.]+( million)": f"{1 / terms.bus['out']:.1f}",
    }


def of_terms(row: Mapping[str, Any], terms: population.Terms) -> float:
    """Return the CPU seconds that the terms make of what a process did."""
    return sum(float(row[name]) * cost for name, cost in terms.node.items()) / population.CORE


def _worst(rows: Sequence[Mapping[str, Any]], terms: population.Terms) -> str:
    return str(math.ceil(100 * max(abs(of_terms(row, terms) / row["cpu"] - 1) for row in rows)))


def _ratio(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return CPU per delivery in rooms of 20 over two processes, over that of one."""
    one, two = ([row for row in rows if row["scenario"] == name] for name in ("rooms of 20", "rooms of 20, over both"))
    cost = [sum(row["cpu"] for row in some) / sum(row["write"] for row in some) for some in (one, two)]
    return float(cost[1] / cost[0])


def _with_rows(text: str, heading: str, rows: Sequence[Sequence[str]]) -> str:
    """Replace the body of the first table under a heading."""
    body = "".join("| " + " | ".join(cells) + " |\n" for cells in rows)
    changed, found = re.subn(
        rf"(\n{re.escape(heading)}\n(?:(?!\n#).)*?\n\|[-|]+\|\n)(?:\|.*?\n)+",
        lambda match: match[1] + body, text, count=1, flags=re.DOTALL,
    )  # fmt: skip
    if not found:
        raise ValueError(f"no table under {heading}")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the document and draw its chart."""
    figures, document = (Path(name) for name in (sys.argv[1:] if arguments is None else arguments))
    text = renewed(document.read_text(), json.loads(figures.read_text()), population.read_terms(figures))
    document.write_text(text)
    return population_chart.main([str(figures), str(document.with_suffix(".svg"))])


if __name__ == "__main__":
    sys.exit(main())
