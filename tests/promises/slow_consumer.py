"""Measure what room mates and the server feel of members who stop reading.

    python -m tests.promises.slow_consumer --seconds 60 --rounds 1
    python -m tests.promises.slow_consumer --rounds 20

Windows with and without stopped members take turns on one server, and each is compared with the one before it: a noisy
machine makes single windows worse, a cost that is there shows in every pair. Those who stop are dropped within three
seconds at this rate, so many short windows see the same, and see it apart from the noise.
"""

from __future__ import annotations

import argparse
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
SLACK_BYTES: Final = 16 * 1024 * 1024  # of the allocator, for whatever the process does beside
RECEIVE_BUFFER: Final = 16384  # of those who will stop: the kernel's own buffers would take some seconds to fill
_KILLS: Final = "chat_slow_consumer_kills_total"


@dataclass(slots=True)
class Outcome:
    """What was measured; p99 in seconds, one a window.

    Attributes:
        grown: bytes by which the server's memory grew at most while members did not read.
        codes: close codes and reasons that those got.
        closed: by metric label.
        torn: how many were left in the middle of a message.
        kills: counted by the metric.
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
        """How each disturbed window compares with the one before it."""
        return [with_ / without for without, with_ in zip(self.undisturbed, self.disturbed, strict=True)]

    @property
    def is_felt(self) -> bool:
        """Whether the others' p99 is more than 20 % worse in each pair of windows, one right after the other.

        The resolution of the driver's clock is no difference.
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
    """Compare windows of so many seconds, two a round; unless told, further rounds only while one feels a difference.

    The room always has 200 members: in one window all of them read, in the other some have stopped.
    """
    outcome = Outcome(stopped)
    # The dropped are left alone until the window is over, and shall get their goodbye then.
    patience = {"server.websocket.connection.CLOSE_SECONDS": seconds + TIMEOUT_SECONDS}
    # Members whose bytes are only counted answer no ping.
    settings = ("--message-rate", "0", "--heartbeat-timeout", "0", *flags)
    with launch(*settings, constants=patience) as server, RawClientPool(server.url) as pool:
        others = pool.open(MEMBERS - stopped)
        pool.join_rooms(others, ["the room"])
        chatter = ChatLoad(pool, others, MESSAGES_PER_SECOND, text_bytes=TEXT_BYTES)
        chatter.run(1.0)
        for _ in range(rounds):
            outcome.undisturbed.append(_window_without(pool, chatter, stopped, seconds))
            _window_with(server, pool, chatter, outcome, seconds)
            if not (every_round or outcome.is_felt):
                break
        assert all(other.is_open for other in others)
        outcome.closed = server.closed()
        outcome.kills = int(server.samples()[_KILLS])
    return outcome


def _window_without(pool: RawClientPool, chatter: ChatLoad, count: int, seconds: float) -> float:
    readers = pool.open(count)
    pool.join_rooms(readers, ["the room"])
    for reader in readers:
        reader.discards_data = True
    chatter.run(0.5)
    p99 = chatter.p99(seconds)
    for reader in readers:
        pool.send(reader, frame(b"\x03\xe8", 0x88))

    def gone() -> bool:
        chatter.run(0.05)
        return all(reader.is_gone for reader in readers)

    pool.wait_until(gone, "those who said goodbye to be gone")
    return p99


def _window_with(
    server: ServerProcess, pool: RawClientPool, chatter: ChatLoad, outcome: Outcome, seconds: float
) -> None:
    sleepers = pool.open(outcome.stopped, receive_buffer=RECEIVE_BUFFER)
    pool.join_rooms(sleepers, ["the room"])
    before, peak, looked = server.rss, 0, 0.0
    for sleeper in sleepers:
        pool.pause_reading(sleeper)

    def watch(now: float) -> None:
        nonlocal peak, looked
        if now - looked > 0.25:
            looked = now
            peak = max(peak, server.rss)

    _fill(server, pool, sleepers)
    outcome.disturbed.append(chatter.p99(seconds, watch))
    wanted = outcome.stopped * len(outcome.disturbed)

    def killed() -> bool:
        nonlocal looked
        looked = 0.0  # a window of its own
        chatter.run(0.3, watch)
        return int(server.samples()[_KILLS]) >= wanted

    pool.wait_until(killed, "stopped members to be dropped")
    outcome.grown = max(outcome.grown, peak - before)
    _wake(pool, chatter, sleepers)
    outcome.codes += [(sleeper.code, sleeper.reason) for sleeper in sleepers]
    outcome.torn += sum(bool(sleeper.reader._buffer) for sleeper in sleepers)


def _fill(server: ServerProcess, pool: RawClientPool, sleepers: list[Client]) -> None:
    """Fill the kernel's buffers, which would take the chat some seconds, with answers to pings."""
    ping = message("ping", timestamp="x" * 12_000)
    killed = server.samples()[_KILLS]

    def behind() -> bool:
        for sleeper in sleepers:
            pool.send(sleeper, ping)
        pool.run(0.02)
        samples = server.samples()  # who was behind for the time allowed may have been dropped before we looked
        return samples["chat_slow_consumers"] + samples[_KILLS] - killed >= len(sleepers)

    pool.wait_until(behind, "stopped members to be behind")


def _wake(pool: RawClientPool, chatter: ChatLoad, sleepers: list[Client]) -> None:
    """Let the dropped read what is still there for them, a close frame at its end."""
    for sleeper in sleepers:
        pool.resume_reading(sleeper)

    def gone() -> bool:
        chatter.run(0.05)
        return all(sleeper.is_gone for sleeper in sleepers)

    pool.wait_until(gone, "the dropped to be gone")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a window (%(default)s)")
    parser.add_argument("--stopped", type=int, action="append", help="members who stop, repeatable (1 and 50)")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of windows (%(default)s)")
    given = parser.parse_args()
    for stopped in given.stopped or [1, 50]:
        print(measure(stopped, given.seconds, given.rounds, every_round=True), flush=True)


if __name__ == "__main__":
    main()
