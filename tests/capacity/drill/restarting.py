"""Start or restart a server, as the script of a deploy does: `python -m tests.capacity.drill.restarting`.

It ends the process of the file `PID` with a signal, waits for its end, starts the command in the background, and waits
until the command prints its `ws://` URL.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.processes import get_page

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 60
POLL_S = 0.05


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pid", type=Path, required=True, help="file of the process id; its log is beside it")
    parser.add_argument("--signal", default="SIGTERM")
    parser.add_argument("--then", nargs=2, default=None, metavar=("URL", "TEXT"), help="wait until a page has a text")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    if given.pid.exists():
        end(given.pid, signal.Signals[given.signal])
    start(given.pid, given.command)
    if given.then is not None:
        url, text = given.then
        wait_for(lambda: text in get_page(url), f"{text} at {url}")
    return 0


def end(pid: Path, number: signal.Signals) -> None:
    process = psutil.Process(int(pid.read_text()))
    process.send_signal(number)
    wait_for(lambda: has_ended(process), "the end of the server")


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # nobody may wait for an orphan in a container
    except psutil.NoSuchProcess:
        return True


def start(pid: Path, command: list[str]) -> None:
    log = pid.with_suffix(".log")
    # The process outlives the drill, which ends all processes of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAMPEDE_TEST")}
    with log.open("ab") as sink:
        before = sink.tell()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env)
    pid.write_text(str(process.pid))
    wait_for(lambda: b"ws://" in log.read_bytes()[before:], f"{command} to listen")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
