"""The README is up to date: short; its commands, options and links exist."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from capacity.config.settings import read_settings
from stampede.locust.options import OPTIONS
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text()
CAPACITY = (ROOT / "capacity" / "README.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def help_of(*command: str) -> str:
    return subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=True).stdout


def test_the_first_two_commands_are_capacity_and_test() -> None:
    assert COMMANDS[:2] == ["make capacity", "make test"]


def test_every_make_verb_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert verbs <= set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


@pytest.mark.parametrize("command", [command for command in COMMANDS if "-m server" in command or "locust" in command])
def test_every_option_of_a_command_exists(command: str) -> None:
    module = "server" if "-m server" in command else "locust"
    known = help_of(module.replace("locust", "stampede.locust"))  # whose help has the options of the load test
    assert all(flag in known for flag in re.findall(r"--?[a-z][a-z-]*", command.partition(module)[2]))


@pytest.mark.parametrize(
    ("host", "arguments"), re.findall(r'make capacity (?:HOST=(\S+) )?(?:ARGS="(.*?)")', README + CAPACITY)
)
def test_the_capacity_run_accepts_the_arguments_of_the_examples(
    host: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadtest").symlink_to(ROOT / "loadtest")
    (tmp_path / "mychat.py").touch()
    monkeypatch.chdir(tmp_path)
    read_settings([*(["--host", host] if host else []), *(part.strip("'") for part in arguments.split())], {})


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_locustfile_of_the_readme_is_that_of_the_tutorial() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert f"```python\n{block}```" in (ROOT / "docs/tutorial/first-scenario.md").read_text()


def test_the_page_of_the_load_test_shows_runs_longer_than_the_storm_period() -> None:
    period = next(option.default for option in OPTIONS if option.name == "storm-period")
    page = (ROOT / "docs/reference/load-test.md").read_text()
    lengths = [int(found) for found in re.findall(r"locust .* -t (\d+)s", page + README)]
    assert lengths
    assert [length for length in lengths if length <= period] == []


def test_every_image_exists_and_is_small() -> None:
    for image in re.findall(r"!\[.+?\]\((.+?)\)", README):
        assert 0 < (ROOT / image).stat().st_size < 300_000


def test_every_link_to_a_file_or_heading_has_a_target() -> None:
    titles = re.findall("^#+ (.+)$", README, re.MULTILINE)
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for path, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", README):
        assert (ROOT / path).exists(), path
        assert path or anchor in headings, anchor
