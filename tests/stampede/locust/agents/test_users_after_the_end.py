"""A process whose test has ended, or that exits, starts no users; a master that stops the test spreads no users.

After Ctrl-C, Locust's processes exit in any order. While one exits, the master may order another, which also exits, to
start the users of the first. The patches of these tests force such orders.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.stampede.fixtures import has_delivered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

USERS = 20

# More users are ordered twice: once the numbers of the test are final, and once its sockets are closed.
# `Runner.spawn_users` is Locust's own function: it starts users as if they were ordered just before the end.
MORE_USERS = """
import os, time
import gevent
from gevent.lock import BoundedSemaphore
from locust import events
from locust.runners import MasterRunner, Runner, WorkerRunner

one_at_a_time = BoundedSemaphore()  # two greenlets may stop the test of a worker that exits
messages = []
handle_message = WorkerRunner.handle_message

def remember(runner, msg):
    if msg.type == "spawn":
        messages.append(msg)
    handle_message(runner, msg)

WorkerRunner.handle_message = remember

def order(runner, number):
    if isinstance(runner, WorkerRunner):
        messages[-1].data |= {"timestamp": time.time(), "user_classes_count": {"ChattingUser": number}}
        handle_message(runner, messages[-1])
        runner.spawning_greenlet.join()
    else:
        runner.spawn_users({"ChattingUser": number})

def order_more(runner, moment):
    with one_at_a_time:
        order_and_report(runner, moment)

def order_and_report(runner, moment):
    state, before = runner.state, set(runner.user_greenlets.greenlets)
    order(runner, len(before) + 3)
    ordered = runner.user_greenlets.greenlets - before
    Runner.spawn_users(runner, {"ChattingUser": 2})
    late = runner.user_greenlets.greenlets - before - ordered
    runner.update_state(state)  # otherwise Locust would stop the test again
    gevent.joinall([*ordered, *late], timeout=30)
    alive = sum(not greenlet.dead for greenlet in late)
    os.write(1, f"{moment}: {len(ordered)} started, {alive} of {len(late)} run\\n".encode())  # whole lines only

def on_init(environment, runner, **_):
    if not isinstance(runner, MasterRunner):
        on = environment.events
        on.test_stopping.add_listener(lambda **_: order_more(runner, "drained"))
        on.test_stop.add_listener(lambda **_: order_more(runner, "closed"))

events.init.add_listener(on_init)
"""

# While the master waits for the final reports, it receives the message of a worker that exits.
A_WORKER_QUITS_FIRST = """
from locust.rpc import Message
from locust.runners import MasterRunner

send_message = MasterRunner.send_message

def send(runner, msg_type, data=None, client_id=None):
    send_message(runner, msg_type, data, client_id)
    if msg_type == "stampede_drain":
        id, client = next(iter(runner.clients.items()))
        runner.handle_message(id, Message("quit", None, id))
        print("a worker has quit", flush=True)
        runner.clients[id] = client  # so that the master tells it to quit

MasterRunner.send_message = send
"""


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
@pytest.mark.parametrize("how", [None, signal.SIGINT, signal.SIGTERM], ids=["by itself", "SIGINT", "SIGTERM"])
def test_no_users_start_after_the_end_of_a_test(
    locust: Callable[..., Locust],
    server: RunningServer,
    tmp_path: Path,
    processes: tuple[str, ...],
    how: signal.Signals | None,
) -> None:
    (tmp_path / "more_users.py").write_text(MORE_USERS)
    length = ("-t", "3s") if how is None else ()
    flags = ("--headless", "-f", f"loadtest,{tmp_path / 'more_users.py'}", "-u", str(USERS), "-r", str(USERS), *length)
    running = locust(*flags, "--host", server.url, *processes, "ChattingUser")
    if how is not None:
        wait_until(has_delivered(server, 100, joins=USERS), "messages to be delivered")
        os.killpg(running.process.pid, how)
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    ends = {line for line in ended.out.splitlines() if line.startswith(("drained", "closed"))}
    assert ends == {"drained: 0 started, 0 of 2 run", "closed: 0 started, 0 of 2 run"}, ended.out + ended.log
    assert ended.requests()["connect"] == (USERS, 0), ended.out + ended.log
    assert server.samples()["chat_room_joins_total"] == USERS, ended.out + ended.log
    assert ended.out.count("Chat load test") == 1


def test_a_master_that_stops_spreads_no_users_of_a_worker_that_quits(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "quits_first.py").write_text(A_WORKER_QUITS_FIRST)
    flags = ("--headless", "-f", f"loadtest,{tmp_path / 'quits_first.py'}", "-u", str(USERS), "-r", str(USERS))
    running = locust(*flags, "--host", server.url, "--processes", "2", "ChattingUser")
    ended = running.stop_once(has_delivered(server, 100, joins=USERS))
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.out.count("a worker has quit") == 1
    assert ended.log.count("Sending spawn jobs") == 1
    assert ended.requests()["connect"] == (USERS, 0)
    assert ended.out.count("Chat load test") == 1


def test_a_ramp_ends_with_the_test(locust: Callable[..., Locust], server: RunningServer) -> None:
    running = locust("--headless", "-u", "1000", "-r", "2", "--host", server.url, "--processes", "2", "ChattingUser")
    ended = running.stop_once(lambda: server.samples()["chat_room_joins_total"] >= 2)
    assert ended.ended_with(0), ended.out + ended.log
    assert "Timeout waiting for all workers to stop" not in ended.log
