"""Draw the chart of docs/scaling.md: the processes that each design needs, over the number of users.

.venv/bin/python -m benchmarks.population_chart docs/scaling.json docs/scaling.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.population import BY_INTEREST, BY_ROOM, TODAY, Population, nodes_needed
from benchmarks.population_tables import HEADROOM, read_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESIGNS: Final = (
    ("today", TODAY, "#d62728"),
    ("by interest", BY_INTEREST, "#1f77b4"),
    ("by room", BY_ROOM, "#2ca02c"),
)
_POINTS_PER_DECADE: Final = 24
_DECADES: Final = (3, 7)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the chart to the file that the second argument names."""
    figures, target = sys.argv[1:] if arguments is None else arguments
    terms = read_terms(Path(figures))
    low, high = _DECADES
    users = [round(10 ** (low + n / _POINTS_PER_DECADE)) for n in range((high - low) * _POINTS_PER_DECADE + 1)]
    with mpl.rc_context({"svg.hashsalt": "scaling", "font.size": 10}):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.subplots()
        for name, design, color in _DESIGNS:
            needed = [(number, nodes_needed(Population(number), terms, HEADROOM, design)) for number in users]
            possible = [(number, nodes) for number, nodes in needed if nodes is not None]
            axes.plot(*zip(*possible, strict=True), color=color, label=name, linewidth=2)
            if len(possible) < len(needed):
                axes.plot(*possible[-1], marker="X", color=color, markersize=9)
                axes.annotate(
                    "no number suffices", possible[-1], xytext=(6, 4), textcoords="offset points", color=color
                )
        axes.set(xscale="log", yscale="log", xlabel="users", ylabel="processes needed")
        axes.set_xticks(
            [10**n for n in range(low, high + 1)], ["1 000", "10 000", "100 000", "1 million", "10 million"]
        )
        axes.set_yticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1 000", "10 000"])
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(target, metadata={"Date": None} if target.endswith(".svg") else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
