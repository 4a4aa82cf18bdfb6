"""The pages in docs/dialects match the code: tables, files, options of commands, links."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from capacity.config.settings import read_settings
from capacity.measure.series import BUNDLED, FIGURES
from capacity.model.traffic import KEYS
from stampede.check.dialect_table import table
from stampede.dialect_registry import BUILT_IN, PRESETS, PROVEN_ON, load_dialect, names
from stampede.dialects.placeholders import ALWAYS, ESCAPES
from stampede.dialects.series import SERIES_KEYS
from stampede.dialects.template import parsing
from stampede.dialects.template.built_in import EXTENDABLE
from stampede.dialects.template.reading import Table
from tests.dialects import costs
from tests.dialects.pages import CHECK, FOLDER, LOCUST, blocks, commands
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [path.name for path in sorted(FOLDER.glob("*.md"))]
FILES = sorted(FOLDER.glob("*.toml"))
PART = "your-own-server.md"  # its blocks are the parts of one file


def document(page: str) -> str:
    return str((FOLDER / page).relative_to(ROOT))


# --- tables ---


def test_the_table_of_the_dialects_is_that_of_the_command() -> None:
    lines = table({name: load_dialect(name) for name in names()}, PROVEN_ON)
    head, *printed = (re.split(r"  +", line) for line in lines[: lines.index("")])
    assert rows(document("README.md"), "## Built-in dialects") == printed
    assert f"| {' | '.join(head)} |" in (FOLDER / "README.md").read_text()


def test_the_page_of_all_pages_lists_them() -> None:
    listed = [re.findall(r"\[(.+)\]", row[0]) for row in rows(document("README.md"), "## Pages")]
    assert sorted(page for (page,) in listed) == [page for page in PAGES if page != "README.md"]


@pytest.mark.parametrize("name", [*BUILT_IN, *PRESETS][2:])  # without stampede and plain
def test_each_dialect_has_a_page_with_a_command(name: str) -> None:
    assert any(["--dialect", name] == arguments[:2] for arguments in commands(f"{name}.md", CHECK))
    assert any(["--dialect", name] == arguments[1:3] for arguments in commands(f"{name}.md", LOCUST))


def test_the_table_of_the_costs_has_the_columns_of_the_command() -> None:
    head = costs.table({costs.OWN: [1.0]}).splitlines()[:2]
    assert "\n".join(head) in (FOLDER / "README.md").read_text()
    for name in costs.DIALECTS:
        load_dialect(name if name in names() else str(ROOT / name))


def options_of(kind: Any, prefix: str = "") -> Iterator[list[str]]:
    """Yield the keys of a dialect's options and their defaults, as a file writes them."""
    defaults = kind()
    for field in dataclasses.fields(kind):
        value = getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            yield from options_of(type(value), f"{field.name}.")
        elif field.name == "echo":
            yield ["echo.self", {True: "yes", False: "no", None: "discover"}[value]]
        elif isinstance(value, bool):
            yield [prefix + field.name, str(value).lower()]
        else:
            yield [prefix + field.name, str(value or "") if value != 0 else "0"]


@pytest.mark.parametrize("name", EXTENDABLE)
def test_the_options_of_a_dialect_and_their_defaults_are_listed(name: str) -> None:
    _, options = EXTENDABLE[name]
    assert [row[:2] for row in rows(document(f"{name}.md"), "## Options")] == list(options_of(options))


EVERY_TABLE = """
login = [{http = "POST /login"}]
setup = [{http = "POST /rooms"}]
open = [{send = "a"}]
join = [{http = "POST /members"}, {send = "a"}]
leave = [{send = "a"}]
receive = {}
typing = {send = "a"}
keepalive = {answer = [{match = {a = 1}, send = "a"}]}
echo = {}
error = [{match = {a = 1}}]
limits = {}
headers = {}
defaults = {}
metrics = {}
"""
SAY = ('say = {send = "{text}"}', 'say = {http = "POST /messages", body = "{text}"}')


