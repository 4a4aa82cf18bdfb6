"""The load generator of tests: what it measures, how it ends, and what it leaves behind."""

from __future__ import annotations

import gc
import math
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.hub import Hub

from stampede import JoinError, LoadGenerator, LoadGeneratorWarning, StampedeError
from tests.ports import free_port
from tests.promises.faulty_server import faulty_server
from tests.stampede.check.acme import AcmeDialect
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede import ChatClient
    from tests.processes import RunningServer

# A slow machine may be the limit; the tests of the warning ask for it.

TIMEOUT = 60.0

IN_A_NEW_PROCESS = """
import sys
from gevent import monkey
if "patched" in sys.argv:
    monkey.patch_all()
from stampede import LoadGenerator
with LoadGenerator(sys.argv[1]) as generator:
    ann, bob = generator.join("room", users=2)
    ann.say("hello")
    assert generator.drain(timeout=60)
    if "patched" in sys.argv:  # the other greenlets of the test run while it waits
        import gevent
        other = gevent.spawn(gevent.sleep, 0.01)
        assert generator.wait_until(other.ready, timeout=60)
assert generator.ledger.received == 1, generator.ledger
assert "locust" not in sys.modules
print([name for name in ("socket", "threading", "ssl", "time", "select") if monkey.is_module_patched(name)])
"""


def test_the_example_of_the_class_runs(server: RunningServer) -> None:
    (example,) = re.findall(r"\n\n((?: {4,}.*\n)+)\n", textwrap.dedent(f"    {LoadGenerator.__doc__}"))
    example = textwrap.dedent(example).replace("ws://127.0.0.1:8080", server.url)
    assert "0.250" in example
    exec(example.replace("0.250", "60"), {"LoadGenerator": LoadGenerator})  # noqa: S102 # on a slow machine


def test_a_delivery_is_counted_and_timed(server: RunningServer) -> None:
    with LoadGenerator(server.url) as generator:
        ann, _ = generator.join("room", users=2)
        ann.say("hello")
        assert generator.drain(TIMEOUT)
    assert generator.ledger.received == 1
    assert not generator.ledger.lost
    assert 0 < generator.latency.from_send.quantile(0.99) <= generator.latency.quantile(0.99) < TIMEOUT
    assert generator.failures == {}


def test_clients_have_the_methods_and_properties_of_a_chat_client(server: RunningServer) -> None:
    received: list[dict[str, Any]] = []
    with LoadGenerator(server.url, message_bytes=100) as generator:
        ann, bob = generator.join("room", users=2)
        assert (ann.room, ann.username, ann.is_connected) == ("room", "user-000000", True)
        bob.on("chatMessage", received.append)
        ann.say()
        ann.typing()
        ann.ping()
        assert generator.drain(TIMEOUT)
        assert generator.wait_until(lambda: generator.latency_of("ping").count == 1, TIMEOUT)
        answer = ann.request({"type": "ping", "timestamp": 7}, reply="pong", name="look around", timeout=TIMEOUT)
        assert answer is not None
        assert answer["timestamp"] == 7
        assert ann.upload(size=2000)
        with bob.measure("pause"):
            time.sleep(0.05)
        with pytest.raises(ZeroDivisionError), bob.measure("pause"):
            raise ZeroDivisionError
        assert bob.join("hall")
        assert bob.room == "hall"
        bob.leave()
        bob.disconnect()
        assert not bob.is_connected
        with pytest.raises(AttributeError, match="'shout'"):
            ann.shout()  # type: ignore[attr-defined]
    assert [len(message["text"]) for message in received] == [100]
    assert generator.latency_of("pause").quantile(0) >= 0.05 * 63 / 64
    assert generator.latency_of("look around").count == generator.latency_of("upload").count == 1
    assert math.isnan(generator.latency_of("nothing").mean)
    assert generator.failures == {"pause": {"ZeroDivisionError": 1}}
    assert repr(ann) == "<ChatClient user-000000 not connected>"


def send(client: ChatClient, number: int) -> None:
    for _ in range(number):
        client.say()


