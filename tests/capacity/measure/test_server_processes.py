"""The figures of the operating system agree with independent readings."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.errors import UsageError
from capacity.measure.server_processes import ServerProcesses
from capacity.measure.system_sample import SystemWindow, system_window
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.measure.local_servers import Listening

# Two processes: the parent burns CPU in two threads (of one interpreter), the child in one. Each line of standard input
# starts, and then ends, a round.
BURN = """
import os, socket, sys, threading
place = socket.create_server((sys.argv[1], int(sys.argv[2])))
files = [open("/dev/null") for _ in range(50)]
going = threading.Event()
def burn():
    while going.wait():
        sum(range(1000))
child = os.fork()
if child == 0:
    going.set()
    burn()
for _ in range(2):
    threading.Thread(target=burn, daemon=True).start()
going.set()
print(place.getsockname()[1], flush=True)
sys.stdin.readline()
going.clear()
os.kill(child, 9)
os.waitpid(child, 0)
print("ended", flush=True)
sys.stdin.readline()
"""


NODE = """
const cluster = require('node:cluster');
const { Worker } = require('node:worker_threads');
const [, port] = process.argv;
if (cluster.isPrimary) {
  const server = require('node:net').createServer().listen(Number(port), '127.0.0.1');
  let ready = 0;
  for (let i = 0; i < 2; i += 1) {
    cluster.fork().on('message', () => {
      ready += 1;
      if (ready === 2) console.log(server.address().port);
    });
  }
} else {
  new Worker('for (;;) {}', { eval: true }).on('online', () => process.send('ready'));
}
"""

PROXY = """
import socket, sys
open("/proc/self/comm", "w").write("nginx")
place = socket.create_server((sys.argv[1], int(sys.argv[2])))
print(place.getsockname()[1], flush=True)
sys.stdin.read()
"""


def window(processes: ServerProcesses, seconds: float = 0.5) -> SystemWindow:
    before = processes.sample()
    time.sleep(seconds)
    after = processes.sample()
    assert before is not None
    assert after is not None
    return system_window(before, after)


def independent_cpu_s(pids: set[int]) -> float:
    """Return user and system seconds from /proc/PID/stat."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_all_processes_and_the_busiest_thread_are_measured(listen: Callable[..., Listening]) -> None:
    server = listen(program=BURN)
    processes = ServerProcesses.listening_at(server.url)
    assert processes is not None
    assert {one.pid for one in processes.members()} == server.pids
    own_before, before = independent_cpu_s(server.pids), processes.sample()
    time.sleep(1.0)
    own_after, after = independent_cpu_s(server.pids), processes.sample()
    assert before is not None
    assert after is not None
    assert after.cpu_seconds - before.cpu_seconds == pytest.approx(own_after - own_before, abs=0.15)
    found = system_window(before, after)
    # The child's only thread can use a core; two threads of one interpreter share one.
    total = (after.cpu_seconds - before.cpu_seconds) / (after.at_s - before.at_s)
    assert found.busiest_thread is not None
    assert total / 3 <= found.busiest_thread + 0.1 <= total + 0.2
    assert found.processes == 2
    assert after.rss_bytes == pytest.approx(sum(psutil.Process(pid).memory_info().rss for pid in server.pids), rel=0.2)
    assert after.fds == max(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in server.pids)
    assert after.fds_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert after.fds > 50
    assert found.switches_per_s is not None
    assert found.cores_allowed <= len(os.sched_getaffinity(0))


def test_a_thread_that_gets_half_of_a_core_is_ready_to_run_all_the_time() -> None:
    core = max(os.sched_getaffinity(0))
    burn = [
        sys.executable,
        "-c",
        f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass",
    ]
    with subprocess.Popen(burn, stdout=subprocess.PIPE) as one, subprocess.Popen(burn, stdout=subprocess.PIPE) as other:
        try:
            for process in (one, other):
                assert process.stdout is not None
                process.stdout.readline()
            found = window(ServerProcesses.of_pid(one.pid), 1.0)
        finally:
            one.kill()
            other.kill()
    assert found.busiest_thread is not None
    assert found.runnable is not None
    assert found.waited_s is not None
    assert found.busiest_thread < 0.8
    assert found.runnable > found.busiest_thread + 0.1
    assert found.waited_s == pytest.approx(found.runnable - found.busiest_thread, abs=0.15)


