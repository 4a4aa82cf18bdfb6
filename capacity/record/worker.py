"""One process of the load generator, as `report.json` keeps it."""

from __future__ import annotations

import msgspec


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the load generator.

    Attributes:
        name: `load generator` for a single process, otherwise such as `worker 1`.
        host: name of its machine.
        state: `connected`, `missing` (no heartbeat) or `ended`, as it was seen last.
        invalid_steps: number of steps that were invalid because of it.
    """

    name: str
    host: str
    state: str
    invalid_steps: int = 0

    @property
    def full_name(self) -> str:
        """Its name in the reasons of steps."""
        return f"load generator {self.name} on {self.host}" if self.name.startswith("worker") else f"the {self.name}"
