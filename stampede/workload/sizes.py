"""Sizes of uploaded files: pure; the rng comes in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from random import Random

_UNITS: Final = {"k": 1024, "m": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Sizes:
    """A distribution of sizes in bytes: some fixed ones, or a range of which every order of magnitude is as likely."""

    choices: tuple[int, ...]
    is_range: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `64k`, `1k,64k,1m` or `1k-1m`.

        Raises:
            ValueError: it is none of these.
        """
        is_range = "-" in text
        parts = text.split("-" if is_range else ",")
        sizes = tuple(_size(part, text) for part in parts)
        if is_range and (len(sizes) != 2 or sizes[0] > sizes[1]):
            raise ValueError(f"{text!r} is no range of sizes: the smaller one comes first, as in 1k-1m")
        return cls(sizes, is_range)

    def draw(self, rng: Random) -> int:
        """Return one size; a range is drawn log-uniformly, as files are."""
        if not self.is_range:
            return rng.choice(self.choices)
        low, high = self.choices
        return round(math.exp(rng.uniform(math.log(low + 1), math.log(high + 1)))) - 1


def _size(part: str, text: str) -> int:
    number, unit = part.strip().lower(), 1
    if number[-1:] in _UNITS:
        number, unit = number[:-1], _UNITS[number[-1]]
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{text!r} is no size: write 64k, 1k,64k,1m or 1k-1m")
    return int(number) * unit
