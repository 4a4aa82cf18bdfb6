"""The values that a label of the catalog is known to have."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from server.errors import CloseReason

if TYPE_CHECKING:
    from metrics.catalog import Label


def known_values(source: str) -> set[str]:
    """Resolve a catalog entry like `CLIENT_TYPES of server.messages, ECHO of server.stats`."""
    values: set[str] = set()
    for part in source.split(", "):
        name, _, module = part.partition(" of ")
        known = getattr(import_module(module), name)
        if isinstance(known, str):
            values.add(known)
        elif known is CloseReason:
            values.update(reason.label for reason in CloseReason)
        else:
            values.update(map(str, known))
    return values


def values_of(label: Label) -> set[str] | None:
    """Return the known values of a label; None where they come from outside, as releases do."""
    if " of " in label.values:
        return known_values(label.values)
    return set(label.values.split(", ")) if ", " in label.values else None