def test_planted_losses_duplicates_and_overtakings_are_counted_exactly() -> None:
    with faulty_server(drop=10, duplicate=7, reorder=9) as faulty, LoadGenerator(faulty.url) as generator:
        ann, _ = generator.join("room", users=2)
        send(ann, 102)  # the faulty server spares the first one
        lost, duplicated = 10, 12
        assert generator.wait_until(lambda: generator.ledger.duplicated == duplicated, TIMEOUT)
        assert generator.wait_until(lambda: generator.ledger.in_flight == lost, TIMEOUT)
        assert not generator.drain(timeout=0)
    ledger, counts = generator.ledger, faulty.counts
    assert (ledger.expected, ledger.received, ledger.in_flight) == (102, 102 - lost, 0)
    assert (ledger.lost, ledger.duplicated, ledger.reordered) == (lost, duplicated, 10)
    assert (counts["dropped"], counts["duplicated"], counts["reordered"]) == (lost, duplicated, 10)


def test_a_planted_delay_is_measured() -> None:
    with faulty_server(delay=0.3) as faulty, LoadGenerator(faulty.url) as generator:
        ann, _ = generator.join("room", users=2)
        for _ in range(5):  # a stall of this process affects the messages of one moment
            send(ann, 4)
            assert generator.drain(TIMEOUT)
    assert generator.latency.count == 20
    assert faulty.counts["least"] / 1000 * 63 / 64 <= generator.latency.from_send.quantile(0)
    assert generator.latency.quantile(0.5) < 2 * faulty.counts["delayed"] / 1000


def test_without_a_drain_the_end_of_the_block_waits_for_deliveries() -> None:
    with faulty_server(delay=0.3) as faulty, LoadGenerator(faulty.url) as generator:
        ann, _ = generator.join("room", users=2)
        ann.say()
    assert (generator.ledger.received, generator.ledger.lost) == (1, 0)


def test_a_sleeping_test_does_not_inflate_latencies(server: RunningServer) -> None:
    with LoadGenerator(server.url) as generator:
        ann, _ = generator.join("room", users=2)
        for _ in range(10):
            ann.say()
            generator.drain(TIMEOUT)
    # Long for the machine, which may be busier with the second generator than with the first.
    pause = max(0.25, 20 * generator.latency.quantile(0.5))
    with LoadGenerator(server.url) as sleeping:
        ann, _ = sleeping.join("room", users=2)
        for _ in range(10):
            ann.say()
            time.sleep(pause)
        sleeping.drain(TIMEOUT)
    assert sleeping.latency.quantile(0.5) < pause / 2


def test_users_reconnect_when_a_server_comes_back(start: Callable[..., RunningServer]) -> None:
    port = str(free_port())
    first = start("--port", port)
    with LoadGenerator(first.url) as generator:
        ann, bob = generator.join("room", users=2)
        first.kill()
        assert generator.wait_until(lambda: not ann.is_connected and not bob.is_connected, TIMEOUT)
        start("--port", port)
        assert generator.wait_until(lambda: ann.is_connected and bob.is_connected, TIMEOUT)
        ann.say("again")
        assert generator.drain(TIMEOUT)
    assert generator.ledger.received == 1
    assert "connect" in generator.failures


def test_without_reconnect_a_closed_connection_stays_closed() -> None:
    with faulty_server(restart=[0]) as faulty, LoadGenerator(faulty.url, reconnect=False) as generator:
        ann, bob = generator.join("room", users=2)
        send(ann, 50)
        assert generator.wait_until(lambda: not (ann.is_connected or bob.is_connected), TIMEOUT)
        assert generator.figures.connections == 0
        generator.join("room")  # takes longer than a reconnect, for which the server asked at once
        assert (ann.is_connected, bob.is_connected) == (False, False)
    assert generator.failures["connect"] == {"connection lost: 1012": 2}
    assert generator.latency_of("connect").count == 3


def test_a_storm_reports_the_resync_of_the_dropped_users(server: RunningServer) -> None:
    with LoadGenerator(server.url) as generator:
        clients = generator.join("room", users=6)
        outcome = generator.storm(0.5, timeout=TIMEOUT)
        assert all(client.is_connected for client in clients)
    assert (outcome.users, outcome.dropped, outcome.resynced) == (6, 3, 3)
    assert 0 < outcome.slowest < TIMEOUT


