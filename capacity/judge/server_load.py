"""Describe how much of its CPU and memory a server used in a step. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.formatting import format_bytes

if TYPE_CHECKING:
    from capacity.record.step import StepRecord


def is_limited_by_all_cores(step: StepRecord) -> bool:
    """Return whether all cores that the server may use are fuller than the one of its busiest thread."""
    total, cores, thread = step.server_cpu, step.server_cores_allowed, step.server_busiest_thread
    if step.server_cpu_busiest is not None or total is None or not cores or cores == 1:
        return False
    return total / cores > (thread or 0.0)


def describe_cpu(step: StepRecord) -> str | None:
    """Return e.g. '97 % of one core' or '3.9 of 4 cores'; None if it is unknown."""
    if is_limited_by_all_cores(step):
        cores = step.server_cores_allowed or 0.0
        return f"{step.server_cpu:.2g} of {cores:.2g} core{'' if cores == 1 else 's'}"
    share = step.server_core_share
    return None if share is None else f"{share * 100:.0f} % of one core"


def describe_memory(step: StepRecord) -> str | None:
    """Return e.g. '85.0 MiB of 8.0 GiB'; None if it is unknown."""
    if step.server_rss_bytes is None:
        return None
    limits = [limit for limit in (step.server_memory_bytes, step.server_group_memory_limit_bytes) if limit]
    of_limit = f" of {format_bytes(min(limits))}" if limits else ""
    return f"{format_bytes(step.server_rss_bytes)}{of_limit}"
