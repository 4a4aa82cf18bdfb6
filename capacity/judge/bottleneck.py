"""Name the signal that gave out first, with its evidence: causes before the symptoms they bring about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.formatting import show_ms

if TYPE_CHECKING:
    from capacity.record import StepRecord

_CPU_FULL: Final = 0.9
_CORE_FULL: Final = 0.95
_CPU_PART: Final = 0.3
_LAGGING_MS: Final = 50.0
_NEARLY: Final = 0.9
_SYMPTOMS: Final = {
    "loss": "loss",
    "errors": "errors",
    "duplicates": "duplicated deliveries",
    "reordered": "reordered deliveries",
    "admission": "admission of users",
    "backlog": "delivery backlog",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """What gave out: `signal` in the field's words, `evidence` quoting the figures, strongest first."""

    signal: str
    evidence: tuple[str, ...]


def limiting_signal(step: StepRecord) -> Limit:
    """Return what gave out in a failing step, or the generator for an invalid one."""
    if step.verdict == "invalid":
        return Limit("load generator", tuple(step.reasons))
    found = [*_causes(step), *_symptoms(step)]
    signals = [signal for signal, _ in found]
    return Limit(signals[0] if signals else "unknown", tuple(text for _, text in found))


def _causes(step: StepRecord) -> list[tuple[str, str]]:
    found = []
    cpu, foreign = step.server_load, step.server_core_foreign or 0.0
    if cpu is not None and cpu >= _CPU_FULL:
        who = "the server" if step.server_processes == 1 else f"the busiest of {step.server_processes} server processes"
        found.append(("server CPU", f"{who} used {cpu * 100:.0f} % of one core"))
    elif cpu is not None and cpu + foreign >= _CORE_FULL and cpu >= _CPU_PART:
        text = f"the server's core was full: {cpu * 100:.0f} % server, {foreign * 100:.0f} % others"
        found.append(("server CPU", text))
    if _nearly(step.server_fds, step.server_fds_limit):
        found.append(("file descriptors", f"{step.server_fds} of {step.server_fds_limit} file descriptors in use"))
    if _nearly(step.server_rss_bytes, step.server_memory_bytes):
        found.append(("memory", f"the server took {(step.server_rss_bytes or 0) / 2**20:.0f} MiB of memory"))
    dropped = (step.server_dropped or 0) + (step.server_kills or 0)
    if dropped:
        text = f"{step.server_dropped or 0} messages dropped and {step.server_kills or 0} clients closed as too slow"
        found.append(("slow consumers", text))
    lag = step.server_loop_lag_p99_ms
    if lag is not None and lag >= _LAGGING_MS:
        found.append(("event loop lag", f"event loop lag p99 {show_ms(lag)}"))
    return found


def _nearly(used: int | None, limit: int | None) -> bool:
    return used is not None and bool(limit) and used >= _NEARLY * (limit or 1)


def _symptoms(step: StepRecord) -> list[tuple[str, str]]:
    return [
        (_SYMPTOMS.get(signal, "delivery latency" if signal.startswith("deliver") else signal), text)
        for signal, text in zip(step.signals, step.reasons, strict=True)
    ]
