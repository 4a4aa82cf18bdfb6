"""This room's document tells the truth: its examples are read, its commands are understood."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from capacity.commands import COMMANDS
from capacity.promise import read_promises
from capacity.search import Ending
from capacity.settings import read_settings
from capacity.slo import parse_level
from tests.capacity import kit
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = (ROOT / "capacity" / "README.md").read_text()
LINES = re.findall(r"python -m capacity ?(.*?)(?:\s+#.*|\)? \|\|.*)?$", DOCUMENT, re.MULTILINE)


def test_the_example_of_service_levels_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "levels.toml"
    path.write_text(example)
    assert [level.text for level in read_promises(path)] == ["deliver_p99<250ms", "fanout_p99<0.05", "connections>1"]


def test_every_figure_of_the_table_is_known_with_its_units() -> None:
    listed = rows("capacity/README.md", "## Service levels in a file")
    for figure, units, _ in listed:
        for unit in units.split(", "):
            parse_level(f"{figure.replace('pN', 'p95')}<1{unit}")


@pytest.mark.parametrize("line", [line for line in LINES if "`" not in line])
def test_every_command_shown_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    if words[0] not in COMMANDS:
        read_settings(words, {})
        return
    with pytest.raises(SystemExit):
        COMMANDS[words[0]](["--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--"))


def test_the_example_for_ci_is_a_workflow_whose_lines_a_shell_understands() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    (job,) = yaml.safe_load(example)["jobs"].values()
    (script,) = [step["run"] for step in job["steps"] if "run" in step]
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_for_ci_fails_a_merge_that_costs_capacity_and_lets_another_pass(tmp_path: Path) -> None:
    """Its own lines, in a checkout whose two sides have their measurements already."""
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    (compared,) = [line.strip() for line in example.splitlines() if "capacity compare" in line]
    for change, code in ((1.05, 0), (1.4, 99)):
        for i in (1, 2, 3):
            for side, cpu in (("base", 0.3), ("head", 0.3 * change)):
                report = kit.report([kit.step(400, server_cpu=cpu * (1 + i / 100))], Ending.STEPS_DONE)
                report = msgspec.structs.replace(report, settings={"bounded": True, "mix": "ChattingUser=1"})
                folder = tmp_path / f"{side}-{i}"
                folder.mkdir(exist_ok=True)
                (folder / "report.json").write_bytes(msgspec.json.encode(report))
        words = shlex.split(compared.replace(".venv/bin/python", sys.executable))
        done = subprocess.run(
            words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
        )
        assert done.returncode == code, done.stdout
