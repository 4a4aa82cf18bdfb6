"""Draw the dependencies of the packages: `.venv/bin/python -m tests.architecture_picture`.

The picture shows the map of `tests/architecture_map.py`, with the rows of one part as one box. An arrow that follows
from others is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.architecture_map import DEPENDENCIES
from tests.tables import ROOT
from tests.test_architecture import covers

if TYPE_CHECKING:
    from collections.abc import Mapping

PICTURE: Final = ROOT / "docs" / "pictures" / "packages.svg"

SHARED: Final = "stampede, shared"
BOXES: Final[Mapping[str, tuple[str, ...]]] = {
    SHARED: (
        "stampede.redaction",
        "stampede.websocket.frames",
        "stampede.metrics.histogram_buckets",
        "stampede.metrics.metric",
        "stampede.metrics.exposition",
        "stampede.metrics.process",
    ),
    "stampede": ("stampede",),
    "server": ("server",),
    "stampede.locust": ("stampede.locust",),
    "metrics": ("metrics",),
    "loadtest": ("loadtest",),
    "capacity": ("capacity",),
    "server.app": ("server.app", "server.__main__"),
    "grafana": ("grafana",),
    "deploy": ("deploy",),
    "benchmarks": ("benchmarks",),
    "docs": ("docs",),
}
"""The boxes, and the rows of the map in each; a row belongs to the box with the most specific name."""

DUTIES: Final[Mapping[str, str]] = {
    SHARED: "frames, exposition",
    "server": "rooms, wire, uploads, bus",
    "server.app": "starts the chat server",
    "stampede": "the load generator",
    "stampede.locust": "its plugin for Locust",
    "loadtest": "the user classes",
    "metrics": "catalog, collectors, alerts",
    "grafana": "dashboards as code",
    "capacity": "finds the limit, reports",
    "deploy": "proxies, Kubernetes, stack",
    "benchmarks": "beside other programs",
    "docs": "the documentation site",
}
"""What each box is for."""

_WIDTH, _HEIGHT, _GAP, _RISE, _MARGIN = 196, 52, 24, 104, 16
_LABEL: Final = 'aria-label="which package may import from which"'
_ARROWHEAD: Final = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>'
)
_STYLE: Final = (
    "text{font:600 14px system-ui,sans-serif;fill:#1f2328;text-anchor:middle}"
    ".d{font-weight:400;font-size:12px;fill:#57606a}"
    "rect.b{fill:#f6f8fa;stroke:#57606a}line{stroke:#57606a;stroke-width:1.3;marker-end:url(#a)}"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a box is: its centre and its upper edge."""

    x: float
    y: float


def box_of(row: str) -> str:
    """Return the box of a row of the map."""
    found = [(len(rule), box) for box, rules in BOXES.items() for rule in rules if covers(rule, row)]
    return max(found)[1]


def relation() -> dict[str, set[str]]:
    """Return the boxes that each box may import from, directly."""
    found: dict[str, set[str]] = {box: set() for box in BOXES}
    for row, rules in DEPENDENCIES.items():
        for rule in rules.split():
            allowed = {box_of(name) for name in DEPENDENCIES if covers(rule, name)} | {box_of(rule)}
            found[box_of(row)] |= allowed - {box_of(row)}
    return found


def closure(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the boxes that each box reaches, directly or through others."""

    def reach(box: str) -> set[str]:
        return edges[box].union(*(reach(one) for one in edges[box]))

    return {box: reach(box) for box in edges}


def reduced() -> dict[str, set[str]]:
    """Return the arrows of the picture: without those that follow from others."""
    reaches, edges = closure(relation()), relation()
    return {box: {one for one in edges[box] if not any(one in reaches[by] for by in edges[box])} for box in edges}


def draw() -> str:
    """Return the picture as SVG: a box above another may import from it, where a line leads there."""
    edges = reduced()

    def level(box: str) -> int:
        return max((level(one) + 1 for one in edges[box]), default=0)

    rows: dict[int, list[str]] = {}
    for box in BOXES:
        rows.setdefault(level(box), []).append(box)
    widest = max(map(len, rows.values()))
    width = widest * _WIDTH + (widest - 1) * _GAP + 2 * _MARGIN
    height = (len(rows) - 1) * _RISE + _HEIGHT + 2 * _MARGIN
    places = {
        box: _Place(
            width / 2 + (number - (len(boxes) - 1) / 2) * (_WIDTH + _GAP),
            _MARGIN + (len(rows) - 1 - at) * _RISE,
        )
        for at, boxes in rows.items()
        for number, box in enumerate(boxes)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" {_LABEL}>',
        f"<style>{_STYLE}</style>",
        _ARROWHEAD,
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
    ]
    for box, targets in edges.items():
        for target in sorted(targets):
            start, end = places[box], places[target]
            lean = max(-_WIDTH / 3, min(_WIDTH / 3, (end.x - start.x) / 4))
            parts.append(
                f'<line x1="{start.x + lean:g}" y1="{start.y + _HEIGHT:g}" x2="{end.x - lean:g}" y2="{end.y:g}">'
                f"<title>{box} imports from {target}</title></line>"
            )
    for box, place in places.items():
        parts.append(
            f'<rect class="b" x="{place.x - _WIDTH / 2:g}" y="{place.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
            f'<text x="{place.x:g}" y="{place.y + 22:g}">{box}</text>'
            f'<text class="d" x="{place.x:g}" y="{place.y + 40:g}">{DUTIES[box]}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(draw())
