"""The users of a run: the classes of the load test or of an own locustfile, and their weights. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from capacity.config.option_types import user_mix

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEHAVIOURS: Final = {
    "ChattingUser": "chatting",
    "TypingUser": "typing",
    "ListeningUser": "listening",
    "FileUploadUser": "uploading",
    "ReconnectStormUser": "storming",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """The users of a run.

    Attributes:
        locustfile: file of the user classes; None for those of the load test.
        mix: weights by class; empty for all classes of the file, with the weights that it gives them.
    """

    locustfile: str | None
    mix: Mapping[str, int]

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the scenario of a name that a report keeps."""
        file, _, mix = name.rpartition(": ")
        try:
            return cls(file or None, user_mix(mix))
        except ValueError:
            return cls(name, {})

    @property
    def mix_text(self) -> str:
        """The mix as it is given, such as `ChattingUser=3,TypingUser=1`; empty for all classes of a locustfile."""
        return ",".join(f"{name}={weight}" for name, weight in self.mix.items())

    @property
    def mix_words(self) -> str:
        """The mix for people, such as `3 ChattingUser : 1 TypingUser`."""
        return " : ".join(f"{weight} {name}" for name, weight in self.mix.items())

    @property
    def name(self) -> str:
        """The scenario as reports name it, such as `ChattingUser=1` or `shop.py: Buyer=2,Seller=1`."""
        if self.locustfile is None:
            return self.mix_text
        file = self.locustfile.rpartition("/")[2]
        return f"{file}: {self.mix_text}" if self.mix else file

    @property
    def noun(self) -> str:
        """The users in a sentence, such as `chatting users`; the classes of a mix are not named."""
        if self.locustfile is not None:
            return f"users of {self.name}"
        if len(self.mix) > 1:
            return "users"
        (name,) = self.mix
        return f"{_BEHAVIOURS.get(name, name)} users"

    @property
    def words(self) -> str:
        """The users where no sentence gives the mix, such as `users (3 ChattingUser : 1 TypingUser)`."""
        is_mix = self.locustfile is None and len(self.mix) > 1
        return f"{self.noun} ({self.mix_words})" if is_mix else self.noun
