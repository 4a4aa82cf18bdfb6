"""Name the bottleneck of a failed step, with its evidence: a cause, never one of its symptoms. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.formatting import listing
from capacity.judge.causes import causes
from capacity.judge.server_load import describe_cpu, describe_memory
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from capacity.record.step import StepRecord

TO_OBSERVE: Final = "give --server-pid or --metrics, or a [metrics] table in the dialect's file"
"""How a run learns what its server uses."""

_SYMPTOMS: Final = {
    "loss": "loss",
    "errors": "errors",
    "duplicates": "duplicated deliveries",
    "reordered": "reordered deliveries",
    "divergent": "divergent members",
    "admission": "admission of users",
    "backlog": "delivery backlog",
}


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The bottleneck of a step.

    Attributes:
        is_cause: whether a cause is known.
        name: the cause in standard terms; without one, the first symptom.
        text: the cause with its figures; without one, what was observed, or how to observe it.
        observable: whether the server's resources were observed.
        evidence: all figures, strongest first: those of causes, then the symptoms.
        proxy: name of the proxy to which the server's figures belong, if that is so.
    """

    name: str
    text: str
    is_cause: bool
    observable: bool
    evidence: tuple[str, ...]
    proxy: str | None = None


def find_bottleneck(step: StepRecord, proxy: str | None = None) -> Bottleneck:
    """Return the bottleneck of a failed step; for an invalid step, the load generator.

    Args:
        step: the step.
        proxy: name of the proxy to which the server's figures belong; None if they are the server's own.
    """
    if step.verdict is Verdict.INVALID:
        text = f"load generator ({step.reasons[0]})" if step.reasons else "load generator"
        return Bottleneck("load generator", text, is_cause=True, observable=True, evidence=tuple(step.reasons))
    found = causes(step)
    evidence = tuple(dict.fromkeys([*(cause.figures for cause in found), *step.reasons]))
    if found:
        name, figures = found[0]
        return Bottleneck(name, f"{name} ({figures})", is_cause=True, observable=True, evidence=evidence)
    name = _symptom(step.signals[0]) if step.signals else "unknown"
    is_known = is_observed(step) and proxy is None
    text = _without_cause(step, proxy)
    return Bottleneck(name, text, is_cause=False, observable=is_known, evidence=evidence, proxy=proxy)


def is_observed(step: StepRecord) -> bool:
    """Return whether the server's CPU and memory are known."""
    return step.server_core_share is not None and step.server_rss_bytes is not None


def _without_cause(step: StepRecord, proxy: str | None) -> str:
    if proxy is not None:
        return f"not observable: the figures are those of {proxy}, a proxy; give --server-pid of the server"
    if not is_observed(step):
        return f"not observable: {TO_OBSERVE}"
    return (
        f"none of the observed resources ({_observed(step)}): a wait or a limit inside the server, such as a rate "
        "limit, a lock or a database"
    )


def _observed(step: StepRecord) -> str:
    """Return what was observed, and what was not."""
    known = [f"server CPU {describe_cpu(step)}", f"memory {describe_memory(step)}"]
    unknown = []
    if step.server_fds is not None and step.server_fds_limit is not None:
        known.append(f"{step.server_fds} of {step.server_fds_limit} file descriptors")
    else:
        unknown.append("file descriptors")
    if step.server_loop_lag_p99_ms is not None:
        known.append(f"event loop lag p99 {step.server_loop_lag_p99_ms:.2g} ms")
    else:
        unknown.append("event loop lag")
    if step.server_dropped is None or step.server_kills is None:
        unknown.append("slow consumers")
    return ", ".join(known) + (f"; unknown: {listing(unknown)}" if unknown else "")


def _symptom(signal: str) -> str:
    is_latency = signal.startswith("deliver_p")
    return "delivery latency" if is_latency else _SYMPTOMS.get(signal, signal)
