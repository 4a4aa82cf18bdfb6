"""The series of a server's own Prometheus exporter, as the table `[metrics]` of a dialect names them; pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SERIES_KEYS: Final = (
    "connections",
    "messages_received",
    "messages_delivered",
    "messages_dropped",
    "slow_consumer_kills",
    "sent_bytes",
    "event_loop_lag",
    "event_loop_lag_seconds",
    "cpu_seconds",
    "resident_memory_bytes",
    "open_fds",
    "max_fds",
    "start_time_seconds",
    "rooms",
    "typing_notices",
    "uploads",
    "upload_bytes",
    "connections_vanished",
)
"""The keys of `[metrics]`; docs/dialects/template.md describes them."""

_LABEL: Final = r'[a-zA-Z_]\w*="[^"\\]*"'
_SELECTOR: Final = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)?\}})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects the series of one name whose labels have these values; other labels may have any.

    Attributes:
        text: such as `acme_messages_total` or `acme_messages_total{type="chat"}`, as PromQL takes it.
    """

    text: str
    name: str
    labels: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the selector of a text.

        Raises:
            ValueError: the text is not a name with equal labels.
        """
        found = _SELECTOR.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is not a series such as acme_messages_total{{type="chat"}}')
        labels = re.findall(r'(\w+)="([^"]*)"', found[2] or "")
        return cls(text, found[1], dict(labels))

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Return whether it selects a series."""
        return name == self.name and all(labels.get(label) == value for label, value in self.labels.items())


def mistake_in(metrics: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first wrong key of a dialect's `metrics`, and what is wrong; None without a mistake."""
    for key, series in metrics.items():
        if key not in SERIES_KEYS:
            near = difflib.get_close_matches(key, SERIES_KEYS, 1)
            advice = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(SERIES_KEYS)}"
            return key, f"unknown key: {advice}"
        try:
            Selector.parse(series)
        except ValueError as error:
            return key, str(error)
    return None
