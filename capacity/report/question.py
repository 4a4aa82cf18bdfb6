"""The question of a run, read from its report: what `compare` requires to be equal and `history` groups by. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.config.scenario import Scenario
from capacity.config.settings_table import COMPARE_MAY_DIFFER, QUESTION, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from capacity.config.settings_table import Shown
    from capacity.record.report import RunReport

# Part of the scenario's name, of the dialect, or of neither: two files of one name are versions of one scenario.
_IN_THE_NAMES: Final = frozenset({"locustfile", "locustfile_hash", "mix", "load"})
# Options of the load test that lead to the server: they differ between two servers, as `--host` does.
_OF_THE_SERVER: Final = frozenset(
    {
        "dialect", "http-host", "path", "ca-file", "insecure", "origin", "token-file", "credentials", "prometheus-port",
        "connect-to",
    }
)  # fmt: skip
_PLACE: Final = frozenset({"path", "connect-to"})


def load_of(report: RunReport, *, omitted: frozenset[str] = _OF_THE_SERVER) -> dict[str, str]:
    """Return the options of the load by name, without those that are `omitted`."""
    text = str(report.settings.get("load") or "")
    options = (part.partition(" ") for part in re.split(r"(?:^| )--", text) if part)
    return {name: value for name, _, value in options if name not in omitted}


def asked(report: RunReport) -> dict[str, Shown]:
    """Return the parts of a run's question by name."""
    settings = report.settings
    others = {name: settings[name] for name in sorted(settings) if name not in COMPARE_MAY_DIFFER | _IN_THE_NAMES}
    return {
        "scenario": report.scenario,
        "dialect": report.dialect,
        "number of addresses (--connect-to)": _addresses(report),
        "SLOs": ", ".join(report.levels),
        **others,
        "load": " ".join(f"--{name} {value}".rstrip() for name, value in load_of(report).items()),
    }


def _addresses(report: RunReport) -> int | None:
    """Return the number of addresses in `--connect-to`, one for each instance of the server."""
    given = load_of(report, omitted=frozenset()).get("connect-to")
    return None if given is None else given.count(",") + 1


def differences(one: RunReport, two: RunReport) -> list[str]:
    """Return the differences between two questions, such as `different dialect: stampede and socketio`."""
    before, after = asked(one), asked(two)
    return [
        f"different {name.replace('_', ' ')}: {before.get(name)} and {after.get(name)}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


@dataclass(frozen=True, slots=True)
class QuestionText:
    """The question of a run in words.

    Attributes:
        users: such as `chatting users` or `users of shop.py: Buyer=2`.
        dialect: such as `dialect socketio`.
        server: such as `ws://chat.example.org` or `4 processes of the bundled server`.
        settings: of the server, such as `work per message 0.0003 s`.
        load: such as `room size 20`.
    """

    users: str
    dialect: str
    server: str
    settings: tuple[str, ...]
    load: tuple[str, ...]


def _server(report: RunReport) -> str:
    settings = report.settings
    if settings.get("host"):
        return str(settings["host"])
    processes = int(settings.get("workers") or 1)
    return "one process of the bundled server" if processes == 1 else f"{processes} processes of the bundled server"


def question_of(report: RunReport) -> QuestionText:
    """Return the question of a run in words."""
    named = {"host", "workers", "locustfile", "mix", "load"}
    values = report.settings
    given = {name: f"{values[name]} {UNITS[name]}" for name in QUESTION if name not in named and values.get(name)}
    place = {name: value for name, value in load_of(report, omitted=frozenset()).items() if name in _PLACE}
    return QuestionText(
        users=Scenario.named(report.scenario).words,
        dialect=f"dialect {report.dialect}",
        server=_server(report),
        settings=tuple(_in_words(given | place)),
        load=tuple(_in_words(load_of(report))),
    )


def _in_words(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name.replace('_', ' ').replace('-', ' ')} {value}".rstrip()
