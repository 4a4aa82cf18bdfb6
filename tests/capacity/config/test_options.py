"""Every option is declared once; the help, the environment and the documentation follow."""

from __future__ import annotations

import pytest

from capacity.config.options import flag, variable
from capacity.config.settings import OPTIONS, read_settings
from capacity.errors import UsageError


def test_the_help_names_every_option_and_its_environment_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], {})
    words = capsys.readouterr().out.replace("\n", " ")
    assert len(words.split("Find how many")[0]) < 120  # the usage does not repeat the options
    assert "--backoff {none,fixed,exponential,full-jitter}" in words
    compact = "".join(words.split())  # argparse breaks lines inside names
    for name in OPTIONS:
        assert f"  {flag(name)} " in words
        assert f"[envvar:{variable(name)}]" in compact


def test_every_default_is_a_valid_value() -> None:
    for name, option in OPTIONS.items():
        for text in (option.default, option.thorough):
            if text is not None and option.parse is not None:
                assert option.parse(text) is not None, name


def test_an_invalid_value_of_a_secret_option_is_not_shown() -> None:
    with pytest.raises(UsageError, match="argument --header: not a header") as refused:
        read_settings(["--header", "geheim"], {})
    assert "geheim" not in str(refused.value)
