"""What a step reads and measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capacity.config.slo import Span
    from capacity.measure.client_window import ClientWindow
    from capacity.measure.server_sample import ServerSample
    from capacity.measure.server_window import ServerWindow
    from stampede.measure.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Reading:
    """Both sides at one moment of this process's clock."""

    at: float
    snapshot: Snapshot
    sample: ServerSample


@dataclass(frozen=True, slots=True)
class StepMeasurement:
    """The measurement of a step.

    Attributes:
        client: the window of the clients; None if there is none; then `problem` is the reason.
        lost_worker: name of the worker of the load generator whose loss is that reason.
        settled_at: clock at the end of settling.
        spans: windows of the clients over the other spans that SLOs cover, if known.
    """

    settle_s: float
    client: ClientWindow | None
    server: ServerWindow
    problem: str | None
    settled_at: float = 0.0
    spans: Mapping[Span, ClientWindow] = field(default_factory=dict)
    lost_worker: str | None = None
