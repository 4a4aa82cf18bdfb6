"""The ledger counts exactly the faults that a proxy plants in the frames of a real server, in each dialect."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.dialects.frame_faults import Fault, Framing, Planted, ended_by, lines, mqtt_packets
from tests.dialects.frame_proxy import FrameProxy, frame_proxy
from tests.metrics.pages import series
from tests.ports import free_port
from tests.processes import get_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer
    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust

USERS = 6
ROOM_SIZE = 3
PLAN = (
    Fault("drop", 2, (0, 3)),
    Fault("duplicate", 3, (1, 3)),
    Fault("swap", 4, (0, 2, 5)),
    Fault("hold", 6, (4,)),
    Fault("drop", 7, (2,)),
    Fault("swap", 8, (1,)),
    Fault("delay", 10, (5,), seconds=1.0),
)
FIRST = 2  # deliveries before the plan starts: by then all users have joined
LAST = max(fault.delivery for fault in PLAN) + 2
"""Each fault is followed by deliveries of the same sender, so that all gaps show."""
ROUNDING = 0.51  # ms: Locust's table has whole milliseconds
BUCKET_ERROR = 1 / 64  # of a latency: it is known as the middle of its histogram's bucket


@dataclass(frozen=True, slots=True)
class Case:
    """A dialect before a real server.

    Attributes:
        dialect: of the server, as Locust's option.
        framing: of the server.
        server: flags of the server.
        echoes: whether the server sends a message to its sender, too.
        keeps_order: whether the server delivers one client's messages in order.
        batched: whether no user is timed, so that each connection is read in batches.
    """

    dialect: str
    framing: Framing = field(default_factory=Framing)
    server: tuple[str, ...] = ()
    echoes: bool = False
    keeps_order: bool = True
    batched: bool = False

    @property
    def senders(self) -> int:
        """Number of senders whose messages a user receives."""
        return ROOM_SIZE if self.echoes else ROOM_SIZE - 1

    def planned(self, kind: str) -> int:
        """Return how many deliveries the plan faults in a way."""
        return self.senders * sum(len(fault.connections) for fault in PLAN if fault.kind == kind)


@dataclass
class Script:
    """What the test does while Locust runs.

    Attributes:
        was_started: whether the plan has started.
        was_released: whether the held deliveries were made.
    """

    case: Case
    proxy: FrameProxy
    metrics: Callable[[], Mapping[str, float]]
    was_started: bool = field(default=False, init=False)
    was_released: bool = field(default=False, init=False)

    def is_over(self) -> bool:
        """Return whether everything planned has happened; do what comes next otherwise."""
        if not self.was_started:
            if self.proxy.is_settled(USERS * self.case.senders, FIRST):
                self.was_started = True
                self.proxy.start_plan(PLAN)
            return False
        if not self.was_released:
            # Released late, but within one sweep of the ledger: a number that is lost for longer is forgotten.
            lost = self.case.planned("drop") + self.case.planned("hold")
            if self.metrics()["loadtest_deliveries_lost_total"] >= lost:
                self.was_released = True
                self.proxy.release()
            return False
        return self.proxy.is_settled(USERS * self.case.senders, LAST)


def run(locust: Callable[..., Locust], case: Case, proxy: FrameProxy) -> FinishedRun:
    """Run users through the proxy until everything planned has happened."""
    port = free_port()

    def metrics() -> Mapping[str, float]:
        try:
            return series(get_page(f"http://127.0.0.1:{port}/metrics").encode())
        except OSError:
            return {}

    flags = ("ChattingUser", "-u", str(USERS), "-r", str(USERS), "--room-size", str(ROOM_SIZE), "--message-rate", "5")
    page = ("--prometheus-port", str(port))
    batches = ("--timed-share", "0", "--timed-users", "0", "--batch-interval", "0.3") if case.batched else ()
    running = locust("--headless", "--host", proxy.url, "--dialect", case.dialect, *flags, *page, *batches)
    return running.stop_once(Script(case, proxy, metrics).is_over)


def assert_faults_are_counted(case: Case, ended: FinishedRun, done: Planted) -> None:
    """Assert that the run found exactly what the proxy planted, which is what was planned."""
    ledger = ended.ledger()
    planned = {kind: case.planned(kind) for kind in ("drop", "duplicate", "swap", "delay", "hold")}
    kinds = (done.dropped, done.duplicated, done.swapped, done.delayed, done.held)
    assert dict(zip(planned, kinds, strict=True)) == planned
    assert done.released == done.held
    assert done.reordered == done.swapped or not case.keeps_order
    assert ledger["lost"] == done.dropped + done.held
    assert ledger["duplicated"] == done.duplicated
    assert ledger["reordered"] == done.reordered
    assert ledger["received"] == done.delivered
    assert ledger["expected"] == done.delivered + done.dropped + done.held
    (late,) = re.findall(r"(\d+) lost deliveries arrived late", ended.out)
    assert int(late) == done.held
    assert ended.requests()["deliver"] == (ledger["expected"], ledger["lost"])
    assert ended.ended_with(1)
    if case.batched:
        assert "timed       0.0% of the deliveries" in ended.out
        return
    longest = re.findall(r"^WS +deliver +\S+ +\S+ +\| +\d+ +\d+ +(\d+)", ended.log, re.MULTILINE)[-1]
    assert int(longest) >= done.longest_ns / 1e6 * (1 - BUCKET_ERROR) - ROUNDING


CASES = {
    "python-socketio": Case("socketio", server=("--echo",), echoes=True),
    "socket.io": Case("socketio"),
    "signalr": Case("signalr", Framing(ended_by(b"\x1e"), frame_bytes=40), echoes=True),
    "signalr-text": Case("signalr", Framing(ended_by(b"\x1e")), server=("--no-echo",)),
    "action-cable": Case("actioncable", echoes=True, keeps_order=False),  # several threads of it serve one client
    "rabbitmq": Case("stomp", Framing(ended_by(b"\0"), frame_bytes=100), echoes=True),
    "mosquitto": Case("mqtt", Framing(mqtt_packets, frame_bytes=11), echoes=True),
    "graphql-ws": Case("graphql-ws", echoes=True),
    "phoenix": Case("phoenix", Framing(private=b'["'), ("--reply",), echoes=True),  # its replies repeat the text
    "centrifugo": Case("centrifugo", Framing(lines), echoes=True),
    "fastapi": Case(
        "docs/dialects/fastapi-chat.toml", Framing(private=b"You wrote: "), ("--skip-closed",), echoes=True
    ),
    "socket.io-batched": Case("socketio", batched=True),
    "mosquitto-batched": Case("mqtt", Framing(mqtt_packets, frame_bytes=11), echoes=True, batched=True),
    "django-channels": Case("docs/dialects/django-channels-chat.toml", echoes=True),
}
"""By the name of the server in `PROGRAMS`."""


@pytest.mark.parametrize("batched", [False, True])
def test_faults_are_counted_in_the_own_protocol(
    batched: bool, locust: Callable[..., Locust], server: RunningServer
) -> None:
    case = Case("stampede", batched=batched)
    with frame_proxy(server.url, case.framing) as proxy:
        ended = run(locust, case, proxy)
        assert_faults_are_counted(case, ended, proxy.done)


@pytest.mark.parametrize("name", CASES)
def test_faults_are_counted_in_other_protocols(
    name: str, locust: Callable[..., Locust], request: pytest.FixtureRequest, start_real: StartReal
) -> None:
    case = CASES[name]
    shared: RealServer | None = request.getfixturevalue(name) if name == "rabbitmq" else None
    server = shared or start_real(name.removesuffix("-batched"), *case.server)
    with frame_proxy(server.url, case.framing) as proxy:
        ended = run(locust, case, proxy)
        assert_faults_are_counted(case, ended, proxy.done)
