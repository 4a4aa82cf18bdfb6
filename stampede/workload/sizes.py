"""Sizes of uploaded files; pure, the random generator is an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from random import Random

_UNITS: Final = {"k": 1024, "m": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Sizes:
    """A distribution of sizes in bytes: a choice of fixed sizes, or a range that is drawn log-uniformly."""

    choices: tuple[int, ...]
    is_range: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `64k`, `1k,64k,1m` or `1k-1m`.

        Raises:
            ValueError: the text has another form.
        """
        is_range = "-" in text
        parts = text.split("-" if is_range else ",")
        sizes = tuple(_size(part, text) for part in parts)
        if is_range and (len(sizes) != 2 or sizes[0] > sizes[1]):
            raise ValueError(f"{text!r} is not a range of sizes: write the smaller one first, as in 1k-1m")
        return cls(sizes, is_range)

    def draw(self, rng: Random) -> int:
        """Return a random size; in a range every order of magnitude is equally likely, as with real files."""
        if not self.is_range:
            return rng.choice(self.choices)
        low, high = self.choices
        return round(math.exp(rng.uniform(math.log(low + 1), math.log(high + 1)))) - 1


def _size(part: str, text: str) -> int:
    number, unit = part.strip().lower(), 1
    if number[-1:] in _UNITS:
        number, unit = number[:-1], _UNITS[number[-1]]
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{text!r} is not a size: write 64k, 1k,64k,1m or 1k-1m")
    return int(number) * unit
