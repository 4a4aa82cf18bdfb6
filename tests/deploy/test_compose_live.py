"""The balancer and Prometheus follow the replicas of compose.yaml as they start and stop."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.metrics.fixtures import skip_or_fail
from tests.tables import ROOT

NEEDED = ("unshare", "ip", "dnsmasq", "prometheus")


def test_replicas_are_found_through_dns_as_they_start_and_stop() -> None:
    missing = [tool for tool in NEEDED if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        skip_or_fail(f"{', '.join(missing)} not found: install util-linux, iproute2, dnsmasq-base and prometheus")
    apart = ["unshare", "--net", "--mount"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("network namespaces are not allowed here: they need root")
    done = subprocess.run(
        [*apart, sys.executable, "-m", "tests.deploy.compose_stage"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == [
        f"{number} servers: the balancer and Prometheus found them" for number in (2, 3, 1)
    ]
