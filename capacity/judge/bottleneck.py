"""Name the bottleneck of a failed step, with its evidence: causes come before their symptoms. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.formatting import format_ms
from capacity.judge.instances import BUS
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from capacity.record.step import StepRecord

SERVER_CPU: Final = "server CPU"

_CPU_FULL: Final = 0.9
_CORE_FULL: Final = 0.95
_SIGNIFICANT_CPU: Final = 0.3
_LAG_MS: Final = 50.0
_NEARLY_FULL: Final = 0.9
_SYMPTOMS: Final = {
    BUS: "bus between the instances",
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
    """The bottleneck in standard terms, and the evidence with its figures, strongest first."""

    name: str
    evidence: tuple[str, ...]


def find_bottleneck(step: StepRecord) -> Bottleneck:
    """Return the bottleneck of a failed step; for an invalid step, the load generator."""
    if step.verdict is Verdict.INVALID:
        return Bottleneck("load generator", tuple(step.reasons))
    found = [*_causes(step), *_symptoms(step)]
    return Bottleneck(found[0][0] if found else "unknown", tuple(text for _, text in found))


def _causes(step: StepRecord) -> list[tuple[str, str]]:
    found = []
    cpu, foreign = step.server_core_share, step.server_core_foreign or 0.0
    if cpu is not None and cpu >= _CPU_FULL:
        many = step.server_processes > 1
        name = f"the busiest of {step.server_processes} server processes" if many else "the server"
        found.append((SERVER_CPU, f"{name} used {cpu * 100:.0f} % of one core"))
    elif cpu is not None and cpu + foreign >= _CORE_FULL and cpu >= _SIGNIFICANT_CPU:
        text = f"the server's core was full: {cpu * 100:.0f} % server, {foreign * 100:.0f} % other processes"
        found.append((SERVER_CPU, text))
    if _is_nearly_full(step.server_fds, step.server_fds_limit):
        found.append(("file descriptors", f"{step.server_fds} of {step.server_fds_limit} file descriptors in use"))
    if _is_nearly_full(step.server_rss_bytes, step.server_memory_bytes):
        found.append(("memory", f"the server used {(step.server_rss_bytes or 0) / 2**20:.0f} MiB of memory"))
    dropped, kills = step.server_dropped or 0, step.server_kills or 0
    if dropped or kills:
        text = f"{dropped} messages dropped and {kills} connections closed for slow consumers"
        found.append(("slow consumers", text))
    lag = step.server_loop_lag_p99_ms
    if lag is not None and lag >= _LAG_MS:
        found.append(("event loop lag", f"event loop lag p99 {format_ms(lag)}"))
    return found


def _is_nearly_full(used: int | None, limit: int | None) -> bool:
    return used is not None and bool(limit) and used >= _NEARLY_FULL * (limit or 1)


def _symptoms(step: StepRecord) -> list[tuple[str, str]]:
    return [(_symptom(signal), text) for signal, text in zip(step.signals, step.reasons, strict=True)]


def _symptom(signal: str) -> str:
    is_latency = signal.startswith("deliver_p")
    return "delivery latency" if is_latency else _SYMPTOMS.get(signal, signal)
