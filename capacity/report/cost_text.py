"""What the users of a report cost, or what is missing to compute it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capacity.record.report import RunReport


def cost_text(report: RunReport) -> str:
    """Return the cost with its arithmetic, or why there is none, as one sentence."""
    sizing = report.sizing
    if sizing is None:
        if report.answer.supported_users is None:
            return "Not computed: no level passed."
        return "Not asked: give --target-users and --price-per-core."
    if sizing.cost is not None:
        return f"{sizing.cost[:1].upper()}{sizing.cost[1:]}."
    if sizing.price_per_core is None:
        return "Not asked: give --price-per-core."
    return "Not computed: the cores of a server process are not known; give --server-pid or --metrics."
