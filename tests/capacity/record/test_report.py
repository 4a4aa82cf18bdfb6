"""Reports of earlier versions are read, although they lack some fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.record.report import read_report
from capacity.record.step import Cause, Verdict, core_share, invalid_cause
from tests.capacity import make

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("verdict", "signals", "cause"),
    [
        ("pass", [], None),
        ("fail", ["deliver_p99"], None),
        ("invalid", ["generator cpu"], Cause.GENERATOR),
        ("invalid", ["generator fault", "deliver_p99"], Cause.GENERATOR),
        ("invalid", ["offered rate"], Cause.GENERATOR),
        ("invalid", ["others on the server's core", "deliver_p99"], Cause.OTHERS),
        ("invalid", ["series"], Cause.MISSING),
        ("invalid", ["resync_p95"], Cause.MISSING),
    ],
)
def test_the_causes_of_an_older_report_follow_from_its_signals(
    tmp_path: Path, verdict: str, signals: list[str], cause: Cause | None
) -> None:
    step = make.step(100, verdict, signals=signals, reasons=["a reason"] * len(signals))
    content: dict[str, Any] = msgspec.to_builtins(make.report([step]))
    for old in content["steps"]:
        del old["causes"]
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(content))
    (read,) = read_report(path).steps
    assert read.invalid_cause is cause
    assert len(read.causes) == len(signals)


def test_counts_that_an_older_report_lacks_are_unknown(tmp_path: Path) -> None:
    content: dict[str, Any] = msgspec.to_builtins(make.report([make.step(100, "pass", late=2, churned=3)]))
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(content))
    (new,) = read_report(path).steps
    assert (new.late, new.churned) == (2, 3)
    for old in content["steps"]:
        del old["late"], old["churned"]
    path.write_bytes(msgspec.json.encode(content))
    (read,) = read_report(path).steps
    assert (read.late, read.churned) == (None, None)


def test_the_generator_comes_before_others_and_missing_data() -> None:
    causes = [Cause.SERVER, Cause.MISSING, Cause.OTHERS, Cause.GENERATOR]
    assert invalid_cause(Verdict.INVALID, causes) is Cause.GENERATOR
    assert invalid_cause(Verdict.INVALID, causes[:3]) is Cause.OTHERS
    assert invalid_cause(Verdict.INVALID, causes[:2]) is Cause.MISSING
    assert invalid_cause(Verdict.FAIL, causes) is None


def test_the_core_share_is_that_of_the_busiest_process_or_the_mean() -> None:
    assert core_share(1.2, 0.9, 2) == 0.9
    assert core_share(1.2, None, 2) == 0.6
    assert core_share(None, None, 2) is None