def test_an_idle_process_waits_for_no_core(listen: Callable[..., Listening]) -> None:
    found = window(ServerProcesses.of_pid(listen().process.pid))
    assert found.waited_s == pytest.approx(0.0, abs=0.1)
    assert found.runnable == pytest.approx(0.0, abs=0.2)


def test_the_workers_of_a_node_cluster_and_their_threads_are_measured(listen_with: Callable[..., Listening]) -> None:
    if (node := shutil.which("node")) is None:
        skip_or_fail("node not found")
    server = listen_with(node, "-e", NODE, "0")
    processes = ServerProcesses.listening_at(server.url)
    assert processes is not None
    assert {one.pid for one in processes.members()} == server.pids
    assert len(server.pids) == processes.serving(server.port) + 1 == 3
    own_before, before = independent_cpu_s(server.pids), processes.sample()
    time.sleep(1.0)
    own_after, after = independent_cpu_s(server.pids), processes.sample()
    assert before is not None
    assert after is not None
    used = after.cpu_seconds - before.cpu_seconds
    assert used == pytest.approx(own_after - own_before, abs=0.15)
    busiest = system_window(before, after).busiest_thread
    assert busiest is not None
    assert used / 2 - 0.1 <= busiest * (after.at_s - before.at_s) <= used + 0.1  # a thread of each worker burns CPU
    assert after.rss_bytes == pytest.approx(sum(psutil.Process(pid).memory_info().rss for pid in server.pids), rel=0.2)
    assert after.fds == max(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in server.pids)


def test_a_well_known_proxy_is_recognised(listen: Callable[..., Listening]) -> None:
    found = [ServerProcesses.listening_at(listen(**program).url) for program in ({"program": PROXY}, {})]
    assert [one.proxy if one else "" for one in found] == ["nginx", None]


def test_a_process_that_leaves_is_no_restart_and_its_cpu_still_counts(listen: Callable[..., Listening]) -> None:
    server = listen(program=BURN)
    processes = ServerProcesses.listening_at(server.url)
    assert processes is not None
    before = processes.sample()
    time.sleep(0.3)
    server.process.stdin.write("\n")
    server.process.stdin.flush()
    assert server.process.stdout.readline() == "ended\n"
    after = processes.sample()
    assert before is not None
    assert after is not None
    assert (before.processes, after.processes) == (2, 1)
    assert before.roots == after.roots
    assert after.cpu_seconds >= before.cpu_seconds


def test_a_root_that_ends_is_found_again_only_by_its_address(listen: Callable[..., Listening]) -> None:
    server = listen()
    by_pid, by_address = ServerProcesses.of_pid(server.process.pid), ServerProcesses.listening_at(server.url)
    assert by_address is not None
    first = by_address.sample()
    server.process.kill()
    server.process.wait()
    assert (by_pid.sample(), by_address.sample()) == (None, None)
    again = listen(port=server.port)
    second = by_address.sample()
    assert by_pid.sample() is None
    assert first is not None
    assert second is not None
    assert [pid for pid, _ in second.roots] == [again.process.pid]
    assert first.roots != second.roots


def test_this_run_is_no_part_of_a_server_that_is_its_ancestor() -> None:
    parent = psutil.Process().parent()
    assert parent is not None
    assert os.getpid() not in {one.pid for one in ServerProcesses([parent]).members()}


@pytest.mark.parametrize("pid", [0x3FFFFF, 999_999_999])
def test_a_process_that_does_not_exist_is_refused(pid: int) -> None:
    with pytest.raises(UsageError, match=f"^--server-pid {pid}: no such process on this machine$"):
        ServerProcesses.of_pid(pid)


def test_a_process_that_has_ended_but_still_has_an_entry_is_refused(listen: Callable[..., Listening]) -> None:
    process = listen().process
    os.kill(process.pid, 9)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with pytest.raises(UsageError, match="no such process"):
        ServerProcesses.of_pid(process.pid)
