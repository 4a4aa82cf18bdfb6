"""The help of the programs begins with what most people need, then goes by topic; errors name pages that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache

import pytest

from capacity.config.drill_settings import DRILL_OPTIONS, read_drill_settings
from capacity.config.options import flag
from capacity.config.settings import OPTIONS, read_settings
from capacity.errors import UsageError
from server.settings import table as server_table
from stampede.dialect_registry import DialectError, load_dialect
from stampede.locust.option_topics import FIRST, TOPICS
from stampede.locust.options import OPTIONS as LOAD_OPTIONS
from stampede.verdict.slo import SloError, parse_slo
from tests.tables import ROOT

FIRST_HEADING = "options that most people need first"
LOAD_TEST = "Chat load test: "
PAGE = re.compile(r"\b(?:docs|capacity|server|metrics|deploy)/[\w./-]*\.md\b")


@cache
def help_of(*words: str) -> dict[str, list[str]]:
    """Return the flags in the help of a program by their headings, in their order."""
    command = [sys.executable, "-m", *words, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    heading = ""
    for line in shown.splitlines():
        if re.fullmatch(r"\S.*:", line):
            heading = line.removesuffix(":")
        elif flags := re.match(r"  (?:-\w(?: \S+)?, )?(--[a-z][a-z-]*)", line):
            found.setdefault(heading, []).append(flags[1])
    return found


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("server",), ["--host", "--port", "--jwt-secret-file", "--workers", "--log-level"]),
        (("capacity",), ["--host", "--slo", "--bounded", "--locustfile", "--dialect"]),
        (("capacity", "drill"), ["--users", "--run", "--host", "--slo", "--locustfile", "--dialect"]),
    ],
)
def test_the_help_begins_with_what_most_people_need(words: tuple[str, ...], first: list[str]) -> None:
    options, *headings = help_of(*words)
    assert options == "options"  # --help alone
    assert headings[0] == FIRST_HEADING
    assert help_of(*words)[FIRST_HEADING] == first


def test_the_help_of_the_load_test_begins_its_options_with_what_most_people_need() -> None:
    ours = [heading for heading in help_of("stampede.locust") if heading.startswith(LOAD_TEST)]
    assert ours == [LOAD_TEST + FIRST_HEADING, *(LOAD_TEST + topic for topic in TOPICS)]
    assert sorted(help_of("stampede.locust")[ours[0]]) == sorted(f"--{name}" for name in FIRST)
    assert len(FIRST) == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("server",), [row.flag for row in server_table()]),
        (("capacity",), [flag(name) for name in OPTIONS]),
        (("stampede.locust",), [f"--{one.name}" for one in LOAD_OPTIONS]),
    ],
)
def test_each_option_is_under_one_heading_of_at_most_ten(words: tuple[str, ...], expected: list[str]) -> None:
    groups = help_of(*words)
    if words == ("stampede.locust",):
        groups = {heading: flags for heading, flags in groups.items() if heading.startswith(LOAD_TEST)}
    shown = [one for flags in groups.values() for one in flags if one != "--help"]
    assert sorted(shown) == sorted(expected)
    assert [heading for heading, flags in groups.items() if len(flags) > 10] == []
    assert len(groups) > 5


def test_each_option_of_the_load_test_has_one_topic() -> None:
    names = [name for topic in TOPICS.values() for name in topic]
    assert sorted(names) == sorted(one.name for one in LOAD_OPTIONS)
    assert set(FIRST) <= set(names)
    assert all(DRILL_OPTIONS[name].first for name in ("users", "run"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: load_dialect("sokcetio"),
        lambda: parse_slo("deliver_p99", "threshold"),
        lambda: parse_slo("deliveries<1%", "threshold"),
        lambda: read_settings(["--slo", "deliver"], {}),
        lambda: read_drill_settings([], {}),
    ],
)
def test_an_error_leads_to_the_page_that_explains_it(ask: object) -> None:
    with pytest.raises((DialectError, SloError, UsageError)) as refused:
        ask()  # type: ignore[operator]
    (page,) = PAGE.findall(str(refused.value))
    assert (ROOT / page).is_file()


def test_the_error_of_a_certificate_without_a_key_leads_to_a_page() -> None:
    command = [sys.executable, "-m", "server", "--tls-cert", "cert.pem"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--tls-cert requires --tls-key; see docs/how-to/tls-and-tokens.md" in done.stderr


def test_every_page_that_a_text_of_the_programs_names_exists() -> None:
    named = {
        page
        for folder in ("server", "stampede", "loadtest", "capacity")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for page in PAGE.findall(node.value)
    }
    assert len(named) > 6
    assert {page for page in named if not (ROOT / page).is_file()} == set()
