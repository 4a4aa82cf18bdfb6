"""The map of the house, as data, held against every import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each module of the server may import of the server.
SERVER: dict[str, set[str]] = {
    "": set(),
    "errors": set(),
    "files": set(),
    "fragments": set(),
    "frames": set(),
    "limits": set(),
    "names": {"errors"},
    "redaction": set(),
    "values": set(),
    "tick": set(),
    "settings": {"redaction", "values"},
    "messages": {"errors"},
    "stats": {"errors", "messages"},
    "room": {"stats", "tick"},
    "relay": set(),
    "hub": {"bus_messages", "errors", "frames", "limits", "messages", "names", "relay", "room", "stats", "tick"},
    "bus_messages": set(),
    "elsewhere": {"bus_messages"},
    "node": {"bus_messages", "elsewhere", "hub", "room", "stats", "tick"},
    "nats_client": set(),
    "supervise": {"causes"},
    "bus": {"bus_messages", "causes", "elsewhere", "errors", "nats_client", "supervise"},
    "children": {"causes"},
    "private_nats": {"children"},
    "listen": {"errors"},
    "stopping": set(),
    "disk_threads": {"lane"},
    "discovery": {"causes", "listen", "pages"},
    "workers": {"children", "discovery", "errors", "listen", "pages", "private_nats", "settings", "stopping"},
    "cluster": {"bus", "elsewhere", "hub", "node", "stats", "supervise", "tick"},
    "heartbeat": {"stats"},
    "loop_lag": {"stats"},
    "identity": {"errors", "names"},
    "tls": {"errors"},
    "causes": {"errors"},
    "logs": {"causes", "limits"},
    "lane": set(),
    "load": {"messages", "room", "stats"},
    "storage": {"messages"},
    "uploads": {"errors", "messages", "stats", "storage"},
    "retention": {"causes", "lane", "storage", "uploads"},
    "services": {"hub", "lane", "settings", "stats", "uploads"},
    "transfer": {"causes", "errors", "hub", "lane", "messages", "services", "uploads"},
    "endpoints": {
        "errors", "frames", "hub", "limits", "messages", "room", "services", "settings", "stats", "transfer",
        "uploads",
    },
    "http": {"stats"},
    "request_head": {"http"},
    "handshake": {"endpoints", "errors", "http", "identity", "limits", "request_head", "stats"},
    "gate": {"handshake", "heartbeat", "services", "tick"},
    "sending": {"errors", "gate", "room"},
    "connection": {"causes", "endpoints", "errors", "fragments", "frames", "gate", "handshake", "sending"},
    "upgrade": set(),
    "visitor": {"connection", "gate", "handshake", "http", "limits", "request_head", "upgrade"},
    "tls_visitor": {"gate", "visitor"},
    "drain": {"connection", "errors", "gate"},
    "pages": {"", "http", "hub", "stats"},
    "app": {
        "", "causes", "cluster", "disk_threads", "drain", "endpoints", "errors", "files", "gate", "handshake",
        "heartbeat", "http", "hub", "identity", "lane", "limits", "listen", "load", "logs", "loop_lag", "pages",
        "retention", "services", "settings", "stats", "stopping", "supervise", "tick", "tls",
        "tls_visitor", "uploads", "visitor", "workers",
    },
    "__main__": {"app", "settings"},
}  # fmt: skip
COMPOSITION_ROOT = "server.app"  # alone looks at metrics

# Rooms outside the server: what anything in them may import beside its own room.
ROOMS = {
    "metrics": {"server.redaction"},
    "grafana": {"metrics.catalog"},
    "loadtest": {"metrics", "server.frames", "server.messages", "server.redaction"},
    "capacity": {"metrics", "server.redaction"},
    "benchmarks": {
        "loadtest",
        "server.bus_messages",
        "server.elsewhere",
        "server.errors",
        "server.frames",
        "server.messages",
        "server.redaction",
    },
}

# Pure modules: no sockets, no clocks, no randomness, no threads of their own.
PURE = [
    "server.errors",
    "server.fragments",
    "server.frames",
    "server.heartbeat",
    "server.bus_messages",
    "server.elsewhere",
    "server.hub",
    "server.lane",
    "server.limits",
    "server.load",
    "server.messages",
    "server.names",
    "server.node",
    "server.redaction",
    "server.relay",
    "server.request_head",
    "server.room",
    "server.stats",
    "server.tick",
    "server.upgrade",
    "grafana.promql",
    "metrics.catalog",
    "metrics.levels",
    "metrics.loglinear",
    "capacity.addresses",
    "capacity.arrival",
    "capacity.bracket",
    "capacity.compare",
    "capacity.limiting",
    "capacity.model",
    "capacity.projection",
    "capacity.promise",
    "capacity.population",
    "capacity.search",
    "capacity.scaling",
    "capacity.sizing",
    "capacity.slo",
    "capacity.storm",
    "capacity.usl",
    "capacity.verdict",
    "capacity.words",
    "loadtest._addresses",
    "loadtest._ledger",
    "loadtest._stamp",
    "loadtest._timeline",
]
IMPURE = {"asyncio", "gevent", "random", "secrets", "select", "socket", "subprocess", "threading", "time", "uvloop"}


def modules() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ("server", *ROOMS)
        for path in sorted((ROOT / room).rglob("*.py"))
    ]


def imports(module: str, *, types: bool = True) -> set[str]:
    """Return what a module imports at run time, and for its types, as dotted names."""
    found = set()
    tree = ast.parse(_path(module).read_text())
    if not types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module}: imports are absolute"
            # `from server import messages` names a module, `from server import __version__` a thing in one
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known() else node.module for name in names}
    return found


def inner(module: str) -> str:
    """Return a server module's name as it stands in the map."""
    return module.removeprefix("server").removeprefix(".")


