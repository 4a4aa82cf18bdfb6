"""Starting the command is cheap: libraries for fits and charts are loaded when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {"numpy", "scipy", "matplotlib"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["compare", "--help"], ["--host", "invalid"]], ids=["help", "compare", "error"]
)
def test_a_command_without_a_fit_or_chart_loads_no_library_for_them(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "capacity", *arguments]
    log = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False).stderr
    loaded = {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}
    assert "capacity.cli.main" in loaded
    assert loaded & SLOW == set()


def test_the_modules_of_a_run_load_no_library_for_fits_or_charts() -> None:
    code = "import sys, capacity.__main__, capacity.search.remedy; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "capacity.run" in loaded
    assert SLOW & set(loaded) == set()
