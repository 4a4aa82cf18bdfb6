"""The examples in docs/pytest.md run, and its table of options is complete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.stampede.pytest_runs import run_pytest
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "pytest.md").read_text()


def test_the_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (conftest,) = (block for block in blocks if block.startswith("# conftest.py"))
    modules = {f"test_{number}": block for number, block in enumerate(blocks) if block != conftest}
    run = run_pytest(tmp_path, "-W", "ignore::stampede.LoadGeneratorWarning", conftest=conftest, **modules)
    tests = sum(len(re.findall(r"^def test_", block, re.MULTILINE)) for block in modules.values())
    assert tests == 6
    assert (run.code, run.outcomes) == (0, {"passed": tests}), run.out


def test_the_table_lists_all_options(tmp_path: Path) -> None:
    shown = run_pytest(tmp_path, "--help").out
    assert [option for option, _ in rows("docs/pytest.md", "### Options")] == re.findall(
        r"^  (--stampede-[a-z-]+)", shown, re.MULTILINE
    )
