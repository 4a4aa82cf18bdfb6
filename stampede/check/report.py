"""The report of a check, as lines of text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.check.result import StepName
from stampede.check.texts import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.check.result import Exchange, Logged, Step
    from stampede.dialects.base import Dialect

_WIDTH: Final = 30
"""Columns of an outcome before the duration."""


def report(exchange: Exchange, dialect: Dialect) -> list[str]:
    """Return the exchange step by step, and what it shows about the server."""
    lines = [f"{exchange.url}, room {exchange.room!r}, dialect {exchange.dialect}", ""]
    for step in exchange.steps:
        lines += _step(step, exchange.secrets)
    if exchange.findings.latencies:
        lines += ["", *_findings(exchange, dialect)]
    return lines


def _step(step: Step, secrets: tuple[str, ...]) -> Iterator[str]:
    mark = "ok    " if step.ok else "FAILED"
    # A message says how long its delivery took.
    duration = f"{step.seconds * 1e3:.1f} ms" if step.ok and step.name is not StepName.MESSAGE else ""
    yield f"{mark}  {step.name:<8} user {step.user}  {step.outcome:<{_WIDTH}} {duration}".rstrip()
    for message in step.messages:
        yield f"          {_message(message, secrets)}"


def _message(message: Logged, secrets: tuple[str, ...]) -> str:
    meaning = message.meaning if message.sent or message.meaning else "not used by the dialect"
    arrow = ">" if message.sent else "<"
    return f"user {message.user} {arrow} {show(message.payload, secrets)}{f'   [{meaning}]' if meaning else ''}"


def _findings(exchange: Exchange, dialect: Dialect) -> Iterator[str]:
    findings = exchange.findings
    first, second = (f"{latency * 1e3:.1f} ms" for latency in findings.latencies)
    yield f"latency           {first} and {second} from the send to the delivery"
    yield f"join              {_join(dialect)}"
    yield f"own message       {_echo(findings.echoes, dialect)}"
    yield f"private copy      {'yes, not counted as a delivery' if findings.private_copies else 'none'}"
    yield f"acknowledgement   {'of each message' if findings.acknowledges_messages else 'none'}"
    yield f"text              {findings.change or 'arrives unchanged'}"
    for problem in findings.problems:
        yield f"PROBLEM           {problem}"


def _join(dialect: Dialect) -> str:
    over_http = dialect.http_steps is not None and dialect.http_steps.confirms_joins
    confirms = dialect.acknowledges_joins or over_http
    return "confirmed by the server" if confirms else "not confirmed by the server: --join-grace"


def _echo(observed: bool | None, dialect: Dialect) -> str:
    if observed is None:
        return "cannot be discovered"
    received = "the sender receives it, too" if observed else "the sender does not receive it"
    said = {None: "discovered", observed: "as the dialect says", not observed: "but the dialect says otherwise"}
    return f"{received} ({said[dialect.echoes]})"
