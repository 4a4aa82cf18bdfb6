"""The guide for contributors is up to date, and the workflow and the forms of .github are valid."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.architecture_map import DEPENDENCIES
from tests.architecture_picture import BOXES, DUTIES, PICTURE, box_of, closure, draw, reduced, relation
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

GUIDES = ("CONTRIBUTING.md", "SECURITY.md", ".github/pull_request_template.md")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
WORDS = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", GUIDE, flags=re.DOTALL | re.MULTILINE))
TESTS = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", GUIDE)
COMMANDS = [word for word in WORDS if word.startswith((".venv/bin/", "make "))]


def loaded(path: Path) -> Any:
    """Return the content of a YAML file. YAML 1.1 reads the key `on` of a workflow as true."""
    return yaml.safe_load(path.read_text())


def heading_anchors(path: Path) -> set[str]:
    titles = re.findall("^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


# --- the picture ---


def test_the_picture_is_drawn_from_the_map() -> None:
    assert PICTURE.read_text() == draw(), "run .venv/bin/python -m tests.architecture_picture"


def test_every_row_of_the_map_is_in_a_box_and_every_box_has_rows_and_a_duty() -> None:
    assert {box_of(row) for row in DEPENDENCIES} == set(BOXES) == set(DUTIES)
    assert {rule for rules in BOXES.values() for rule in rules} <= set(DEPENDENCIES)


def test_the_arrows_of_the_picture_say_what_the_map_allows() -> None:
    shown: dict[str, set[str]] = {box: set() for box in BOXES}
    for start, end in re.findall(r"<title>(.+) imports from (.+)</title>", PICTURE.read_text()):
        shown[start].add(end)
    assert shown == reduced()
    assert closure(shown) == closure(relation())


# --- the guide ---


@pytest.mark.parametrize("document", GUIDES)
def test_every_link_leads_to_a_file_and_a_heading(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", (ROOT / document).read_text())
    assert links
    for path, anchor in links:
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        assert not anchor or anchor in heading_anchors(target), f"{path}#{anchor}"


def test_every_path_in_the_guide_exists() -> None:
    paths = {word.partition("::")[0] for word in WORDS if re.fullmatch(r"\.?[\w.-]+/[\w./:-]*", word)} - {".venv/bin/"}
    assert len(paths) > 30
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_test_in_the_guide_exists() -> None:
    assert len(TESTS) > 20
    missing = [(file, name) for file, name in TESTS if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_names_of_constants_are_in_the_file_of_their_sentence() -> None:
    for name, file in (
        ("PRESETS", "stampede/dialect_registry.py"),
        ("BUILT_IN", "stampede/dialect_registry.py"),
        ("PROVEN_ON", "stampede/dialect_registry.py"),
        ("NOT_SHOWN", "tests/grafana/test_dashboard_linter.py"),
        ("STAMPEDE_UPDATE_GOLDEN", "tests/metrics/test_collectors.py"),
    ):
        assert name in GUIDE
        assert name in (ROOT / file).read_text()


def test_every_command_names_existing_files_and_verbs() -> None:
    assert COMMANDS
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in COMMANDS:
        program, *words = command.split()
        if program == "make":
            assert words[0] in verbs
        for word in words:
            assert "/" not in word or (ROOT / word).exists(), word
            assert not word.startswith("tests.") or (ROOT / f"{word.replace('.', '/')}.py").exists(), word
    shown = re.findall(r"^make (\w+)", GUIDE, re.MULTILINE)
    assert set(shown) == {"install", "lint", "test"}


# --- .github ---


def test_the_workflow_runs_the_ci_script_on_every_supported_python() -> None:
    workflow = loaded(GITHUB / "workflows" / "ci.yml")
    assert {"push", "pull_request"} <= set(workflow[True])
    (job,) = workflow["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        found
        for one in project["classifiers"]
        if (found := one.removeprefix("Programming Language :: Python :: ")) != one
    ]
    assert versions == declared
    assert project["requires-python"] == f">={versions[0]}"
    assert "${{ matrix.python }}" in job["container"]["image"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == "bash .ci/run"
    assert all("uses" in step or "run" in step for step in job["steps"])


def test_dependency_updates_cover_every_file_of_dependencies() -> None:
    updates = {one["package-ecosystem"]: one for one in loaded(GITHUB / "dependabot.yml")["updates"]}
    assert set(updates) == {"pip", "npm", "docker", "github-actions"}
    packages = {
        f"/{path.parent.relative_to(ROOT)}"
        for folder in ("benchmarks", "tests", "server", "docs")
        for path in (ROOT / folder).rglob("package.json")
        if "node_modules" not in path.parts
    }
    assert set(updates["npm"]["directories"]) == packages
    assert {one["directory"] for name, one in updates.items() if name != "npm"} == {"/"}
    assert (ROOT / "Dockerfile").exists()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_what_its_schema_requires(path: Path) -> None:
    form = loaded(path)
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "body", "labels", "title"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids) > 2
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_are_forms_for_bugs_and_wishes() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature"]
    assert loaded(GITHUB / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": True}
