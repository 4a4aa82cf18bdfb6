"""The list of equivalent mutants matches the code, and diffs of mutants are read correctly."""

from __future__ import annotations

import re

from tests.mutants import ROOT, Change, Score, equivalent_mutants, read_change


def test_every_equivalent_mutant_changes_code_that_exists() -> None:
    for change, reason in equivalent_mutants().items():
        code, before = (re.sub(r"\s+", " ", text) for text in ((ROOT / change.module).read_text(), change.before))
        assert before in code, f"{change.module} no longer contains: {before}"
        assert reason.endswith("."), change


def test_a_change_is_read_from_its_diff() -> None:
    diff = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n def f(a):\n-    return a\n+    return None"
    assert read_change("a.py", diff) == Change("a.py", "return a", "return None")


def test_equivalent_mutants_do_not_count_in_the_score() -> None:
    assert str(Score(killed=9, equivalent=5, survived=1)).endswith("90.0 %")
