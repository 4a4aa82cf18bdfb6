"""The verbs of the Makefile, with stand-ins for the programs that they start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

URL = "ws://chat.example.org:8080/chat?a=1&b='2'"

STAND_IN = """#!{python}
import os, signal, sys
name = os.path.basename(sys.argv[0])
print(name, sys.argv[1:], file=sys.stderr)
if sys.argv[1:3] == ["-m", "server"]:
    print("Stampede listening on ws://127.0.0.1:1 with its page at http://127.0.0.1:1", flush=True)
    signal.pause()
sys.exit({code})
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder of programs that print their arguments and exit with 99."""
    for name in ("python", "locust"):
        program = tmp_path / name
        program.write_text(STAND_IN.format(python=sys.executable, code=99))
        program.chmod(0o755)
    return tmp_path


def make(programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with the stand-ins, without an installation and without the variables of a parent make."""
    command = ["make", "--old-file=install", "--no-print-directory", f"BIN={programs}", *arguments]
    variables = {name: value for name, value in os.environ.items() if name not in {"ARGS", "HOST", "MAKEFLAGS"}}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_a_host_reaches_the_capacity_run_as_it_was_given(programs: Path) -> None:
    done = make(programs, "capacity", f"HOST={URL}", "ARGS=--slo 'loss<1%'")
    assert done.stderr.splitlines()[0] == f"python {['-m', 'capacity', '--host', URL, '--slo', 'loss<1%']}"
    assert make(programs, "capacity").stderr.splitlines()[0] == f"python {['-m', 'capacity']}"


def test_the_load_test_s_page_listens_on_loopback_by_default(programs: Path) -> None:
    done = make(programs, "loadtest", f"HOST={URL}", "ARGS=--web-host ::")
    flags = ["-f", "loadtest", "--web-host", "127.0.0.1", "--host", URL, "--web-host", "::"]  # the last one wins
    assert done.stderr.splitlines()[0] == f"locust {flags}"


def test_the_server_that_the_load_test_starts_logs_no_line_per_user(programs: Path) -> None:
    done = make(programs, "loadtest")
    assert f"python {['-m', 'server', '--port', '0', '--log-level', 'warning']}" in done.stderr.splitlines()
    assert "'--host', 'ws://127.0.0.1:1'" in done.stderr


def test_no_document_promises_other_exit_codes_of_make(programs: Path) -> None:
    assert make(programs, "capacity").returncode == 2  # of 99
    for document in ("README.md", "capacity/README.md"):
        commands = re.findall(r"^make .*$", (ROOT / document).read_text(), re.MULTILINE)
        assert [command for command in commands if "exit code" in command] == []


def test_an_installation_outside_linux_is_refused_in_one_line(programs: Path) -> None:
    other = programs / "python-of-another-system"
    other.write_text("#!/bin/sh\ncase $2 in *sys.platform*) exit 1 ;; esac\n")
    other.chmod(0o755)
    done = make(programs, "--always-make", ".venv/installed", f"PYTHON={other}")
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[0]
        == "stampede runs only on Linux; on other systems use a Linux container or a virtual machine"
    )
    assert done.stdout == ""
