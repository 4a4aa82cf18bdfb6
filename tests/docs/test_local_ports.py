"""A proxy without local ports behaves as the how-to page says; tried with 80 ports instead of 28 000."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS
from tests.metrics.fixtures import skip_or_fail
from tests.promises.hosts import inside, problem
from tests.tables import ROOT

SCRIPT = Path(__file__).parent / "few_proxy_ports.sh"
PORTS = 80
USERS = 110


def test_users_beyond_the_local_ports_of_a_proxy_get_502_and_its_log_says_why(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    missing = problem() or ("" if nginx else "nginx not found: install it (Debian: apt-get install nginx-light)")
    if missing:
        skip_or_fail(missing)
    command = ["sh", str(SCRIPT), sys.executable, str(nginx), str(tmp_path), str(PORTS), str(USERS)]
    done = subprocess.run(inside(*command), cwd=ROOT, capture_output=True, text=True, check=False)
    shown = (DOCS / "how-to/local-ports.md").read_text()
    (failures,) = re.findall(r"^(\d+) +WS connect: HTTP 502", done.stderr, re.MULTILINE)
    assert int(failures) >= USERS - PORTS
    assert "WS connect: HTTP 502" in shown
    said = "Cannot assign requested address"
    assert said in (tmp_path / "error.log").read_text()
    assert said in shown
    connected = re.findall(r"\((\d+) connections\)", done.stdout)
    assert sum(map(int, connected)) == PORTS, done.stdout