def test_two_generators_count_only_their_own_messages(server: RunningServer) -> None:
    with LoadGenerator(server.url) as one, LoadGenerator(server.url) as other:
        ann, _ = one.join("room", users=2)
        bob, *_ = other.join("room", users=3)
        send(ann, 10)
        send(bob, 20)
        assert one.drain(TIMEOUT)
        assert other.drain(TIMEOUT)
        assert one.wait_until(lambda: one.ledger.foreign_clock == 2 * 20, TIMEOUT)
        assert other.wait_until(lambda: other.ledger.foreign_clock == 3 * 10, TIMEOUT)
    assert (one.ledger.received, other.ledger.received) == (10, 2 * 20)
    assert not one.ledger.lost
    assert not other.ledger.lost


@pytest.fixture
def may_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the load generator lag on a busy machine, which would make its run invalid."""
    monkeypatch.setattr("stampede.health.limits.RUN_LAG_NS", 60_000_000_000)


@pytest.mark.usefixtures("may_lag")
def test_thresholds_are_checked_during_the_block_and_after_it(server: RunningServer) -> None:
    with LoadGenerator(server.url) as generator:
        ann, _ = generator.join("room", users=2)
        ann.request({"type": "ping", "timestamp": 1}, reply="pong", name="look around", timeout=TIMEOUT)
        ann.say()
        generator.check("loss<1%", "look around:p99<60s")  # waits for the delivery
        with pytest.raises(StampedeError, match="did you mean loss"):
            generator.check("los<1%")
    generator.check("loss<1%", "deliver_p99<60s errors<1%")
    with pytest.raises(AssertionError, match="1 of 2 thresholds not met") as failed:
        generator.check("loss<1%", "resync_p95<5s")
    assert isinstance(failed.value, StampedeError)


@pytest.mark.usefixtures("may_lag")
def test_deliveries_in_flight_count_as_lost_in_a_check() -> None:
    with faulty_server(drop=2) as faulty, LoadGenerator(faulty.url) as generator:
        ann, _ = generator.join("room", users=2)
        send(ann, 5)
        assert generator.wait_until(lambda: generator.ledger.in_flight == 2, TIMEOUT)
        generator.drain(timeout=0)
        with pytest.raises(AssertionError, match=r"worst 40 %"):
            generator.check("loss<1%")


# --- errors ---


def test_a_failed_join_names_the_address_and_the_reason() -> None:
    port = free_port()
    with LoadGenerator(f"ws://user:secret@127.0.0.1:{port}") as generator:
        with pytest.raises(JoinError) as failed:
            generator.join("room", users=2)
        assert generator.figures.users == 0
    assert str(failed.value) == (
        f"cannot join 'room' at ws://***@127.0.0.1:{port}/: connection refused (2 of 2 users failed)"
    )
    assert (failed.value.label, issubclass(JoinError, StampedeError)) == ("connection refused", True)


def test_a_join_that_the_server_refuses_names_the_status(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections", "1")
    with LoadGenerator(server.url) as generator:
        generator.join("room")
        with pytest.raises(JoinError, match=r"cannot join 'hall' at ws://.*: HTTP 503 "):
            generator.join("hall")
        assert generator.figures.users == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "http://127.0.0.1"}, "url http://127.0.0.1: not a WebSocket address"),
        ({"headers": {"Host": "x"}}, "headers: the handshake sets Host"),
        ({"headers": ["nonsense"]}, "headers: not a header"),
        ({"token": "a\nb"}, "headers: not a header"),
        ({"message_bytes": 10}, "message_bytes 10: at least 49"),
    ],
)
def test_an_unusable_option_raises_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(StampedeError, match=text):
        LoadGenerator(**{"url": "ws://127.0.0.1:1", **options})


def test_an_unknown_host_is_named() -> None:
    with (
        pytest.raises(StampedeError, match=r"cannot connect to ws://nowhere\.invalid/: "),
        LoadGenerator("ws://nowhere.invalid"),
    ):
        pass


def test_a_generator_is_used_once_and_in_a_with_statement(server: RunningServer) -> None:
    generator = LoadGenerator(server.url)
    with pytest.raises(StampedeError, match="not started"):
        generator.join("room")
    with generator:
        (ann,) = generator.join("room")
    with pytest.raises(StampedeError, match="closed"):
        ann.say()
    with pytest.raises(StampedeError, match="used once"), generator:
        pass


def test_a_test_that_raises_ends_the_ledger_and_the_connections(server: RunningServer) -> None:
    threads = threading.active_count()
    generator = LoadGenerator(server.url)
    with pytest.raises(ZeroDivisionError), generator:  # noqa: PT012 # the block is what ends
        ann, _ = generator.join("room", users=2)
        ann.say()
        raise ZeroDivisionError
    assert (generator.ledger.expected, generator.ledger.in_flight) == (1, 0)
    assert (generator.figures.connections, threading.active_count()) == (0, threads)


def test_an_exception_of_a_callback_is_raised_at_the_end(server: RunningServer) -> None:
    def fail(message: dict[str, Any]) -> None:
        raise LookupError(message["type"])

    with pytest.raises(LookupError, match="chatMessage"), LoadGenerator(server.url) as generator:  # noqa: PT012 # at its end
        ann, bob = generator.join("room", users=2)
        bob.on("chatMessage", fail)
        ann.say()
        generator.drain(TIMEOUT)


def test_a_generator_that_was_the_limit_issues_a_warning(server: RunningServer) -> None:
    generator = LoadGenerator(server.url)
    with pytest.warns(LoadGeneratorWarning, match="loop lag: p99"), generator:  # noqa: PT031 # at its end
        ann, bob = generator.join("room", users=2)
        bob.on("chatMessage", lambda _: time.sleep(0.5))  # blocks the generator
        for _ in range(4):
            ann.say()
            generator.drain(TIMEOUT)
    assert any("loop lag" in problem for problem in generator.problems)


# --- what is left ---


def left_behind() -> tuple[int, int, int]:
    """Return the number of files, native threads and greenlets of this process."""
    gc.collect()
    greenlets = sum(isinstance(one, (gevent.Greenlet, Hub)) for one in gc.get_objects())
    files, threads = (len(list(Path("/proc/self", folder).iterdir())) for folder in ("fd", "task"))
    return files, threads, greenlets


def test_no_thread_socket_or_greenlet_is_left(server: RunningServer) -> None:
    def use() -> None:
        with LoadGenerator(server.url) as generator:
            ann, _ = generator.join("room", users=5)[:2]
            ann.say()
            generator.drain(TIMEOUT)
        del generator, ann, _

    use()
    before = left_behind()  # the kernel may still list a thread that has just ended
    for _ in range(3):
        use()
        deadline = time.monotonic() + TIMEOUT
        while any(now > earlier for now, earlier in zip(left_behind(), before, strict=True)):
            assert time.monotonic() < deadline, (left_behind(), before)
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "patched"),
    [((), "[]"), (("patched",), "['socket', 'threading', 'ssl', 'time', 'select']")],
)
def test_it_patches_nothing_and_works_in_a_patched_process(
    server: RunningServer, arguments: tuple[str, ...], patched: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_NEW_PROCESS, server.url, *arguments],
        capture_output=True, text=True, check=False, timeout=TIMEOUT, cwd=ROOT,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{patched}\n", "")


def test_a_dialect_that_needs_a_token_is_refused_without_one(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text('path = "/?token={token}"\n[say]\nsend = "{text}"\n[echo]\nself = "no"')
    with pytest.raises(StampedeError, match=r"acme\.toml: path: \{token\} has no value: give "):
        LoadGenerator("ws://127.0.0.1", dialect=str(file))
    LoadGenerator("ws://127.0.0.1", dialect=str(file), token="t")


def test_a_message_must_not_be_longer_than_the_dialect_allows() -> None:
    with pytest.raises(StampedeError, match=r"^message_bytes 501: a text of the acme dialect has 500 bytes at most$"):
        LoadGenerator("ws://127.0.0.1", dialect=AcmeDialect(), message_bytes=501)
