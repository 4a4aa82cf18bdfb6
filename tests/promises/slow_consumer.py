"""Measure how members that stop reading affect the server and the latency of other members.

    python -m tests.promises.slow_consumer --seconds 60 --rounds 1
    python -m tests.promises.slow_consumer --rounds 20

Windows with and without stopped members alternate on one server, and each is compared with the one before it. Noise of
the machine makes single windows worse; a real cost shows in every pair. At this rate, stopped members are closed within
three seconds, so that many short windows measure the same and separate it from noise.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from tests.promises.chat_load import ChatLoad
from tests.promises.raw_clients import POLL_SECONDS, TIMEOUT_SECONDS, RawClientPool, frame, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from tests.promises.raw_clients import Client
    from tests.promises.server_process import ServerProcess

MEMBERS: Final = 200
MESSAGES_PER_SECOND: Final = 2000
TEXT_BYTES: Final = 128
HARD_LIMIT: Final = 1024 * 1024
SLACK_BYTES: Final = 16 * 1024 * 1024  # for the allocator and unrelated work
RECEIVE_BUFFER: Final = 16384  # of members that will stop; the default buffers would take some seconds to fill
_KILLS: Final = "chat_slow_consumer_kills_total"


@dataclass(slots=True)
class Outcome:
    """The measurements; p99 in seconds, one for each window.

    Attributes:
        grown: the largest growth of the server's memory, in bytes, while members did not read.
        codes: close codes and reasons that the stopped members received.
        closed: number of closed connections by metric label.
        torn: number of stopped members whose last message was incomplete.
        kills: slow consumers that the server closed, by its metric.
    """

    stopped: int
    undisturbed: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    grown: int = 0
    codes: list[tuple[int, str]] = field(default_factory=list)
    closed: dict[str, int] = field(default_factory=dict)
    torn: int = 0
    kills: int = 0

    @property
    def ratios(self) -> list[float]:
        """Each disturbed window divided by the one before it."""
        return [with_ / without for without, with_ in zip(self.undisturbed, self.disturbed, strict=True)]

    @property
    def is_affected(self) -> bool:
        """Whether the p99 of other members is more than 20 % worse in each pair of windows.

        Differences below the poll interval of this program are ignored.
        """
        pairs = zip(self.undisturbed, self.disturbed, strict=True)
        return all(disturbed > 1.2 * undisturbed + POLL_SECONDS for undisturbed, disturbed in pairs)

    def __str__(self) -> str:
        low, _, high = quantiles(self.ratios, n=4) if len(self.ratios) > 1 else self.ratios * 3
        return (
            f"{self.stopped} stopped: p99 without {1000 * median(self.undisturbed):.1f} ms, "
            f"with {1000 * median(self.disturbed):.1f} ms, ratio {median(self.ratios):.2f} "
            f"(half of {len(self.ratios)} pairs {low:.2f} to {high:.2f}); "
            f"memory +{self.grown / 2**20:.1f} MiB; {self.kills} killed, closed {self.closed}"
        )


def measure(stopped: int, seconds: float, rounds: int, *flags: str, every_round: bool = False) -> Outcome:
    """Compare pairs of windows of `seconds` each; stop after a pair without a difference, unless `every_round`.

    The room always has 200 members: in one window all of them read, in the other some have stopped.
    """
    outcome = Outcome(stopped)
    # Closed members read their close frame only after the window.
    long_close = {"server.websocket.connection.CLOSE_SECONDS": seconds + TIMEOUT_SECONDS}
    # Members that only count bytes answer no pings.
    settings = ("--message-rate", "0", "--heartbeat-timeout", "0", *flags)
    with launch(*settings, constants=long_close) as server, RawClientPool(server.url) as pool:
        others = pool.open(MEMBERS - stopped)
        pool.join_rooms(others, ["the room"])
        load = ChatLoad(pool, others, MESSAGES_PER_SECOND, text_bytes=TEXT_BYTES)
        load.run(1.0)
        for _ in range(rounds):
            outcome.undisturbed.append(_window_without(pool, load, stopped, seconds))
            _window_with(server, pool, load, outcome, seconds)
            if not (every_round or outcome.is_affected):
                break
        assert all(other.is_open for other in others)
        outcome.closed = server.closed()
        outcome.kills = int(server.samples()[_KILLS])
    return outcome


def _window_without(pool: RawClientPool, load: ChatLoad, count: int, seconds: float) -> float:
    readers = pool.open(count)
    pool.join_rooms(readers, ["the room"])
    for reader in readers:
        reader.discards_data = True
    load.run(0.5)
    leave_at: float | None = None

    def watch(now: float) -> None:
        """Let the readers leave in mid-window: the stopped members are closed in theirs, and both are announced."""
        nonlocal leave_at
        if leave_at is None:
            leave_at = now + seconds / 2
        elif now >= leave_at:
            leave_at = math.inf
            for reader in readers:
                pool.send(reader, frame(b"\x03\xe8", 0x88))

    p99 = load.p99(seconds, watch)

    def gone() -> bool:
        load.run(0.05)
        return all(reader.is_gone for reader in readers)

    pool.wait_until(gone, "closing connections to end")
    return p99


def _window_with(server: ServerProcess, pool: RawClientPool, load: ChatLoad, outcome: Outcome, seconds: float) -> None:
    stopped = pool.open(outcome.stopped, receive_buffer=RECEIVE_BUFFER)
    pool.join_rooms(stopped, ["the room"])
    before, peak, looked = server.rss, 0, 0.0
    for member in stopped:
        pool.pause_reading(member)

    def watch(now: float) -> None:
        nonlocal peak, looked
        if now - looked > 0.25:
            looked = now
            peak = max(peak, server.rss)

    _fill(server, pool, stopped)
    outcome.disturbed.append(load.p99(seconds, watch))
    wanted = outcome.stopped * len(outcome.disturbed)

    def killed() -> bool:
        nonlocal looked
        looked = 0.0  # sample the memory at once
        load.run(0.3, watch)
        return int(server.samples()[_KILLS]) >= wanted

    pool.wait_until(killed, "stopped members to be closed")
    outcome.grown = max(outcome.grown, peak - before)
    _resume(pool, load, stopped)
    outcome.codes += [(member.code, member.reason) for member in stopped]
    outcome.torn += sum(bool(member.reader._buffer) for member in stopped)


def _fill(server: ServerProcess, pool: RawClientPool, stopped: list[Client]) -> None:
    """Fill the kernel's buffers with answers to pings; the chat alone would need some seconds."""
    ping = message("ping", timestamp="x" * 12_000)
    killed = server.samples()[_KILLS]

    def behind() -> bool:
        for member in stopped:
            pool.send(member, ping)
        pool.run(0.02)
        samples = server.samples()  # a slow member may have been closed before this scrape
        return samples["chat_slow_consumers"] + samples[_KILLS] - killed >= len(stopped)

    pool.wait_until(behind, "stopped members to become slow")


def _resume(pool: RawClientPool, load: ChatLoad, stopped: list[Client]) -> None:
    """Let the closed members read the remaining data, which ends with a close frame."""
    for member in stopped:
        pool.resume_reading(member)

    def gone() -> bool:
        load.run(0.05)
        return all(member.is_gone for member in stopped)

    pool.wait_until(gone, "closed members to end")


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a window (%(default)s)")
    parser.add_argument("--stopped", type=int, action="append", help="members that stop reading; repeatable (1 and 50)")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of windows (%(default)s)")
    given = parser.parse_args()
    for stopped in given.stopped or [1, 50]:
        print(measure(stopped, given.seconds, given.rounds, every_round=True), flush=True)


if __name__ == "__main__":
    main()
