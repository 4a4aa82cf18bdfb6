"""Steps of a conversation: messages that are sent, and what must come back; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from stampede.dialects.placeholders import TextTemplate
    from stampede.dialects.template.matching import Match, Path, Received


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        key: of the step in the file, such as `open[2]`.
        send: message to send; None for none.
        expect: the answer that ends the step; None to go on at once.
        refuse: the answer that refuses it.
        reason: path of the reason in what matched `refuse`.
        save: values of the expected answer to keep, by the name of their placeholder.
    """

    key: str
    send: TextTemplate | None = None
    expect: Match | None = None
    refuse: Match | None = None
    reason: Path | None = None
    save: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a received message means for a sequence of steps.

    Attributes:
        messages: to send at once.
        refused: why the server refuses, in a few words; None if it does not.
    """

    messages: Sequence[bytes] = ()
    refused: str | None = None


class Exchange:
    """A sequence of steps in progress.

    Args:
        steps: in their order.
        values: of the placeholders; the steps save into it.
        encode: returns a message and the values of `n` and `uuid` in it.
    """

    __slots__ = ("_encode", "_index", "_sent", "_steps", "_values")

    def __init__(
        self,
        steps: Sequence[Step],
        values: MutableMapping[str, str],
        encode: Callable[[TextTemplate, Mapping[str, str]], tuple[bytes, Mapping[str, str]]],
    ) -> None:
        self._steps = steps
        self._values = values
        self._encode = encode
        self._sent: Mapping[str, str] = {}  # values of the last message, which its answer may repeat
        self._index = 0

    @property
    def step(self) -> Step | None:
        """The step whose answer is awaited; None at the end."""
        return self._steps[self._index] if self._index < len(self._steps) else None

    def begin(self) -> list[bytes]:
        """Return the messages up to the first one that needs an answer."""
        messages = []
        while (step := self.step) is not None:
            if step.send is not None:
                message, self._sent = self._encode(step.send, self._values)
                messages.append(message)
            if step.expect is not None:
                break
            self._index += 1
        return messages

    def receive(self, received: Received) -> Progress | None:
        """Return what a message means for the steps; None if it is not the awaited one."""
        step = self.step
        if step is None or step.expect is None:
            return None
        values = {**self._values, **self._sent}
        if step.expect.matches(received, values):
            for name, path in step.save.items():
                found = received.find_text(path)
                if found is None:
                    return Progress(refused=f"no {'.'.join(path)} to save in the answer")
                self._values[name] = found
            self._index += 1
            return Progress(self.begin())
        if step.refuse is not None and step.refuse.matches(received, values):
            reason = received.find_text(step.reason) if step.reason is not None else None
            return Progress(refused=f"refused: {reason}" if reason else "refused")
        return None
