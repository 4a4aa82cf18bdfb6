from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import package_cache
from benchmarks.processes import BenchmarkError
from tests.dialects.environments import python_with

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failed_installation_is_reported_in_one_line_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(package_cache, "CACHE", tmp_path / "cache")
    source = tmp_path / "other"
    source.mkdir()
    requirements = source / "requirements.txt"
    requirements.write_text(f"{tmp_path}/missing.whl\n")
    for _ in range(2):
        with pytest.raises(BenchmarkError, match=r"^pip could not install other: ERROR: .*missing") as problem:
            python_with(source)
        assert "\n" not in str(problem.value)
    requirements.write_text("")
    assert python_with(source).exists()
