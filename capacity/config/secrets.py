"""Keep the secrets of URLs and headers out of commands and reports. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from stampede.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")


def has_redaction(text: str) -> bool:
    """Return whether a secret was redacted in an argument, which makes the argument unusable."""
    in_url = rf"://{re.escape(HIDDEN)}@|[?&][\w.~-]+={re.escape(HIDDEN)}"
    return bool(re.search(rf"{in_url}|^(--[\w-]+=)?([^\s:]+: )?{re.escape(HIDDEN)}$", text))


def redact_arguments(arguments: Iterable[str], secret_flags: Sequence[str]) -> list[str]:
    """Return the arguments of a command with the secrets of URLs and the values of secret flags redacted."""
    shown: list[str] = []
    for argument in arguments:
        flag, joined, value = argument.partition("=")
        if joined and flag in secret_flags:
            shown.append(f"{flag}={_redact_value(value)}")
        elif shown and shown[-1] in secret_flags:
            shown.append(_redact_value(argument))
        else:
            shown.append(redact(argument))
    return shown


def _redact_value(text: str) -> str:
    """Return the name of a header without its value; nothing of any other secret."""
    name, colon, _ = text.partition(":")
    return f"{name.strip()}: {HIDDEN}" if colon else HIDDEN


def redact_report(report: T) -> T:
    """Return a struct with the secrets of URLs redacted in all of its texts."""
    return msgspec.convert(_redact_values(msgspec.to_builtins(report)), type(report))


def _redact_values(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redact_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_redact_values(one) for one in value]
    return value
