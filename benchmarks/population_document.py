"""Update docs/scaling.md and its chart from the measured cost terms: all tables, and the figures in sentences.

.venv/bin/python -m benchmarks.population_document docs/scaling.json docs/scaling.md
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import population_chart, population_tables
from benchmarks.population import CORE, CostTerms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREDICTED: Final = 3
"""Runs with at least this number of nodes were predicted, not fitted."""

_TERMS: Final = {
    "second": "one second of an idle process",
    "message": "a chat message from a client of the process",
    "join": "a client that leaves its room and joins another",
    "write": "a delivery: one write to one member",
    "published": "a message published on the bus",
    "received": "a bus message for a room with members on the node",
    "discarded": "a bus message for a room without members on the node",
    "presence": "a bus message about members on another node",
    "bus in": "NATS: a message in",
    "bus out": "NATS: a message out, to one node",
}


def updated(text: str, figures: Mapping[str, Any], terms: CostTerms) -> str:
    """Return the document with its tables and figures computed from the terms.

    Raises:
        ValueError: the document has no place for one of them.
    """
    for heading, rows in (
        ("## Measured costs", _costs(terms)),
        ("## Processes that today's design needs", population_tables.growth(terms)),
        ("## The limit of today's design", population_tables.limits(terms)),
        ("## Designs for more users", population_tables.designs(terms)),
    ):
        text = _with_rows(text, heading, rows)
    for pattern, figure in _prose(figures, terms).items():
        text, found = re.subn(pattern, rf"\g<1>{figure}\g<2>", text)
        if found != 1:
            raise ValueError(f"{found} places for the pattern {pattern!r}; expected one")
    return text


def _costs(terms: CostTerms) -> list[list[str]]:
    costs = {**terms.node, **{f"bus {name}": cost for name, cost in terms.nats.items() if cost}}
    return [[f"`{name}`", f"{cost:.1f}", _TERMS[name]] for name, cost in costs.items()]


def _prose(figures: Mapping[str, Any], terms: CostTerms) -> dict[str, str]:
    """Return the figures in sentences, by a pattern of the text before and after each."""
    rows = [row for row in figures["rows"] if row["node"] != "nats"]
    fitted = [row for row in rows if row["nodes"] < _PREDICTED]
    predicted = [row for row in rows if row["nodes"] >= _PREDICTED]
    return {
        r"(Each figure is the )[^,]+(, on two shared cores)": figures["taken"],
        r"(least squares over )\d+( processes)": str(len(fitted)),
        r"(processes under )\d+( loads)": str(len({row["scenario"] for row in fitted})),
        r"(terms is within )\d+( %)": _worst([row for row in fitted if "silence" not in row["scenario"]], terms),
        r"(and within )\d+( %)": _worst(predicted, terms),
        r"(A chat message has )\d+( bytes)": f"{terms.message_bytes:.0f}",
        r"(node costs )\d+( bytes)": f"{terms.entry_bytes:.0f}",
        r"(per delivery is )[\d.]+( times)": f"{_ratio(rows):.2f}",
        r"(delivers )[\d.]+( million)": f"{1 / terms.nats['out']:.1f}",
    }


def predicted_cpu(row: Mapping[str, Any], terms: CostTerms) -> float:
    """Return the CPU seconds that the terms predict for a row."""
    return sum(float(row[name]) * cost for name, cost in terms.node.items()) / CORE


def _worst(rows: Sequence[Mapping[str, Any]], terms: CostTerms) -> str:
    return str(math.ceil(100 * max(abs(predicted_cpu(row, terms) / row["cpu"] - 1) for row in rows)))


def _ratio(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the ratio of CPU per delivery of two processes to that of one, in rooms of 20."""
    one, two = ([row for row in rows if row["scenario"] == name] for name in ("rooms of 20", "rooms of 20, over both"))
    cost = [sum(row["cpu"] for row in some) / sum(row["write"] for row in some) for some in (one, two)]
    return float(cost[1] / cost[0])


def _with_rows(text: str, heading: str, rows: Sequence[Sequence[str]]) -> str:
    """Return the text with the body of the first table under a heading replaced."""
    body = "".join("| " + " | ".join(cells) + " |\n" for cells in rows)
    changed, found = re.subn(
        rf"(\n{re.escape(heading)}\n(?:(?!\n#).)*?\n\|[-|]+\|\n)(?:\|.*?\n)+",
        lambda match: match[1] + body, text, count=1, flags=re.DOTALL,
    )  # fmt: skip
    if not found:
        raise ValueError(f"no table under {heading!r}")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the document and draw its chart."""
    figures, document = (Path(name) for name in (sys.argv[1:] if arguments is None else arguments))
    text = updated(document.read_text(), json.loads(figures.read_text()), population_tables.read_terms(figures))
    document.write_text(text)
    return population_chart.main([str(figures), str(document.with_suffix(".svg"))])


if __name__ == "__main__":
    sys.exit(main())
