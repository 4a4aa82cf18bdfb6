"""Figures of a run from flat names, for tests of their readers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from stampede.ledger.counts import DeliveryCounts
from stampede.measure.figures import FIELDS, Figures, Latency, RequestCounts, SendCounts, figures_in, no_figures
from stampede.measure.log_linear_histogram import LogLinearHistogram

_SENDS = {field.name for field in fields(SendCounts)}
_DELIVERIES = {field.name for field in fields(DeliveryCounts)} - _SENDS  # `late` means late sends


def histogram(*values_ms: float) -> LogLinearHistogram:
    """Return a histogram of the given durations."""
    filled = LogLinearHistogram()
    for value in values_ms:
        filled.record(int(value * 1e6))
    return filled


def figure_fields(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `Figures` from flat names such as `lost`, `sent`, `operations` or `latency_sent`.

    Names that belong to none of them are passed on.
    """
    flat = dict(flat)
    made = figures_in(no_figures())
    made["sends"] = SendCounts(**{name: flat.pop(name) for name in _SENDS & set(flat)})
    made["deliveries"] = DeliveryCounts(**{name: flat.pop(name) for name in _DELIVERIES & set(flat)})
    made["latency"] = Latency(flat.pop("latency_intended", histogram()), flat.pop("latency_sent", histogram()))
    counts = {name: flat.pop(name) for name in ("operations", "failures") if name in flat}
    if counts:
        made["requests"] = {"WS send": RequestCounts(counts.get("operations", 0), counts.get("failures", 0))}
    return made | flat


def figures(**flat: Any) -> Figures:
    """Return figures in which everything that is not named is zero."""
    return Figures(**{name: value for name, value in figure_fields(flat).items() if name in FIELDS})