def known() -> set[str]:
    return set(modules())


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in ("server", "tests", *ROOMS)}


def allows(rule: str, name: str) -> bool:
    return name == rule or (rule in ROOMS and name.startswith(rule + "."))


@pytest.mark.parametrize("module", modules())
def test_arrows_point_one_way(module: str) -> None:
    room = module.split(".", maxsplit=1)[0]
    allowed = (
        ROOMS[room] | {room} if room != "server" else {f"server.{name}".rstrip(".") for name in SERVER[inner(module)]}
    )
    if module == COMPOSITION_ROOT:
        allowed.add("metrics")
    strays = {name for name in ours(imports(module)) if not any(allows(rule, name) for rule in allowed)}
    assert strays == set()


def test_the_map_names_no_module_that_is_gone() -> None:
    assert {f"server.{name}".rstrip(".") for name in SERVER} | set(PURE) <= known()


def test_the_servers_arrows_form_no_circle() -> None:
    left = dict(SERVER)
    while left:
        leaves = {module for module, names in left.items() if not names & set(left)}
        assert leaves, f"a circle among {sorted(left)}"
        left = {module: names for module, names in left.items() if module not in leaves}


@pytest.mark.parametrize("module", PURE)
def test_pure_parts_know_no_socket_clock_or_randomness(module: str) -> None:
    assert {name.split(".")[0] for name in imports(module, types=False)} & IMPURE == set()


def test_nothing_is_longer_than_it_should_be() -> None:
    lengths = {module: len(_path(module).read_text().splitlines()) for module in modules()}
    assert {module: length for module, length in lengths.items() if length > 400} == {}


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_no_test_imports_locust_which_replaces_the_threads_of_the_process() -> None:
    for path in [*(ROOT / "tests").glob("*.py"), *(ROOT / "tests").glob("[!p]*/*.py")]:  # tests/peers has programs
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert "locust" not in {name.partition(".")[0] for name in names}, path
