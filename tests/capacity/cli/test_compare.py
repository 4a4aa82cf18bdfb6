"""The command `compare`: text for 80 columns, Markdown, and the exit code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from capacity.cli.main import main
from tests.capacity import make
from tests.capacity.compared_runs import CHANGES, folders, run, sides, slower

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("revisions", "pairs", "judged"),
    [
        (("aaa", "aaa"), 1, False),
        (("aaa", "bbb"), 1, True),
        (("aaa-dirty", "aaa-dirty"), 1, True),  # their files may differ
        (("aaa", "aaa"), 2, True),
    ],
)
def test_one_pair_of_runs_of_the_same_revision_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], revisions: tuple[str, str], pairs: int, *, judged: bool
) -> None:
    one, two = revisions
    a, b = folders(tmp_path, a=run(slower(1.0), revision=one), b=run(slower(1.5), revision=two))
    code = main(["compare", ",".join([a] * pairs), ",".join([b] * pairs)])
    said = capsys.readouterr().out
    assert code == (99 if judged else 98)
    assert ("not judged: both runs are of revision aaa" in said) != judged
    assert ("one pair of runs: noise alone can exceed the tolerance" in " ".join(said.split())) == (pairs == 1)
    same = main(["compare", a, a])  # not worse, so not judged
    assert same == 0


def test_80_columns_show_every_figure_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    many = [
        run(*make.converged(), revision="aaa"),
        run(*make.converged(), make.failing(400), revision="aaa"),
    ]
    lower = [
        make.step(200),
        *[make.step(12_800, server_cpu=0.9)] * 3,
        make.failing(400, server_cpu=0.5),
        *[make.failing(13_900)] * 2,
    ]
    after = [run(*lower, revision="bbb"), run(*lower, revision="bbb")]
    reports = dict(zip("abcd", [*many, *after], strict=True))
    a, b, c, d = folders(tmp_path, **reports)
    assert main(["compare", f"{a},{b}", f"{c},{d}"]) == 99
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "400 users" in lines
    assert any(
        line.startswith("server CPU per delivery 58.1 us 73.5 us 1.69 0.00\N{EN DASH}>999 noise *") for line in lines
    )
    assert any(line.startswith("p99 466 ms 1.84 s") for line in lines)


def test_the_command_prints_both_sides_and_ends_with_99_when_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = folders(tmp_path, a=run(slower(1.0)), b=run(slower(1.5), revision="bbb"))
    assert main(["compare", a, b]) == 99
    said = capsys.readouterr().out
    assert "400 users: server CPU per delivery" in said
    assert "worse by more than 10 %" in said
    assert main(["compare", f"{a},{a}", f"{b},{a}", "--tolerance", "60%"]) == 0


def test_a_folder_without_a_report_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def compared(tmp_path: Path, change: str, *options: str) -> int:
    """Compare the three pairs of a change."""
    before, after = sides(change)
    a = folders(tmp_path, **{f"a{i}": one for i, one in enumerate(before)})
    b = folders(tmp_path, **{f"b{i}": one for i, one in enumerate(after)})
    return main(["compare", ",".join(a), ",".join(b), *options])


EXPECTED = {
    "faster": (0, "not worse by more than 10 %; 5 figures better"),
    "slower": (99, "worse by more than 10 %"),
    "within noise": (0, "not worse by more than 10 %"),
}
CPU = {"faster": "0.80 0.79-0.81 better", "slower": "1.23 1.13-1.32 worse *", "within noise": "1.06 0.80-1.31 noise"}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_three_pairs_as_text_fit_80_columns_and_say_what_is_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: str, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, verdict = EXPECTED[change]
    assert compared(tmp_path, change) == code
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert verdict in said
    lines = [" ".join(line.replace("\N{EN DASH}", "-").split()) for line in said.splitlines()]
    assert sum(line.startswith("server CPU per delivery") and line.endswith(CPU[change]) for line in lines) == 4
    assert "95 %: interval of the mean ratio of 3 pairs" in lines
    assert ("noise: within the spread, the interval contains 1.00" in lines) == (change == "within noise")


@pytest.mark.parametrize("change", CHANGES)
def test_three_pairs_as_markdown_are_a_verdict_and_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    code, verdict = EXPECTED[change]
    assert compared(tmp_path, change, "--format", "markdown") == code
    html = rendered(capsys.readouterr().out)
    (heading,) = re.findall(r"<h3>(.*)</h3>", html)
    assert heading.endswith(f"Capacity: {verdict}")
    found = rows(html)
    assert all(len(cells) == 6 for cells in found)
    names = {cells[0]: cells for cells in found}
    assert len(names) == len(found)
    judged = {"faster": "🟢 better", "slower": "🔴 worse *", "within noise": "worse, within the spread"}[change]
    for level in (100, 200, 400, 800):
        cells = names[f"{level} users: server CPU per delivery"]
        assert (cells[3], cells[5]) == (CPU[change].split()[0], judged)
        # A change is in the table above, the others are folded.
        assert (html.index(f"<td>{cells[0]}") < html.index("<details>")) == (change != "within noise")


def rendered(markdown: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(markdown))


def rows(html: str) -> list[list[str]]:
    """Return the texts of the cells of each row of the tables."""
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr>\n(<td.*?)</tr>", html, re.DOTALL)
    ]


def test_names_of_a_run_are_no_markup_in_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = run(slower(1.0), host="ws://a_b_c.example.org/|<img src=x>", revision="*a*`b`")
    a, b = folders(tmp_path, a=one, b=one)
    assert main(["compare", a, b, "--format", "markdown"]) == 0
    html = rendered(capsys.readouterr().out)
    assert "revision *a*`b`, 1 run" in html
    assert "ws://a_b_c.example.org/|&lt;img src=x&gt;" in html


def test_one_run_of_each_side_says_that_it_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folders(tmp_path, a=run(slower(1.0)), b=run(slower(1.5), revision="bbb"))
    assert main(["compare", a, b]) == 99
    said = capsys.readouterr().out
    assert "worse? *" in said
    assert "? cannot tell from one run of each side whether this is noise" in said
    assert main(["compare", a, b, "--format", "markdown"]) == 99
    assert "🔴 worse *, cannot tell from one run" in [cells[-1] for cells in rows(rendered(capsys.readouterr().out))]


def test_pairs_within_the_spread_but_beyond_the_tolerance_need_more_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {f"a{i}": run(slower(1.0)) for i in range(3)} | {f"b{i}": run(slower(1 + i / 5)) for i in range(3)}
    given = folders(tmp_path, **runs)
    sides_given = [",".join(given[:3]), ",".join(given[3:])]
    assert main(["compare", *sides_given]) == 99
    assert "within the spread, measure more pairs" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", *sides_given, "--format", "markdown"]) == 99
    assert "worse by more than 10 %, but within the spread of the pairs" in capsys.readouterr().out


def test_another_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "a", "b", "--format", "xml"])
    assert ended.value.code == 2
    assert "--format" in capsys.readouterr().err
