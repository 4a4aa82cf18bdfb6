"""The options of the load test, taken from its own table: a capacity run accepts them and passes them to Locust."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from capacity.config.options import Option, flag
from stampede.locust import options as load_test
from stampede.locust.options import DEFAULT_ROOM_SIZE, STEP_SUMMARY, Form
from stampede.websocket.endpoint import parse_endpoints
from stampede.websocket.headers import all_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stampede.websocket.endpoint import Endpoint
    from stampede.websocket.headers import Header

REPLACED: Final = {
    "threshold": "use --slo",
    "threshold_window": "use --window, or a window in --slo-file",
    "shape": "a capacity run sets the number of users itself",
}
"""Options of the load test that a capacity run does not take, and what to use instead."""

_FIRST: Final = "dialect"
"""The option of the load test that most people need first in a capacity run."""

_OWN: Final = frozenset({"summary_json", "junit"})
"""Options of the load test whose names a capacity run uses for its own results."""

DEFAULT_TIMED_SHARE: Final = "0.02"
"""The load test's own default is everyone. A sample is enough for the percentiles of a window, and costs less CPU."""

_TABLE: Final = {one.dest: one for one in load_test.OPTIONS}


def _option(one: load_test.Option) -> Option:
    default = "" if one.default is None else f" Default: {one.default}."
    return Option(
        f"{one.help}{default}",
        f"load test: {one.topic}",
        first=one.dest == _FIRST,
        parse=None if one.form is Form.SWITCH else _text(one),
        metavar=f"{{{','.join(one.choices)}}}" if one.choices else one.name.upper(),
        repeatable=one.form is Form.REPEATABLE,
        secret=one.secret,
    )


def _text(one: load_test.Option) -> Callable[[str], str]:
    """Return a parser that checks a value and returns it as it was typed, for Locust."""

    def parse(text: str) -> str:
        value = one.parse(text)
        if one.choices and value not in one.choices:
            raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join(one.choices)})")
        return text

    return parse


LOAD_OPTIONS: Final[dict[str, Option]] = {
    dest: _option(one) for dest, one in _TABLE.items() if dest not in REPLACED.keys() | _OWN
}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of the load test that were given.

    Attributes:
        given: texts by attribute name; a tuple of a repeatable option, True of a switch.
    """

    given: Mapping[str, str | tuple[str, ...] | bool] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """Return the parsed value of an option that takes one value, or the load test's default."""
        text = self.given.get(name)
        return _TABLE[name].parse(text) if isinstance(text, str) else _TABLE[name].default

    @property
    def dialect(self) -> str | None:
        """The dialect of the server, as it was given."""
        return self.value("dialect")  # type: ignore[no-any-return]

    @property
    def rooms(self) -> int | None:
        """The number of rooms, in place of their size."""
        return self.value("rooms")  # type: ignore[no-any-return]

    @property
    def room_size(self) -> int | None:
        """Size of a room; None if the number of rooms is given instead."""
        return None if self.rooms else self.value("room_size") or DEFAULT_ROOM_SIZE

    @property
    def message_rate(self) -> float:
        """Chat messages per second of each ChattingUser."""
        return float(self.value("message_rate"))

    @property
    def backoff(self) -> str:
        """Policy for the wait before dropped users reconnect."""
        return str(self.value("backoff"))

    @property
    def headers(self) -> tuple[Header, ...]:
        """The headers of each upgrade request, from `--origin` and `--header`."""
        has_token = any(name in self.given for name in ("token", "token_file"))
        return all_headers(self._repeated("header"), self.value("origin"), has_token=has_token)

    @property
    def http_headers(self) -> tuple[Header, ...]:
        """The headers of an HTTP request to the server: those of an upgrade request, and the token of `--token`."""
        token = self.value("token")
        return (*self.headers, *([("Authorization", f"Bearer {token}")] if token else []))

    @property
    def path(self) -> str | None:
        """Path of the chat endpoint, unless the URL of the server contains one."""
        return self.value("path")  # type: ignore[no-any-return]

    @property
    def ca_file(self) -> str | None:
        """File of the certificates that verify the server."""
        return self.value("ca_file")  # type: ignore[no-any-return]

    @property
    def verifies_tls(self) -> bool:
        """Whether the server's certificate is verified."""
        return "insecure" not in self.given

    @property
    def connect_to(self) -> tuple[Endpoint, ...]:
        """The addresses to which users connect, in place of those of the server's name."""
        return parse_endpoints(self.value("connect_to") or "")

    @property
    def header_names(self) -> list[str]:
        """The names of the headers from `--header`."""
        return [text.partition(":")[0].strip() for text in self._repeated("header")]

    def _repeated(self, name: str) -> tuple[str, ...]:
        value = self.given.get(name, ())
        return value if isinstance(value, tuple) else ()

    def arguments(self) -> list[str]:
        """Return the options as arguments, without secrets."""
        found: list[str] = []
        for name, value in self._passed().items():
            if _TABLE[name].secret:
                continue
            if isinstance(value, bool):
                found.append(flag(name))
            else:
                values = (value,) if isinstance(value, str) else value
                found += [part for text in values for part in (flag(name), text)]
        return found

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of Locust, with the options: other users of this machine cannot read it.

        Args:
            inherited: the environment of this process. Its options of the load test do not count, and Locust must not
                add a summary of each step to that of a CI job.
        """
        own = {STEP_SUMMARY, *(one.env for one in load_test.OPTIONS)}
        others = {name: value for name, value in inherited.items() if name not in own}
        return others | {_TABLE[name].env: _environment_text(value) for name, value in self._passed().items()}

    def _passed(self) -> dict[str, str | tuple[str, ...] | bool]:
        """Return the options to pass to Locust: those that define the load, then the others that were given."""
        rooms = {"rooms": str(self.rooms)} if self.rooms else {"room_size": str(self.room_size)}
        load = {**rooms, "message_rate": f"{self.message_rate:g}", "timed_share": DEFAULT_TIMED_SHARE}
        return load | {name: value for name, value in self.given.items() if name not in {*rooms, "message_rate"}}


def _environment_text(value: str | tuple[str, ...] | bool) -> str:
    """Return a value as configargparse reads it from the environment."""
    if isinstance(value, bool):
        return "true"
    return value if isinstance(value, str) else json.dumps(value)