def test_the_reference_lists_the_keys_that_files_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, set[str]] = {}
    get = Table.get

    def record(self: Table, name: str, *arguments: Any) -> Any:
        known.setdefault(re.sub(r"\[\d+\]", "", self.key), set()).add(name)
        return get(self, name, *arguments)

    monkeypatch.setattr(Table, "get", record)
    for say in SAY:
        parsing.parse_template(f"{say}\n{EVERY_TABLE}", "all.toml", str)
    known[""].add("extends")
    text = {name: documented(f"### {heading}") for name, heading in HEADINGS.items()}
    top = text["top"] | {name for key in text["top"] for name in key.split("`, `")}
    assert {key for key in top if "`" not in key} == known[""]
    steps, http = text["steps"], text["http"]
    assert steps == known["open"] == known["leave"]
    assert http == known["login"]
    assert http - {"expires"} == known["setup"]
    assert known["join"] == steps | (http - {"expires"})
    assert known["say"] == text["say"] | (http - {"expires"})
    for name in ("receive", "typing", "keepalive", "echo", "error", "limits"):
        assert text[name] == known[name], name
    (answer,) = [row[1] for row in rows(document("template.md"), "### `[keepalive]`") if row[0] == "answer"]
    assert set(re.findall(r"`(\w+)`", answer)) == known["keepalive.answer"]


def test_the_reference_lists_the_keys_of_metrics_with_their_defaults() -> None:
    listed = {row[0]: re.findall(r"\w+_\w+", row[2]) for row in rows(document("template.md"), "### `[metrics]`")}
    assert listed == {key: [*BUNDLED.usual(key)] if key in FIGURES else [] for key in SERIES_KEYS}
    assert {*KEYS.values()} <= {*SERIES_KEYS}


def test_the_reference_lists_the_placeholders_and_the_escapes() -> None:
    listed = {
        name for row in rows(document("template.md"), "## Placeholders") for name in re.findall(r"{(\w+)}", row[0])
    }
    assert listed == {*ALWAYS, "token", "password"}
    (escape,) = [row[1] for row in rows(document("template.md"), "### Top of the file") if row[0] == "escape"]
    assert re.findall(r"`(\w+)`?", escape) == [*ESCAPES]


HEADINGS = {
    "top": "Top of the file",
    "steps": "Steps: `[[open]]`, `[[join]]`, `[[leave]]`",
    "http": "HTTP requests: `[[login]]`, `[[setup]]`, `[[join]]`, `[say]`",
    "say": "`[say]` over the connection",
    **{name: f"`[{name}]`" for name in ("receive", "typing", "keepalive", "echo", "error", "limits")},
}


def documented(heading: str) -> set[str]:
    return {row[0] for row in rows(document("template.md"), heading)}


# --- files ---


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_each_file_is_shown_on_a_page(file: Path) -> None:
    shown = [block for page in PAGES for block in blocks(page, "toml")]
    assert file.read_text() in shown or file.name == "acme.toml"


@pytest.mark.parametrize("page", [page for page in PAGES if page != PART])
def test_each_file_on_a_page_is_one(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        assert tomllib.loads(block)
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        load_dialect(str(file))


# --- commands and links ---


@pytest.mark.parametrize(("program", "module"), [(CHECK, ["stampede", "check"]), (LOCUST, ["stampede.locust"])])
def test_each_option_of_a_command_exists(program: str, module: list[str]) -> None:
    command = [sys.executable, "-m", *module, "--help"]
    known = set(
        re.findall(r"--?[a-z][a-z-]*", subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    )
    given = {part for page in PAGES for arguments in commands(page, program) for part in arguments if part[0] == "-"}
    assert given - known - {"--host", "--headless", "-u", "-r", "-t"} == set()
    assert given


@pytest.mark.parametrize(("program", "place"), [(CHECK, 0), (LOCUST, 1)])
def test_each_dialect_of_a_command_exists(program: str, place: int) -> None:
    """The pages tell the reader to save the other files."""
    for page in PAGES:
        for arguments in commands(page, program):
            assert arguments[place] == "--dialect"
            dialect = arguments[place + 1]
            if dialect not in ("acme.toml", "acme_dialect:AcmeDialect"):
                load_dialect(dialect if dialect in names() else str(ROOT / dialect))


@pytest.mark.parametrize("page", PAGES)
def test_the_capacity_run_accepts_its_arguments(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FOLDER / "acme.toml", tmp_path)
    (tmp_path / "accounts.csv").write_text("user,token\nann,s3cret\n")
    monkeypatch.chdir(tmp_path)
    for host, arguments in re.findall(r'make capacity HOST=(\S+) ARGS="(.*?)"', (FOLDER / page).read_text()):
        read_settings(["--host", host, *arguments.split()], {})


@pytest.mark.parametrize("page", PAGES)
def test_each_link_has_a_target(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", (FOLDER / page).read_text()):
        assert (FOLDER / target).exists(), target
