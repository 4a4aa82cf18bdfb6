from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from capacity.drill import command as commands
from capacity.drill.command import Command
from capacity.processes.child_processes import ChildProcesses
from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Command]]:
    with ChildProcesses() as children:
        yield lambda text: Command.start(
            text, environment={"STAMPEDE_HOST": "ws://host"}, folder=tmp_path, cores=(), children=children
        )


def finish(command: Command) -> Command:
    wait_until(command.poll, "the command to end")
    return command


@pytest.mark.parametrize(
    ("text", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("no-such-program-at-all", 127)]
)
def test_the_exit_code_is_that_of_a_shell(start: Callable[[str], Command], text: str, code: int) -> None:
    assert finish(start(text)).exit_code == code


def test_the_command_runs_in_a_shell_with_the_address_of_the_server(start: Callable[[str], Command]) -> None:
    command = finish(start("for n in 1 2; do echo $n $STAMPEDE_HOST; done; echo >&2 end"))
    assert command.last_lines == ["1 ws://host", "2 ws://host", "end"]


def test_a_background_process_goes_on_and_does_not_hold_the_command(start: Callable[[str], Command]) -> None:
    command = finish(start("sleep 1000 & echo $!"))
    assert command.exit_code == 0
    assert command.seconds is not None
    assert command.seconds < 500


def test_a_command_that_is_ended_has_no_exit_code(start: Callable[[str], Command]) -> None:
    command = start("echo begun; sleep 1000 & sleep 1000")
    wait_until(lambda: command.last_lines == ["begun"], "the command to begin")
    command.end()
    assert (command.poll(), command.exit_code, command.last_lines) == (True, None, ["begun"])


def test_the_output_is_bounded_and_its_end_is_kept(
    start: Callable[[str], Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_LARGEST_BYTES", 1000)
    monkeypatch.setattr(commands, "_KEPT_BYTES", 100)
    script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.005; done"
    command = start(script)
    largest = 0
    while not command.poll():
        largest = max(largest, (tmp_path / "command.log").stat().st_size)
        time.sleep(0.005)
    assert command.last_lines[-1] == "line 199"
    assert largest < 1800, "all lines are 1 690 bytes"
    assert (tmp_path / "command.log").stat().st_size < 1500
