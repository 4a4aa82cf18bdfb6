"""Run the server without its counters: `python -m benchmarks.costs.server_without_metrics`, with the server's options.

An import hook removes every statement that only counts from the server's modules. The rest is the same server, so that
the two can be compared. Its metrics remain 0.
"""

from __future__ import annotations

import ast
import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

PACKAGE: Final = "server"
_STATE: Final = frozenset({"stats", "_stats"})
_OBSERVERS: Final = frozenset({"observe", "_observe", "_count_delivered"})


class _CounterRemover(ast.NodeTransformer):
    """Remove statements that only count, and count the removals."""

    def __init__(self) -> None:
        self.removed = 0

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        parts = {part.attr for part in ast.walk(node.target) if isinstance(part, ast.Attribute)}
        return self._remove(node) if parts & _STATE else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.Call):
            called = node.value.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _OBSERVERS:
                return self._remove(node)
        return node

    def _remove(self, node: ast.stmt) -> ast.stmt:
        self.removed += 1
        return ast.copy_location(ast.Pass(), node)


def remove_counters(source: str) -> tuple[ast.Module, int]:
    """Return a module without the statements that only count, and the number of removed statements."""
    remover = _CounterRemover()
    tree: ast.Module = remover.visit(ast.parse(source))
    return tree, remover.removed


class _CounterlessLoader(SourceFileLoader):
    """Loads a module from its source, because cached bytecode still counts."""

    def get_code(self, fullname: str) -> CodeType:
        tree, _ = remove_counters(Path(self.path).read_text())
        return compile(tree, self.path, "exec")


class _ServerFinder(PathFinder):
    """Finds the server's modules and gives them the loader above."""

    @classmethod
    def find_spec(
        cls: type[Self], fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _CounterlessLoader(fullname, spec.origin)
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, _ServerFinder)
    runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)
