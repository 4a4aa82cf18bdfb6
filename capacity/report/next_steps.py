"""What to do next, by why a run ended where it did. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.judge import causes
from capacity.report.stop import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Situation:
    """What the advice depends on.

    Attributes:
        is_bundled: whether the server under test is the bundled one.
        is_profiled: whether the run profiled the server's CPU.
        has_remote_workers: whether the load generator runs on other machines.
        has_core: whether this machine has a core for another process of the load generator.
        hot_spot: where the server's CPU time goes, such as '41 % of it in json.dumps (app.py:88)'; empty if unknown.
        options: options that let the search continue, such as `--max-duration 300`; empty without any.
        needs: what these options do, such as 'with more time'.
        is_jittered: whether users wait a random time before they reconnect.
    """

    is_bundled: bool = True
    is_profiled: bool = False
    has_remote_workers: bool = False
    has_core: bool = True
    hot_spot: str = ""
    options: str = ""
    needs: str = ""
    is_jittered: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """A next step: its text, which may name fields of the situation, and when it applies."""

    text: str
    applies: Callable[[Situation], bool] = lambda _: True


_PROFILE: Final = Advice(
    "Find the functions that use the CPU: repeat the run with --profile.",
    lambda now: not now.is_profiled and not now.hot_spot,
)
FURTHER: Final = "Measure further"
"""Opening of the advice to continue the search, whose whole command the answer has, too."""
_FURTHER: Final = Advice(f"{FURTHER}, {{needs}}: add {{options}}.", lambda now: bool(now.options))
_AGAIN: Final = Advice("Then measure again.")

NEXT_STEPS: Final[Mapping[str, tuple[Advice, ...]]] = {
    # causes at the server
    causes.SERVER_CPU: (
        Advice("Make the code cheaper that the profile names: {hot_spot}.", lambda now: bool(now.hot_spot)),
        Advice(
            "Run more server processes: --workers-list 1,2,4 measures what they add.",
            lambda now: now.is_bundled,
        ),
        Advice("Give the server more processes or cores, and measure again.", lambda now: not now.is_bundled),
        _PROFILE,
    ),
    causes.CPU_QUOTA: (
        Advice("Raise the CPU quota of the server's control group, such as limits.cpu in Kubernetes."),
        _AGAIN,
    ),
    causes.MEMORY: (Advice("Give the server more memory, or find out what each connection keeps."), _AGAIN),
    causes.FILE_DESCRIPTORS: (
        Advice("Raise the server's limit on open files: ulimit -n, or LimitNOFILE of its systemd unit."),
        _AGAIN,
    ),
    causes.CONNECTION_TRACKING: (Advice("Raise net.netfilter.nf_conntrack_max on the server's machine."), _AGAIN),
    causes.LISTEN_BACKLOG: (
        Advice("Raise net.core.somaxconn and the server's own backlog, or let clients wait before they reconnect."),
        _AGAIN,
    ),
    causes.SLOW_CONSUMERS: (
        Advice("Find out why clients read too slowly, or raise the server's limits on unsent bytes."),
        _AGAIN,
    ),
    causes.LOOP_LAG: (
        Advice("Find out what blocks the server's event loop, such as a synchronous call or a long computation."),
        _PROFILE,
    ),
    causes.BUS_CAUSE: (
        Advice("Check the bus, and that every instance of the server is connected to it."),
        _AGAIN,
    ),
    # no cause at the server is known
    Kind.NOT_OBSERVABLE: (
        Advice("Let the run observe the server: --server-pid, --metrics, or a [metrics] table in the dialect's file."),
    ),
    Kind.NONE_OBSERVED: (
        Advice("Look for a rate limit, a lock, a database or another service that the server waits for."),
        _PROFILE,
    ),
    # the load generator or the machine was the limit
    Kind.GENERATOR: (
        Advice("Add workers of the load generator: --expect-workers.", lambda now: now.has_remote_workers),
        Advice(
            "Give the load generator another core: add {options}.",
            lambda now: not now.has_remote_workers and now.has_core and bool(now.options),
        ),
        Advice(
            "Add machines for the load generator: --expect-workers N. No core of this machine is left for it.",
            lambda now: not now.has_remote_workers and not now.has_core,
        ),
    ),
    Kind.GENERATOR_FAULT: (
        Advice("Raise that limit of the load generator's machine, or add machines: --expect-workers N."),
    ),
    Kind.LOST_WORKER: (Advice("Keep all workers of the load generator running and connected, and repeat the run."),),
    Kind.OTHERS: (Advice("Repeat the run when the machine is quiet, or give the server a core of its own."),),
    # the search ended before it found a limit
    Kind.CAP: (_FURTHER, Advice("Raise --users-max.", lambda now: not now.options)),
    Kind.TIME_LIMIT: (_FURTHER, Advice("Raise --max-duration.", lambda now: not now.options)),
    Kind.GIVEN: (
        _FURTHER,
        Advice("Find the limit: omit --bounded and --steps.", lambda now: not now.options),
    ),
    Kind.MIXED: (Advice("Narrow it down on a quiet machine, with longer windows: --thorough."),),
    Kind.MISSING: (Advice("Make the missing figures available, and repeat the run."),),
    Kind.INTERRUPTED: (Advice("Continue the run: --resume with the folder of this report."),),
    Kind.IN_PROGRESS: (),
    # reconnect storms
    Kind.STORM_FAILED: (
        Advice(
            "Let clients wait a random time before they reconnect: --backoff full-jitter measures that.",
            lambda now: not now.is_jittered,
        ),
        Advice("Spread the reconnects over more time or more server processes, and measure again."),
    ),
    Kind.ALL_RECONNECTED: (Advice("Hold more users: --storm with a larger number."),),
    Kind.UNMEASURED: (Advice("Repeat the run."),),
}
"""The advice for each cause of `capacity.judge.causes`, and for each `Kind`."""


def next_steps(kind: str, now: Situation) -> list[str]:
    """Return what to do next, as sentences.

    Args:
        kind: why the run ended: a cause or a `Kind`.
        now: the situation.
    """
    fields = {"hot_spot": now.hot_spot, "options": now.options, "needs": now.needs}
    return [advice.text.format(**fields) for advice in NEXT_STEPS[kind] if advice.applies(now)]
