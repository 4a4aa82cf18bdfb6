"""HTTP requests that a dialect declares: to log in, to set up and join rooms, to send messages; pure.

Locust's users make the requests, see `stampede/locust/http_steps.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stampede.dialects.template.matching import Received

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.dialects.placeholders import TextTemplate
    from stampede.dialects.template.matching import Match, Path

HEADER: Final = "header:"
"""Begin of a path in `save` that names a header of the response."""


@dataclass(frozen=True, slots=True)
class HttpStep:
    """One request.

    Attributes:
        key: of the step in the file, such as `login`.
        name: of the request in Locust's table.
        method: such as POST.
        url: path, or a whole URL.
        headers: of the request.
        body: None for none.
        expect: what the response must contain, beside a status of success.
        save: values of the response to keep, by the name of their placeholder: a path in its JSON, or a header's name.
        expires: seconds for which a login is good; None to repeat it before each connection.
    """

    key: str
    name: str
    method: str
    url: TextTemplate
    headers: Mapping[str, TextTemplate] = field(default_factory=dict)
    body: TextTemplate | None = None
    expect: Match | None = None
    save: Mapping[str, Path | str] = field(default_factory=dict)
    expires: float | None = None

    @property
    def names(self) -> frozenset[str]:
        """Names of the placeholders."""
        templates = [self.url, *self.headers.values(), *([] if self.body is None else [self.body])]
        return frozenset().union(*(template.names for template in templates))

    def read(self, body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
        """Return the values to keep of a response with a status of success.

        Raises:
            ValueError: the response lacks something; the text says what, in a few fixed words.
        """
        received = Received(body)
        if self.expect is not None and not self.expect.matches(received, values):
            raise ValueError(f"expected {self.expect} in the response")
        found = {}
        for name, place in self.save.items():
            value = headers.get(place) if isinstance(place, str) else received.find_text(place)
            if value is None:
                where = f"header {place}" if isinstance(place, str) else ".".join(place)
                raise ValueError(f"no {where} to save in the response")
            found[name] = value
        return found


@dataclass(frozen=True, slots=True)
class HttpSteps:
    """All requests of a dialect.

    Attributes:
        login: for each user, before each connection.
        setup: for each room, once before anybody joins it.
        join: for each user and room, before the messages that join it.
        say: sends a chat message; None if they go over the connection.
        defaults: values of placeholders that neither the account nor a step has.
        confirms_joins: whether a successful `join` is all that it takes to be in a room.
    """

    login: tuple[HttpStep, ...] = ()
    setup: tuple[HttpStep, ...] = ()
    join: tuple[HttpStep, ...] = ()
    say: HttpStep | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    confirms_joins: bool = False

    def __bool__(self) -> bool:
        return bool(self.login or self.setup or self.join or self.say)
