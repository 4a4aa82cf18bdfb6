"""The users of a run: the classes of the load test or of an own locustfile, and their weights. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Scenario:
    """The users of a run.

    Attributes:
        locustfile: file of the user classes; None for those of the load test.
        mix: weights by class; empty for all classes of the file, with the weights that it gives them.
    """

    locustfile: str | None
    mix: Mapping[str, int]

    @property
    def mix_text(self) -> str:
        """The mix as it is given, such as `ChattingUser=3,TypingUser=1`; empty for all classes of a locustfile."""
        return ",".join(f"{name}={weight}" for name, weight in self.mix.items())

    @property
    def name(self) -> str:
        """The scenario as reports name it, such as `ChattingUser=1` or `shop.py: Buyer=2,Seller=1`."""
        if self.locustfile is None:
            return self.mix_text
        file = self.locustfile.rpartition("/")[2]
        return f"{file}: {self.mix_text}" if self.mix else file
