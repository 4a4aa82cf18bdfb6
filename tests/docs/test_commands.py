"""Every command on the pages of the site is valid for the program that it starts."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import yaml

from capacity.cli.commands import COMMANDS
from capacity.config.drill_settings import read_drill_settings
from capacity.config.settings import read_settings
from server.settings import parse as parse_server
from stampede.check.command import add_arguments as add_check_arguments
from tests.docs.pages import blocks, commands
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = ".venv/bin/python -m "
LOCUST = ".venv/bin/locust "
ALL = commands()
RUN_ELSEWHERE = {
    "npm install socket.io": "the packages of tests/dialects/javascript are used",
    "node chat.js": "test_tutorial.py",
    ".venv/bin/python model.py": "test_examples.py",
    ".venv/bin/pip install websocket-client": "a dependency of the tests",
    "curl --data share=0.33 http://127.0.0.1:8089/stampede/storm": "test_examples.py",
    "sysctl net.ipv4.ip_local_port_range": "test_examples.py",
    "ss --tcp --numeric state established dst 10.0.0.7:8080 | wc --lines": "test_examples.py",
    'sysctl -w net.ipv4.ip_local_port_range="50000 50199"': "test_examples.py",
    "kubectl logs --follow job/stampede-capacity": "tests/deploy/test_kubernetes.py has the Job",
}
"""Commands of other programs, and where they are run or what stands for them."""


def of(prefix: str) -> list[str]:
    return sorted({text[len(prefix) :] for _, text in ALL if text.startswith(prefix)})


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that commands name are there."""
    monkeypatch.chdir(tmp_path)
    for name in ("mychat.py", "ca.pem", "cert.pem", "key.pem", "secret.txt"):
        shutil.copy(ROOT / "LICENSE", tmp_path / name)


def test_there_are_commands_of_every_program() -> None:
    for prefix in (f"{PYTHON}capacity ", f"{PYTHON}stampede check ", f"{PYTHON}server", LOCUST, "make "):
        assert of(prefix), prefix


@pytest.mark.parametrize("text", of(f"{PYTHON}capacity "))
def test_a_command_of_the_capacity_run_is_valid(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(text)
    if words[0] == "drill":
        assert read_drill_settings(words[1:], {}).run
    elif words[0] in COMMANDS:
        with pytest.raises(SystemExit):
            COMMANDS[words[0]](["--help"])
        shown = capsys.readouterr().out
        assert [word for word in words if word.startswith("--") and word not in shown] == []
    else:
        read_settings([word for word in words if word != "--help"], {})


@pytest.mark.parametrize("text", of(f"{PYTHON}stampede check "))
def test_a_command_of_the_check_is_valid(text: str) -> None:
    parser = argparse.ArgumentParser()
    add_check_arguments(parser)
    parser.parse_args(shlex.split(text))


@pytest.mark.parametrize("text", of(f"{PYTHON}server"))
def test_a_command_of_the_server_is_valid(text: str) -> None:
    parse_server([word for word in shlex.split(text) if word not in ("--help", "&")], {})


def test_the_commands_of_locust_are_valid() -> None:
    lines = [json.dumps(shlex.split(text)) for text in of(LOCUST)]
    command = [sys.executable, "-m", "tests.docs.locust_arguments"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused = subprocess.run(command, cwd=ROOT, input='["--no-such"]', capture_output=True, text=True, check=False)
    assert refused.returncode == 2


@pytest.mark.parametrize("text", of("make "))
def test_a_verb_of_make_exists_and_takes_the_arguments(text: str) -> None:
    verb, *given = shlex.split(text)
    assert re.search(rf"^{verb}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    variables = dict(one.split("=", 1) for one in given)
    assert variables.keys() <= {"ARGS", "HOST", "PYTHON"}
    if verb == "capacity":
        host = ["--host", variables["HOST"]] if "HOST" in variables else []
        read_settings([*host, *shlex.split(variables.get("ARGS", ""))], {})


@pytest.mark.parametrize("text", of("kubectl apply -k "))
def test_a_folder_of_manifests_exists(text: str) -> None:
    assert (ROOT / text.partition(" ")[0] / "kustomization.yaml").exists()


def test_each_other_command_is_known() -> None:
    known = (f"{PYTHON}capacity ", f"{PYTHON}stampede check ", f"{PYTHON}server", LOCUST, "make ", "kubectl apply -k ")
    modules = (f"{PYTHON}benchmarks.", f"{PYTHON}tests.")  # see below
    others = {text for _, text in ALL if not text.startswith((*known, *modules, "export "))}
    assert others == set(RUN_ELSEWHERE)


def test_modules_that_the_text_names_exist() -> None:
    named = {
        name
        for path in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"\.venv/bin/python -m ([\w.]+)", path.read_text())
    }
    assert {name for name in named if find_spec(name) is None} == set()


def test_every_workflow_uses_the_actions_in_the_versions_of_our_own() -> None:
    ours = actions_in((ROOT / ".github/workflows/ci.yml").read_text())
    assert ours
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "capacity/README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {path: actions_in(path.read_text()) for path in pages}
    assert sum(map(len, shown.values())) >= 2
    assert {str(path): found - ours for path, found in shown.items() if found - ours} == {}


def actions_in(text: str) -> set[str]:
    return set(re.findall(r"uses: (\S+@\S+)", text))


def test_workflows_are_yaml_with_steps() -> None:
    found = list(blocks("yaml"))
    assert found
    for block in found:
        (job,) = yaml.safe_load(block.text)["jobs"].values()
        assert all("uses" in step or "run" in step for step in job["steps"])
