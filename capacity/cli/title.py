"""The title of a run: what it asks, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.formatting import count, listing
from stampede.redaction import redact

if TYPE_CHECKING:
    from capacity.config.settings import RunSettings


def run_title(settings: RunSettings) -> str:
    """Return the title, such as `Capacity of ws://127.0.0.1:9000: users of shop.py, dialect socketio, SLOs loss<1%`."""
    dialect = settings.dialect
    parts = [
        settings.scenario.words,
        *([f"dialect {dialect.name}"] if dialect is not None else []),
        f"SLOs {listing([slo.text for slo in settings.slos])}",
    ]
    if settings.thorough:
        parts.append(f"thorough ({settings.window:g} s windows, {settings.confirmations} confirmations)")
    return f"{_subject(settings)}: {', '.join(parts)}"


def _subject(settings: RunSettings) -> str:
    server = redact(settings.host) if settings.host else _bundled(settings.worker_counts)
    if settings.storm is not None:
        return f"Reconnect storms of {count(settings.storm)} users on {server}"
    if settings.given:
        noun = "user" if settings.given == (1,) else "users"
        return f"{listing([count(users) for users in settings.given])} {noun} on {server}"
    return f"Capacity of {server}"


def _bundled(processes: tuple[int, ...]) -> str:
    if processes == (1,):
        return "one process of the bundled server"
    return f"{listing([str(number) for number in processes])} processes of the bundled server"
