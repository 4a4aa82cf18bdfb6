"""The map of the repository: which package may import which, checked against every import."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture_map import DEPENDENCIES, IMPURE, LOCUST, PACKAGES, PURE, WITHOUT_LOCUST

ROOT = Path(__file__).parent.parent


@cache
def modules() -> dict[str, Path]:
    """Return every module by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


@cache
def imports(module: str, *, types: bool = True) -> frozenset[str]:
    """Return the imports of a module at run time, and those for its types, as dotted names."""
    tree = ast.parse(modules()[module].read_text())
    if not types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module}: imports are absolute"
            # `from server.protocol import messages` names a module, `from server import __version__` a thing in one
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in names}
    return frozenset(found)


def covers(rule: str, name: str) -> bool:
    """Tell whether a rule covers a module: the same name, or a package above it."""
    return name == rule or name.startswith(f"{rule}.")


def row(module: str) -> str:
    """Return the most specific row of the map that covers a module."""
    return max((rule for rule in DEPENDENCIES if module == rule or module.startswith(f"{rule}.")), key=len)


def ours(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in (*PACKAGES, "tests")}


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    mine = row(module)
    allowed = [mine, *DEPENDENCIES[mine].split()]
    forbidden = {
        name
        for name in ours(imports(module)) - {module.split(".", maxsplit=1)[0]}  # whose __init__ Python imports anyway
        if not any(covers(rule, name) for rule in allowed)
    }
    assert forbidden == set()


def test_every_part_of_a_divided_package_has_a_row() -> None:
    divided = {rule.split(".")[0] for rule in DEPENDENCIES if "." in rule}
    assert {module for module in modules() if row(module) in divided} <= divided


def test_the_map_names_only_existing_packages() -> None:
    named = {*DEPENDENCIES, *PURE, *LOCUST, *" ".join(DEPENDENCIES.values()).split()}
    assert named <= set(modules()) | {"grafana", "benchmarks"}


def test_the_map_has_no_cycle() -> None:
    graph = {name: {row(rule) for rule in rules.split()} - {name} for name, rules in DEPENDENCIES.items()}
    tuple(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [name for name in modules() if any(covers(rule, name) for rule in PURE)])
def test_pure_modules_use_no_socket_clock_or_randomness(module: str) -> None:
    assert {name.split(".")[0] for name in imports(module, types=False)} & IMPURE == set()


@pytest.mark.parametrize(
    "module", [name for name in modules() if name in WITHOUT_LOCUST or not any(covers(rule, name) for rule in LOCUST)]
)
def test_only_listed_packages_import_locust(module: str) -> None:
    assert "locust" not in {name.split(".")[0] for name in imports(module)}


def reached(start: str) -> set[str]:
    """Return everything that importing a package imports, directly or through our modules, as dotted names."""
    found: set[str] = set()
    todo = {name for name in modules() if covers(start, name)}
    while todo:
        name = todo.pop()
        found.add(name)
        if name in modules():
            parents = {name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)}
            todo |= (imports(name, types=False) | parents) - found
    return found


def test_the_server_runs_without_gevent_and_locust() -> None:
    assert {"uvloop", "stampede.websocket.frames"} <= reached("server"), "imports are followed"
    assert not {"gevent", "locust"} & {name.partition(".")[0] for name in reached("server")}


def test_the_load_generator_runs_without_the_other_packages() -> None:
    assert {"gevent", "locust"} <= {name.partition(".")[0] for name in reached("stampede")}, "imports are followed"
    assert {name.partition(".")[0] for name in reached("stampede")} & set(PACKAGES) == {"stampede"}


def test_no_file_of_code_is_longer_than_400_lines() -> None:
    scripts = [path for kind in ("*.js", "*.mjs", "*.css") for path in (ROOT / "server" / "web").rglob(kind)]
    tests = [path for kind in ("*.py", "*.mjs") for path in (ROOT / "tests").rglob(kind)]
    lengths = {path: len(path.read_text().splitlines()) for path in (*modules().values(), *scripts, *tests)}
    assert scripts
    assert tests
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_no_test_imports_locust_which_replaces_the_threads_of_the_process() -> None:
    locustfiles = set((ROOT / "tests/locustfiles").glob("*.py"))  # only Locust's own processes load them
    assert locustfiles
    for path in sorted({*(ROOT / "tests").rglob("*.py")} - locustfiles):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert "locust" not in {name.partition(".")[0] for name in names}, path
