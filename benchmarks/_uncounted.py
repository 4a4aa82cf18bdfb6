"""Become a server that counts nothing: `python -m benchmarks._uncounted`, with the server's own flags.

Every statement that only counts is taken out of the server's modules as they are imported: what is left is the same
server without its instrumentation, so the two can be compared. What is counted shows as 0 in its metrics.
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


class _Uncounting(ast.NodeTransformer):
    """Take out what only counts, and note how much it was."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        parts = {part.attr for part in ast.walk(node.target) if isinstance(part, ast.Attribute)}
        return self._gone(node) if parts & _STATE else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.Call):
            called = node.value.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _OBSERVERS:
                return self._gone(node)
        return node

    def _gone(self, node: ast.stmt) -> ast.stmt:
        self.taken += 1
        return ast.copy_location(ast.Pass(), node)


def uncounted(source: str) -> tuple[ast.Module, int]:
    """Return a module without the statements that only count, and how many those were."""
    remover = _Uncounting()
    tree: ast.Module = remover.visit(ast.parse(source))
    return tree, remover.taken


class _Loader(SourceFileLoader):
    """Compile the source afresh: what is cached counts."""

    def get_code(self, fullname: str) -> CodeType:
        tree, _ = uncounted(Path(self.path).read_text())
        return compile(tree, self.path, "exec")


class _Finder(PathFinder):
    """Find the server's modules, to be loaded in our way."""

    @classmethod
    def find_spec(
        cls: type[Self], fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder)
    runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)
