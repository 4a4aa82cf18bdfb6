"""The causes of a failed step: which resources of the server or its machine were used up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from capacity.formatting import format_bytes, format_ms
from capacity.judge.instances import BUS
from capacity.judge.server_load import describe_cpu, is_limited_by_all_cores
from stampede.health.limits import FULL, THROTTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from capacity.record.step import StepRecord

BUS_CAUSE: Final = "bus between the instances"
CPU_QUOTA: Final = "CPU quota"
SERVER_CPU: Final = "server CPU"
MEMORY: Final = "memory"
FILE_DESCRIPTORS: Final = "file descriptors"
CONNECTION_TRACKING: Final = "connection tracking"
LISTEN_BACKLOG: Final = "listen backlog"
SLOW_CONSUMERS: Final = "slow consumers"
LOOP_LAG: Final = "event loop lag"

_CPU_FULL: Final = 0.9
_CORE_FULL: Final = 0.95
_SIGNIFICANT_CPU: Final = 0.3
_LAG_MS: Final = 50.0
_NEARLY_FULL: Final = 0.9
_LITTLE_MEMORY: Final = 0.05
_OF_NEW_CONNECTIONS: Final = ("admission", "errors", "resync", "connect")


class CauseFound(NamedTuple):
    """A cause in standard terms, and the figures that show it."""

    name: str
    figures: str


def causes(step: StepRecord) -> list[CauseFound]:
    """Return the resources that were used up in a step, causes before their effects."""
    return [cause for find in _FINDERS for cause in find(step)]


def _bus(step: StepRecord) -> Iterator[CauseFound]:
    """The deliveries themselves show that the instances of a server do not reach each other."""
    for signal, reason in zip(step.signals, step.reasons, strict=True):
        if signal == BUS:
            yield CauseFound(BUS_CAUSE, reason)


def _quota(step: StepRecord) -> Iterator[CauseFound]:
    share = step.server_throttled_share
    if share is not None and share >= THROTTLED:
        quota = step.server_cpu_quota or 0.0
        text = f"the CPU quota of {quota:.2g} cores stopped the server for {share * 100:.0f} % of the time"
        yield CauseFound(CPU_QUOTA, text)


def _cpu(step: StepRecord) -> Iterator[CauseFound]:
    cpu = step.server_core_share
    if cpu is not None and cpu >= _CPU_FULL:
        yield CauseFound(SERVER_CPU, f"{_user_of_cpu(step)} used {describe_cpu(step)}")
    elif cpu is not None and cpu >= _SIGNIFICANT_CPU and (shortage := _shortage(step, cpu)):
        yield CauseFound(SERVER_CPU, shortage)


def _shortage(step: StepRecord, cpu: float) -> str:
    """Describe that other processes left the server too little of its core; empty if they did not."""
    foreign, runnable = step.server_core_foreign or 0.0, step.server_runnable
    is_short = cpu + foreign >= _CORE_FULL if runnable is None else runnable >= _CPU_FULL
    if not is_short:
        return ""
    if cpu + foreign >= _CORE_FULL:
        return f"the server's core was full: {cpu * 100:.0f} % server, {foreign * 100:.0f} % other processes"
    waited = max(0.0, (runnable or 0.0) - (step.server_busiest_thread or 0.0))
    return f"{_user_of_cpu(step)} used {describe_cpu(step)}, and waited for a core for {waited * 100:.0f} % of the time"


def _user_of_cpu(step: StepRecord) -> str:
    if step.server_cpu_busiest is not None and step.server_processes > 1:
        return f"the busiest of {step.server_processes} server processes"
    has_several = (step.server_cpu or 0.0) > (step.server_busiest_thread or 0.0) + _SIGNIFICANT_CPU
    if step.server_busiest_thread is not None and has_several and not is_limited_by_all_cores(step):
        return "the server's busiest thread"
    return "the server"


def _memory(step: StepRecord) -> Iterator[CauseFound]:
    if step.server_killed:
        killed = "a process" if step.server_killed == 1 else f"{step.server_killed} processes"
        yield CauseFound(MEMORY, f"the kernel killed {killed} for lack of memory")
    used, limit = step.server_group_memory_bytes, step.server_group_memory_limit_bytes
    total, available = step.server_memory_bytes, step.server_memory_available_bytes
    if _fills(used, limit, FULL):
        text = f"{format_bytes(used or 0)} of the control group's limit of {format_bytes(limit or 0)} in use"
        yield CauseFound(MEMORY, text)
    elif _fills(step.server_rss_bytes, total, _NEARLY_FULL):
        yield CauseFound(MEMORY, f"the server used {(step.server_rss_bytes or 0) / 2**20:.0f} MiB of memory")
    elif available is not None and total and available <= _LITTLE_MEMORY * total:
        text = f"the server's machine had {format_bytes(available)} of {format_bytes(total)} of memory left"
        yield CauseFound(MEMORY, text)


def _files(step: StepRecord) -> Iterator[CauseFound]:
    if _fills(step.server_fds, step.server_fds_limit, _NEARLY_FULL):
        text = f"{step.server_fds} of {step.server_fds_limit} file descriptors in use"
        yield CauseFound(FILE_DESCRIPTORS, text)


def _tracking(step: StepRecord) -> Iterator[CauseFound]:
    if _fills(step.server_tracked, step.server_tracked_limit, FULL):
        limit = f"net.netfilter.nf_conntrack_max is {step.server_tracked_limit}"
        yield CauseFound(CONNECTION_TRACKING, f"{step.server_tracked} connections are tracked, {limit}")


def _backlog(step: StepRecord) -> Iterator[CauseFound]:
    """Only what new connections need can fail because of a full listen queue."""
    if step.server_listen_overflows and any(one.startswith(_OF_NEW_CONNECTIONS) for one in step.signals):
        n, longest = step.server_listen_overflows, step.server_somaxconn
        limit = "" if longest is None else f"; net.core.somaxconn allows {longest}"
        connections = f"{n} connection{'' if n == 1 else 's'}"
        yield CauseFound(LISTEN_BACKLOG, f"{connections} found the listen queue full{limit}")


def _slow_consumers(step: StepRecord) -> Iterator[CauseFound]:
    dropped, kills = step.server_dropped or 0, step.server_kills or 0
    if dropped or kills:
        text = f"{dropped} messages dropped and {kills} connections closed for slow consumers"
        yield CauseFound(SLOW_CONSUMERS, text)


def _loop_lag(step: StepRecord) -> Iterator[CauseFound]:
    lag = step.server_loop_lag_p99_ms
    if lag is not None and lag >= _LAG_MS:
        yield CauseFound(LOOP_LAG, f"event loop lag p99 {format_ms(lag)}")


_FINDERS: Final[tuple[Callable[[StepRecord], Iterator[CauseFound]], ...]] = (
    _bus, _quota, _cpu, _memory, _files, _tracking, _backlog, _slow_consumers, _loop_lag,
)  # fmt: skip


def _fills(used: int | None, limit: int | None, share: float) -> bool:
    return used is not None and bool(limit) and used >= share * (limit or 1)
