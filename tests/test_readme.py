"""The README is up to date: its tables match the code, its commands, options and links exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from capacity.config.settings import read_settings
from capacity.errors import ExitCode
from stampede.locust.options import OPTIONS
from stampede.verdict.summary import EXIT_CODES
from stampede.workload.shapes import DESCRIPTIONS
from tests.tables import ROOT, rows

README = (ROOT / "README.md").read_text()
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


def test_the_example_runs_last_longer_than_the_storm_period() -> None:
    period = next(option.default for option in OPTIONS if option.name == "storm-period")
    lengths = [int(found) for command in COMMANDS for found in re.findall(r"locust .* -t (\d+)s", command)]
    assert lengths
    assert [length for length in lengths if length <= period] == []


@pytest.mark.parametrize(("host", "arguments"), re.findall(r'make capacity (?:HOST=(\S+) )?(?:ARGS="(.*?)")', README))
def test_the_capacity_run_accepts_the_arguments_of_the_examples(host: str, arguments: str) -> None:
    read_settings([*(["--host", host] if host else []), *(part.strip("'") for part in arguments.split())], {})


def test_the_readme_lists_the_options_of_the_capacity_run() -> None:
    shown, _, passed = help_of("capacity").partition("\nload test:")
    assert "--message-rate" in passed
    listed = rows("README.md", "### Options of the capacity run")
    assert [flag for flag, _, _ in listed] == re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE)
    words = " ".join(shown.split())
    assert [text for _, _, text in listed if text not in words] == []


def test_the_readme_lists_the_exit_codes_of_the_capacity_run() -> None:
    codes = [int(code) for code, _ in rows("README.md", "### Exit codes of the capacity run")]
    assert codes == sorted(code.value for code in ExitCode)


def test_the_readme_lists_the_options_of_the_load_test() -> None:
    expected = [
        [f"--{option.name}", "" if option.default in (None, "") else str(option.default), option.help]
        for option in OPTIONS
    ]
    assert rows("README.md", "### Options of the load test") == expected


def test_the_readme_lists_the_exit_codes_of_the_load_test() -> None:
    listed = {int(code): text.replace("`", "") for code, text in rows("README.md", "### Exit codes of the load test")}
    assert listed == {code: text.replace("`", "") for code, text in EXIT_CODES.items()}


def test_the_readme_lists_the_shapes_of_the_load_test() -> None:
    listed = {name: text.replace("`", "") for name, text in rows("README.md", "### Shapes")}
    assert listed == {shape.value: text.replace("`", "") for shape, text in DESCRIPTIONS.items()}


def test_the_readme_lists_the_user_classes_and_their_weights() -> None:
    listed = {name: int(weight) for name, weight, _ in rows("README.md", "## The load test")}
    found = {}
    for path in (ROOT / "loadtest").glob("[!_]*.py"):
        for name, weight in re.findall(
            r"class (\w+)\(.*?^    weight = (\d+)", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            found[name] = int(weight)
    assert listed == found


def test_every_image_exists_and_is_small() -> None:
    for image in re.findall(r"!\[.+?\]\((.+?)\)", README):
        assert 0 < (ROOT / image).stat().st_size < 300_000


def test_every_link_to_a_file_or_heading_has_a_target() -> None:
    titles = re.findall("^#+ (.+)$", README, re.MULTILINE)
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for path, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", README):
        assert (ROOT / path).exists(), path
        assert path or anchor in headings, anchor
