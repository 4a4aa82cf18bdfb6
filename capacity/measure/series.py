"""Select series of a Prometheus exposition, as PromQL does: by name and equal labels. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

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
