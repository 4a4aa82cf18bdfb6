"""The limits of a machine, read from Linux files: control groups of both versions, and none."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from stampede.generator_faults import FaultKind
from stampede.health import machine
from stampede.health.machine import Usage, limit_of, usage

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20

V2 = {
    "proc/self/cgroup": "0::/pod/container\n",
    "sys/fs/cgroup/pod/container/cpu.max": "max 100000\n",
    "sys/fs/cgroup/pod/container/cpu.stat": "usage_usec 9\nnr_throttled 0\nthrottled_usec 0\n",
    "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/pod/cpu.stat": "usage_usec 9\nnr_throttled 4\nthrottled_usec 2500000\n",
    "sys/fs/cgroup/pod/container/memory.max": f"{512 * MIB}\n",
    "sys/fs/cgroup/pod/container/memory.stat": f"anon {300 * MIB}\nfile {200 * MIB}\nsock {20 * MIB}\n",
    "sys/fs/cgroup/pod/container/memory.events": "low 0\nmax 12\noom 1\noom_kill 2\n",
    "sys/fs/cgroup/pod/memory.max": "max\n",
}

V1 = {
    "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n",
    "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/docker/abc/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 2500000000\n",
    "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{512 * MIB}\n",
    "sys/fs/cgroup/memory/docker/abc/memory.stat": f"cache {200 * MIB}\nrss 1\ntotal_rss {300 * MIB}\n",
    "sys/fs/cgroup/memory/docker/abc/memory.kmem.usage_in_bytes": f"{20 * MIB}\n",
    "sys/fs/cgroup/memory/docker/abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(("files", "quota"), [(V2, 1.5), (V1, 0.5)], ids=["version 2", "version 1"])
def test_the_smallest_limit_of_all_control_groups_counts(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    read = usage(tree(tmp_path, files))
    assert (read.quota, read.throttled) == (quota, 2.5)
    assert (read.memory, read.memory_limit, read.killed) == (320 * MIB, 512 * MIB, 2)


@pytest.mark.parametrize(("files", "prefix"), [(V2, "pod/container/"), (V1, "docker/abc/")])
def test_a_container_that_sees_its_own_group_as_the_root_finds_its_limits(
    tmp_path: Path, files: dict[str, str], prefix: str
) -> None:
    inside = {name.replace(prefix, ""): text for name, text in files.items() if prefix in name or "self" in name}
    read = usage(tree(tmp_path, inside))
    assert read.memory_limit == 512 * MIB
    assert read.quota == (0.5 if files is V1 else None)  # the group of the pod is not visible


def test_idle_and_stolen_seconds_are_those_of_the_cores_that_the_process_may_use(tmp_path: Path) -> None:
    core, ticks = min(os.sched_getaffinity(0)), os.sysconf("SC_CLK_TCK")
    rows = [
        f"cpu  0 0 0 {900 * ticks} 0 0 0 {90 * ticks} 0 0",
        *(f"cpu{n} 1 2 3 {2 * ticks} {ticks} 0 0 {4 * ticks} 0 0" for n in os.sched_getaffinity(0)),
        f"cpu{core + 4096} 0 0 0 {700 * ticks} 0 0 0 {70 * ticks} 0 0",
    ]
    read = usage(tree(tmp_path, {"proc/stat": "\n".join(rows)}))
    assert read.cores == len(os.sched_getaffinity(0))
    assert (read.idle, read.stolen) == (3.0 * read.cores, 4.0 * read.cores)


def test_the_connection_tracking_table_is_read_if_there_is_one(tmp_path: Path) -> None:
    where = "proc/sys/net/netfilter"
    read = usage(tree(tmp_path, {f"{where}/nf_conntrack_count": "17\n", f"{where}/nf_conntrack_max": "20\n"}))
    assert (read.tracked, read.tracked_limit) == (17, 20)


def test_a_machine_without_these_files_has_no_limits(tmp_path: Path) -> None:
    assert usage(tmp_path) == Usage(cores=len(os.sched_getaffinity(0)))


def test_the_limits_of_this_machine_can_be_read() -> None:
    read = usage()
    assert read.idle is not None
    assert read.idle > 0


def test_a_limit_is_shown_with_its_setting_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit_of(FaultKind.FILES) == f"ulimit -n is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    assert limit_of(FaultKind.NETWORK) == ""
    monkeypatch.setattr(machine, "_ROOT", tree(tmp_path, {"proc/sys/net/ipv4/ip_local_port_range": "4000\t4059\n"}))
    assert limit_of(FaultKind.PORTS) == "net.ipv4.ip_local_port_range is 4000 to 4059"
