"""Commands in documents and messages can be pasted: none needs an activated environment."""

from __future__ import annotations

import re
import subprocess
import sys

import msgspec
import pytest

from capacity.cli.output import repeat_command
from capacity.cli.resume import combined_arguments
from capacity.config.invocation import command_line
from tests.capacity import make
from tests.tables import ROOT

DOCUMENTS = [
    path
    for path in (*ROOT.rglob("*.md"), *ROOT.rglob("deploy/*.c*f*g"), *ROOT.rglob("deploy/*.conf"))
    if path.name != "CHANGELOG.md" and not {".venv", "node_modules", ".cache"} & set(path.parts)
]
SOURCES = [
    path
    for folder in ("server", "loadtest", "capacity", "metrics", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]
BARE = re.compile(r"(?<![\w/.-])(?:python3?|pip|pytest|locust)\s+-\w*\s")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_shows_a_command_that_needs_an_activated_environment(document: object) -> None:
    text = (ROOT / str(document)).read_text()
    assert BARE.findall(text) == []


@pytest.mark.parametrize("name", ["python", "locust", "pip"])
def test_no_program_prints_a_command_that_needs_an_activated_environment(name: str) -> None:
    printed = re.compile(rf"(?:prog=|print\(|Error\()f?\"[^\"]*(?<![\w/.-]){name} -")
    assert [path.name for path in SOURCES if printed.search(path.read_text())] == []


@pytest.mark.parametrize(
    "command", ["server", "capacity", "capacity compare", "deploy.stack", "benchmarks", "benchmarks.costs.engine"]
)
def test_a_usage_line_names_python_as_the_program_was_started(command: str) -> None:
    words = [sys.executable, "-m", *command.split()]
    shown = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.split()[: len(words) + 1] == ["usage:", *words]


def test_a_report_contains_its_command_and_a_run_resumes_from_any_spelling() -> None:
    command = repeat_command(["--bounded", "5", "--slo", "loss<1%"])
    assert command == f"{sys.orig_argv[0]} -m capacity --bounded 5 --slo 'loss<1%'"
    for program in (command_line("capacity"), "python -m capacity", ".venv/bin/python -m capacity"):
        earlier = msgspec.structs.replace(make.report([make.step(100)]), command=f"{program} --window 4")
        assert combined_arguments(earlier, []) == ["--window", "4"]
