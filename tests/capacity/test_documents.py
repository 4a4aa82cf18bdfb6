"""The README of this package: its examples and commands are valid."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from capacity.cli.commands import COMMANDS
from capacity.config.drill_settings import DRILL_OPTIONS, read_drill_settings
from capacity.config.options import flag
from capacity.config.settings import read_settings
from capacity.config.slo import parse_slo
from capacity.config.slo_file import read_slo_file
from capacity.search.search import Ending
from tests.capacity import make
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = (ROOT / "capacity" / "README.md").read_text()
LINES = re.findall(r"python -m capacity ?(.*?)(?:\s+#.*|\)? \|\|.*)?$", DOCUMENT, re.MULTILINE)


def test_the_example_of_slos_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "levels.toml"
    path.write_text(example)
    assert [level.text for level in read_slo_file(path)] == ["deliver_p99<250ms", "fanout_p99<0.05", "connections>1"]


def test_every_figure_of_the_table_is_valid_with_its_units() -> None:
    listed = rows("capacity/README.md", "## SLOs in a file")
    for figures, units, _ in listed:
        for figure in figures.split("`, `"):
            for unit in units.split(", "):
                parse_slo(f"{figure.replace('pN', 'p95')}<1{unit}")


def test_the_table_of_the_drill_has_the_options_of_the_code() -> None:
    listed = rows("capacity/README.md", "## Rehearse a deploy")
    assert listed == [[flag(name), one.default or "", one.help] for name, one in DRILL_OPTIONS.items()]


@pytest.mark.parametrize("line", [line for line in LINES if "`" not in line])
def test_every_command_shown_is_valid(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").touch()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    if words[0] == "drill":
        assert read_drill_settings(words[1:], {}).run
        return
    if words[0] not in COMMANDS:
        read_settings(words, {})
        return
    with pytest.raises(SystemExit):
        COMMANDS[words[0]](["--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--"))


def ci_steps() -> tuple[dict[str, str], str, str]:
    """Return the environment of the CI example, and its two scripts: installation and measurement."""
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    (job,) = yaml.safe_load(example)["jobs"].values()
    install, measure = [step["run"] for step in job["steps"] if "run" in step]
    return {name: str(value) for name, value in job["env"].items()}, install, measure


def in_repository(folder: Path, *command: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout as CI makes it: this tree is both the change and origin/main."""
    folder = tmp_path / "checkout"
    for package in ("capacity", "loadtest", "metrics", "server", "stampede"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    in_repository(folder, "init", "--quiet")
    in_repository(folder, "add", ".")
    in_repository(folder, "commit", "--quiet", "--message", "base")
    in_repository(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    return folder


def run_example(checkout: Path, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as a GitHub runner does."""
    script = script.replace("${{ github.base_ref }}", "main")
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=checkout, env=os.environ | environment,
        text=True, capture_output=True, check=False,
    )  # fmt: skip


def output_with_code(checkout: Path, script: str, environment: dict[str, str], code: int) -> str:
    """Run the example until it exits with a code: noise can decide a single pair of short runs."""
    for _ in range(4):
        done = run_example(checkout, script, environment)
        if done.returncode == code:
            return done.stdout
    return pytest.fail(done.stdout + done.stderr)


@pytest.mark.timeout(900)
def test_the_ci_example_passes_a_harmless_change_and_fails_a_costly_one(checkout: Path) -> None:
    """Run all of its lines except the installation, with one pair of short runs of few users instead of three."""
    environment, install, measure = ci_steps()
    assert {"PAIRS", "TOLERANCE"} <= environment.keys()
    beside, installed = install.strip().splitlines()
    assert installed == "make install && make -C base install"
    done = run_example(checkout, beside, {})
    assert done.returncode == 0, done.stderr
    for side in (checkout, checkout / "base"):
        (side / ".venv").symlink_to(sys.prefix)
    short = {
        "STAMPEDE_CAPACITY_WINDOW": "2",
        "STAMPEDE_CAPACITY_SETTLE": "1",
        "STAMPEDE_CAPACITY_PROCESSES": "1",
        "STAMPEDE_CAPACITY_MESSAGE_RATE": "10",  # 3 800 deliveries a second
        "STAMPEDE_CAPACITY_SLO": "deliver_p99<60s",
    }
    # A delivery costs 10 us on a busy machine, which batches many, and 20 us otherwise; then 50 us more.
    assert "--bounded 400 " in measure
    measure = measure.replace("--bounded 400 ", "--bounded 20 ")
    quick = environment | short | {"PAIRS": "1", "TOLERANCE": "90%"}
    assert "not worse by more than 90 %" in output_with_code(checkout, measure, quick, 0)
    target = checkout / "capacity" / "processes" / "target.py"
    costly = target.read_text().replace("{work_per_message:g}", "{work_per_message + 0.001:g}")
    assert costly != target.read_text()
    target.write_text(costly)
    verdict = output_with_code(checkout, measure, quick, 99).partition("worse by more than 90 %:")[2]
    assert "20 users: server CPU per delivery" in verdict


@pytest.mark.parametrize(("change", "code"), [(1.05, 0), (1.4, 99)])
def test_the_tolerance_of_the_ci_example_is_decisive(tmp_path: Path, change: float, code: int) -> None:
    """Run its comparison with given measurements."""
    environment, _, measure = ci_steps()
    (compared,) = [line for line in measure.splitlines() if "capacity compare" in line]
    sides = {"base": 0.3, "head": 0.3 * change}
    pairs = range(1, int(environment["PAIRS"]) + 1)
    for side, cpu in sides.items():
        for i in pairs:
            report = make.report([make.step(400, server_cpu=cpu * (1 + i / 100))], Ending.STEPS_DONE)
            report = msgspec.structs.replace(report, settings={"bounded": True, "mix": "ChattingUser=1"})
            folder = tmp_path / f"{side}-{i}"
            folder.mkdir()
            (folder / "report.json").write_bytes(msgspec.json.encode(report))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    before, after = ("".join(f",{side}-{i}" for i in pairs) for side in sides)
    variables = environment | {"before": before, "after": after, "PYTHONPATH": str(ROOT)}
    done = run_example(tmp_path, compared, variables)
    assert done.returncode == code, done.stdout
