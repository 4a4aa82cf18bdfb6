from __future__ import annotations

import subprocess
import sys

import pytest

from docs.terminal.__main__ import Picture, frames
from docs.terminal.recording import Shown, record

PROGRAM = """
import os, sys
print(sys.stdout.isatty(), os.get_terminal_size().columns)
print("\\x1b[31mdé\\x1b[0m", flush=True)
"""


def test_a_command_runs_in_a_terminal_of_the_width() -> None:
    shown = record([sys.executable, "-c", PROGRAM], columns=66)
    assert shown[-1].lines == ["True 66", "\x1b[31mdé\x1b[0m"]
    assert [one.seconds for one in shown] == sorted(one.seconds for one in shown)


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        record([sys.executable, "-c", "raise SystemExit(3)"], columns=80)


def test_a_picture_has_its_moments_and_the_first_rows_of_the_last_screen() -> None:
    shown = [Shown(number, [f"line {one}" for one in range(number + 1)]) for number in range(11)]
    picture = Picture("run", "a run", columns=80, moments=(0.2, 0.55), rows=3)
    first, second, last = frames(shown, picture)
    assert first.lines == ["line 0", "line 1", "line 2"]
    assert second.lines == last.lines == ["line 0", "line 1", "line 2"]
    assert (first.share, second.share, last.share) == (0.25, 0.25, 0.5)
