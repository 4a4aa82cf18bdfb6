"""The map of the repository: which package may import which, checked against every import."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The packages that each package may import beside itself. A module outside of a subpackage has its own row;
# `server.http` covers all modules below it.
DEPENDENCIES: dict[str, str] = {
    # the parts of the load generator that the server shares
    "stampede.redaction": "",
    "stampede.websocket.frames": "",
    "stampede.metrics.histogram_buckets": "",
    "stampede.metrics.metric": "",
    "stampede.metrics.families": "stampede.measure.log_linear_histogram stampede.metrics.metric",
    "stampede.metrics.exposition": "stampede.metrics.metric stampede.metrics.process",
    "stampede.metrics.process": "",
    # the server
    "server": "",
    "server.errors": "",
    "server.histogram_buckets": "",
    "server.setting_types": "",
    "server.token_bucket": "",
    "server.protocol": "server.errors",
    "server.settings": "server.setting_types stampede.redaction",
    "server.stats": "server.errors server.histogram_buckets server.protocol stampede.metrics.histogram_buckets",
    "server.runtime": "server.errors server.stats server.token_bucket",
    "server.chat": "server.errors server.protocol server.stats server.token_bucket stampede.websocket.frames",
    "server.uploads": "server.chat server.errors server.protocol server.runtime server.stats",
    "server.cluster": "server.chat server.errors server.runtime server.stats",
    "server.websocket": "server.chat server.errors server.protocol server.runtime server.settings server.stats "
    "server.token_bucket server.uploads stampede.websocket.frames",
    "server.http": "server.chat server.errors server.protocol server.stats server.token_bucket server.websocket",
    "server.drain": "server.errors server.websocket",
    "server.supervisor": "server.errors server.runtime server.settings",
    "server.app": "metrics server.chat server.cluster server.drain server.errors server.http "
    "server.runtime server.settings server.stats server.supervisor server.uploads server.websocket "
    "stampede.metrics.exposition",
    "server.__main__": "server.app server.settings",
    # the load generator
    "stampede": "",
    "stampede.errors": "",
    "stampede.generator_faults": "",
    "stampede.ledger": "",
    "stampede.workload": "",
    "stampede.websocket": "stampede.errors stampede.generator_faults stampede.redaction",
    "stampede.measure": "stampede.generator_faults stampede.ledger stampede.websocket.addresses",
    "stampede.verdict": "stampede.errors stampede.generator_faults stampede.ledger stampede.measure "
    "stampede.websocket.addresses",
    "stampede.health": "stampede.generator_faults stampede.measure",
    "stampede.dialects": "stampede.errors stampede.ledger stampede.measure.request_names",
    "stampede.dialect_registry": "stampede.dialects stampede.errors",
    "stampede.client": "stampede.dialects stampede.ledger stampede.measure stampede.websocket stampede.workload",
    "stampede.pool": "stampede.client stampede.dialects stampede.generator_faults stampede.health stampede.ledger "
    "stampede.measure stampede.websocket stampede.workload",
    "stampede.credentials_file": "",
    "stampede.waiting": "",
    "stampede.argument_types": "stampede.redaction",
    "stampede.check": "stampede.argument_types stampede.client stampede.credentials_file stampede.dialect_registry "
    "stampede.dialects stampede.errors stampede.ledger stampede.measure stampede.redaction stampede.waiting "
    "stampede.websocket stampede.workload",
    "stampede.__main__": "stampede.dialect_registry stampede.errors",
    "stampede.generator": "stampede.check stampede.client stampede.dialect_registry stampede.dialects stampede.errors "
    "stampede.generator_faults stampede.health stampede.ledger stampede.measure stampede.pool stampede.redaction "
    "stampede.verdict stampede.waiting stampede.websocket stampede.workload",
    "stampede.pytest_plugin": "stampede.errors stampede.generator stampede.verdict",
    "stampede.metrics": "stampede.measure",
    "stampede.locust": "stampede.argument_types stampede.check stampede.client stampede.credentials_file "
    "stampede.dialect_registry stampede.dialects stampede.errors stampede.generator_faults "
    "stampede.health stampede.ledger stampede.measure stampede.metrics stampede.pool stampede.redaction "
    "stampede.verdict stampede.waiting stampede.websocket stampede.workload",
    "loadtest": "stampede",
    # metrics and dashboards
    "metrics": "server.errors server.histogram_buckets server.protocol server.stats stampede.metrics",
    "grafana": "metrics.catalog",
    # capacity runs
    "capacity": "",
    "capacity.errors": "",
    "capacity.formatting": "stampede.measure.formatting",
    "capacity.signals": "capacity.errors",
    "capacity.http_client": "stampede.redaction",
    "capacity.record": "capacity.formatting stampede.measure.address_pairs",
    "capacity.config": "capacity.errors capacity.formatting stampede.dialect_registry stampede.dialects "
    "stampede.locust.options stampede.measure stampede.redaction stampede.verdict.slo stampede.websocket.endpoint "
    "stampede.websocket.headers",
    "capacity.measure": "capacity.config capacity.errors capacity.http_client capacity.record "
    "stampede.dialects stampede.generator_faults stampede.health stampede.measure stampede.redaction "
    "stampede.websocket.addresses",
    "capacity.processes": "capacity.errors capacity.formatting capacity.http_client capacity.measure capacity.record "
    "capacity.signals stampede.measure",
    "capacity.judge": "capacity.config capacity.formatting capacity.measure capacity.record stampede.generator_faults "
    "stampede.health stampede.measure.address_pairs",
    "capacity.model": "capacity.errors capacity.formatting capacity.judge capacity.measure capacity.record "
    "stampede.dialects",
    "capacity.search": "capacity.config capacity.judge capacity.measure capacity.model capacity.processes "
    "capacity.record stampede.generator_faults stampede.measure",
    "capacity.profile": "capacity.errors capacity.formatting capacity.http_client capacity.measure "
    "capacity.processes capacity.record",
    "capacity.storms": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.record capacity.search stampede.measure",
    "capacity.report": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.model "
    "capacity.record capacity.search",
    "capacity.testbed": "capacity.config capacity.errors capacity.http_client capacity.measure capacity.processes "
    "capacity.record stampede.dialect_registry stampede.redaction stampede.websocket.errors stampede.websocket.tls",
    "capacity.run": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.processes capacity.profile capacity.record capacity.report capacity.search capacity.storms "
    "capacity.testbed",
    "capacity.run_report": "capacity.config capacity.errors capacity.judge capacity.model capacity.profile "
    "capacity.record capacity.report capacity.run capacity.storms stampede.measure.address_pairs "
    "stampede.redaction",
    "capacity.drill": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.processes capacity.record capacity.report capacity.search capacity.storms capacity.testbed "
    "stampede.measure",
    "capacity.cli": "capacity.config capacity.drill capacity.errors capacity.formatting capacity.http_client "
    "capacity.judge capacity.measure capacity.model capacity.record capacity.report capacity.run capacity.run_report "
    "capacity.search capacity.signals stampede.dialect_registry stampede.dialects stampede.redaction",
    "capacity.__main__": "capacity.cli",
    # deployment and benchmarks
    "deploy": "capacity",
    "benchmarks": "capacity server stampede",
}
PACKAGES = ("server", "stampede", "loadtest", "metrics", "grafana", "capacity", "deploy", "benchmarks")

# Pure packages and modules: no socket, no file, no clock, no randomness, no thread of their own.
PURE = [
    "server.errors",
    "server.histogram_buckets",
    "server.token_bucket",
    "server.protocol",
    "server.stats",
    "server.chat",
    "server.cluster.liveness",
    "server.cluster.membership",
    "server.cluster.messages",
    "server.cluster.node",
    "server.cluster.outbox",
    "server.http.parser",
    "server.http.upgrade",
    "server.supervisor.startup_report",
    "server.websocket.heartbeat",
    "server.websocket.outbound",
    "server.websocket.rate_limit",
    "stampede.check.dialect_table",
    "stampede.check.findings",
    "stampede.check.probe",
    "stampede.check.report",
    "stampede.check.result",
    "stampede.check.texts",
    "stampede.errors",
    "stampede.generator.results",
    "stampede.generator.threshold_check",
    "stampede.redaction",
    "stampede.ledger",
    "stampede.locust.agents.assignment",
    "stampede.locust.agents.run_facts",
    "stampede.client.outbox",
    "stampede.client.credentials",
    "stampede.client.pings",
    "stampede.dialects",
    "stampede.websocket.addresses",
    "stampede.websocket.endpoint",
    "stampede.websocket.headers",
    "stampede.workload.accounts",
    "stampede.workload.address_deal",
    "stampede.workload.backoff",
    "stampede.workload.placement",
    "stampede.workload.schedule",
    "stampede.workload.shapes",
    "stampede.workload.sizes",
    "stampede.health.health",
    "stampede.health.limits",
    "stampede.measure.drop_causes",
    "stampede.measure.figures",
    "stampede.measure.formatting",
    "stampede.measure.log_linear_histogram",
    "stampede.measure.measures",
    "stampede.measure.report",
    "stampede.measure.request_names",
    "stampede.measure.serialization",
    "stampede.measure.snapshot",
    "stampede.measure.storm",
    "stampede.measure.storm_results",
    "stampede.metrics.catalog",
    "stampede.metrics.families",
    "stampede.metrics.histogram_buckets",
    "stampede.metrics.metric",
    "stampede.websocket.frames",
    "stampede.verdict",
    "metrics.catalog",
    "grafana.promql",
    "capacity.config.scenario",
    "capacity.config.secrets",
    "capacity.config.slo",
    "capacity.formatting",
    "capacity.judge",
    "capacity.measure.addresses",
    "capacity.measure.client_window",
    "capacity.measure.metrics_page",
    "capacity.measure.series",
    "capacity.measure.server_window",
    "capacity.measure.system_sample",
    "capacity.model.mix",
    "capacity.model.projection",
    "capacity.model.scalability",
    "capacity.model.scaling",
    "capacity.model.sizing",
    "capacity.model.student_t",
    "capacity.model.usl",
    "capacity.processes.start_failure",
    "capacity.profile.hot_spot",
    "capacity.profile.paths",
    "capacity.profile.stacks",
    "capacity.profile.summary",
    "capacity.report.answer",
    "capacity.report.chart_texts",
    "capacity.report.compare",
    "capacity.report.flame_graph",
    "capacity.report.profile_table",
    "capacity.report.question",
    "capacity.report.sections",
    "capacity.search.arrival",
    "capacity.search.bracket",
    "capacity.search.remedy",
    "capacity.search.search",
    "capacity.search.settling",
    "capacity.storms.judge",
    "capacity.storms.result",
    "capacity.drill.judge",
    "capacity.drill.result",
    "capacity.drill.timeline",
]
IMPURE = {
    "asyncio", "gevent", "os", "pathlib", "random", "secrets", "select", "socket", "structlog",
    "subprocess", "threading", "time", "uvloop",
}  # fmt: skip

# The packages that may import Locust: the rest of the load generator runs without it.
LOCUST = ("stampede.locust", "loadtest", "benchmarks")
# But these run without it: `import locust` replaces sockets and threads of the whole process.
WITHOUT_LOCUST = (
    "stampede.locust.agents.assignment",
    "stampede.locust.options",
    "stampede.locust.preflight",
    "stampede.locust.settings",
    "stampede.locust.web.start_form",
)


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
