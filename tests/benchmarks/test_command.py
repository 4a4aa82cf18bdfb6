"""The command line that the benchmarks share."""

from __future__ import annotations

import pytest

from benchmarks.command import command_parser, with_exit_code
from benchmarks.processes import BenchmarkError


@pytest.mark.parametrize("problem", [BenchmarkError("no server"), OSError("no port")])
def test_an_expected_error_is_one_line_and_exit_code_2(problem: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    @with_exit_code
    def main(_arguments: object) -> None:
        raise problem

    assert main([]) == 2
    assert capsys.readouterr() == ("", f"{problem}\n")


def test_a_command_without_error_gets_its_arguments_and_returns_0() -> None:
    seen: list[object] = []
    assert with_exit_code(seen.append)(["--rounds", "1"]) == 0
    assert seen == [["--rounds", "1"]]


def test_a_bug_is_not_hidden() -> None:
    @with_exit_code
    def main(_arguments: object) -> None:
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        main([])


def test_the_help_names_the_module_and_its_first_line() -> None:
    help_text = command_parser("benchmarks.costs.ledger", "Measure one.\n\nMore.").format_help()
    assert "-m benchmarks.costs.ledger" in help_text
    assert "Measure one." in help_text
    assert "More." not in help_text
