from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.cli.main import main
from capacity.cli.resume import check_same_question, combined_arguments, earlier_report, without_resume
from capacity.errors import UsageError
from capacity.model.scaling import point_of, scaling_of
from capacity.report.history import save_run, saved_runs
from capacity.report.writer import write_report
from tests.capacity import make

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport


def of(
    revision: str, day: int, *, scenario: str = "ChattingUser=1", dialect: str = "stampede", **settings: Any
) -> RunReport:
    made = make.report([make.step(100, window_s=None)])  # without charts
    environment = msgspec.structs.replace(
        made.environment, revision=revision, started_at=f"2026-01-{day:02}T03:04:05+00:00"
    )
    changed = {"status": "partial", "status_reason": "cut", "settings": made.settings | settings}
    answer = msgspec.structs.replace(made.answer, scenario=scenario, dialect=dialect)
    return msgspec.structs.replace(made, environment=environment, answer=answer, dialect=dialect, **changed)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    one, again, other = (
        of("aaaaaaaaaaaa", 2),
        of("bbbbbbbbbbbb-dirty", 1),
        of("aaaaaaaaaaaa", 2, scenario="TypingUser=1"),
    )
    for report in (one, again, other):
        write_report(report, folder)
        save_run(folder, tmp_path / "runs", report)
    return tmp_path / "runs"


def test_every_run_has_its_folder_and_the_index_lists_them_by_time_and_question(runs: Path) -> None:
    assert [run.name for run in saved_runs(runs)] == [
        "2026-01-01T03-04-05-bbbbbbbbb", "2026-01-02T03-04-05-aaaaaaaaa", "2026-01-02T03-04-05-aaaaaaaaa-2",
    ]  # fmt: skip
    page = (runs / "index.html").read_text()
    assert page.count("<section") == 2  # one for each mix of users
    for link in re.findall(r'href="([^"#]+)"', page):
        assert (runs / link).is_file()
    assert sorted(re.findall(r'<a href="#([^"]+)"', page)) == sorted(re.findall(r'<section id="([^"]+)"', page))
    assert "bbbbbbbbb+: 100 or more" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"steps": "400", "bounded": True}, "bounded 400"),
        ({"steps": "200,400"}, "steps 200,400"),
        ({"steps": "1000", "storm": 1000}, "storms on 1000 users"),
    ],
)
def test_runs_of_given_levels_have_a_section_of_their_own_and_no_chart_of_capacity(
    tmp_path: Path, settings: dict[str, Any], kind: str
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for report in (of("aaa", 1), of("bbb", 2, **settings), of("ccc", 3, **settings)):
        write_report(report, folder)
        save_run(folder, tmp_path / "runs", report)
    page = (tmp_path / "runs" / "index.html").read_text()
    assert [run.kind for run in saved_runs(tmp_path / "runs")] == ["search", kind, kind]
    given, searched = page.split("<section")[1:]  # the latest comes first
    assert kind in given.replace("\N{NO-BREAK SPACE}", " ")
    assert "<svg" not in given
    assert given.count("/report.html") == 2
    assert "<svg" in searched


def test_a_report_of_several_searches_is_saved_with_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    points = []
    for workers in (1, 2):
        part = of("cccccccccccc", 3, workers=str(workers))
        (folder / f"workers-{workers}").mkdir(parents=True)
        write_report(part, folder / f"workers-{workers}")
        points.append(point_of(part, workers, f"workers-{workers}"))
    whole = msgspec.structs.replace(part, scaling=scaling_of(points))
    write_report(whole, folder)
    save_run(folder, tmp_path / "runs", whole)
    (run,) = saved_runs(tmp_path / "runs")
    links = re.findall(r'href="([^"#]+)"', (tmp_path / "runs" / run.name / "report.html").read_text())
    assert links == ["workers-1/report.html", "workers-2/report.html"]
    for link in links:
        assert (tmp_path / "runs" / run.name / link).is_file()


def test_the_command_updates_the_index_and_skips_invalid_reports(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "index.html").unlink()
    (runs / "invalid").mkdir()
    (runs / "invalid" / "report.json").write_text("{}")
    assert main(["history", str(runs)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert (runs / "index.html").is_file()
    assert main(["history", str(runs / "nowhere")]) == 2


def test_a_resumed_run_uses_the_earlier_options(tmp_path: Path) -> None:
    report = msgspec.structs.replace(of("aaa", 1), command="python -m capacity --slo 'loss<1%' --window 4")
    write_report(report, tmp_path)
    earlier = earlier_report(tmp_path)
    assert earlier.steps == report.steps
    given = without_resume(["--resume", str(tmp_path), "--max-duration", "60"])
    assert combined_arguments(earlier, given) == ["--slo", "loss<1%", "--window", "4", "--max-duration", "60"]
    assert without_resume(["--window", "4", "--resume=x"]) == ["--window", "4"]


def test_a_folder_without_a_report_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read report\.json"):
        earlier_report(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(UsageError, match="is not a report"):
        earlier_report(tmp_path)


def test_a_run_with_other_settings_or_machine_cannot_be_resumed() -> None:
    earlier = of("aaa", 1)
    check_same_question(earlier, earlier.settings | {"max_duration": 99.0}, earlier.levels, earlier.environment)
    other = msgspec.structs.replace(earlier.environment, host="another", revision="bbb")
    with pytest.raises(UsageError, match="different mix, SLOs, machine, revision"):
        check_same_question(earlier, earlier.settings | {"mix": "TypingUser=1"}, ["loss<1%"], other)


def test_own_locustfiles_and_servers_of_another_dialect_have_groups_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    shop = {"scenario": "shop.py: Buyer=2", "dialect": "socketio", "host": "ws://chat.example.org"}
    for report in (
        of("aaa", 1),
        of("bbb", 2, **shop, locustfile="a/shop.py", load="--room-size 20 --dialect socketio"),
        of("ccc", 3, **shop, locustfile="b/shop.py", load="--room-size 20 --dialect /acme/io.toml"),
        of("ddd", 4, **shop | {"scenario": "shop.py"}),
        of("eee", 5, scenario="", mix="ChattingUser=1"),  # of an earlier version
    ):
        write_report(report, folder)
        save_run(folder, tmp_path / "runs", report)
    page = (tmp_path / "runs" / "index.html").read_text()
    latest, whole_file, of_buyers = page.split("<section")[1:]
    assert [part.count("/report.html") for part in (latest, whole_file, of_buyers)] == [2, 1, 2]
    assert "users of shop.py: Buyer=2 · dialect socketio · ws://chat.example.org · room size 20" in of_buyers
    assert "chatting users · dialect stampede · one process of the bundled server" in latest
    overview = re.sub(r"<[^>]+>|\s+", " ", page.partition("<section")[0])
    assert re.search(r"users of shop.py: Buyer=2 +socketio +ws://chat.example.org +search +\S +2", overview)
    assert main(["history", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "shop.py: Buyer=2, dialect socketio, search" in shown[1]
