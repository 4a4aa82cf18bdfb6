"""The file of `--credentials`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from stampede.credentials_file import read_accounts
from stampede.locust.settings import OptionError, read_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_each_line_is_an_account_by_column_name(tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_bytes('\ufeffuser,password\nann,"a,b"\nbob,\n'.encode())
    assert read_accounts(str(file)) == ({"user": "ann", "password": "a,b"}, {"user": "bob", "password": ""})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a line with the names"),
        ("user,password\n", "expected a line with the names"),
        ("user,user\na,b\n", "must name each column once"),
        ("user,\na,b\n", "must name each column once"),
        ("user,password\nann,a\nbob\n", "line 3: expected 2 values"),
        ("user,password\nann,a,b\n", "line 2: expected 2 values"),
        ('user\n"ann\n', "not a CSV file"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_option_and_the_line(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(content)
    with pytest.raises(OptionError, match=f"^--credentials {file}: .*{message}"):
        read_settings(argparse.Namespace(credentials=str(file)))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_accounts(str(tmp_path / "none.csv"))
    (tmp_path / "binary").write_bytes(b"user\n\xff\n")
    with pytest.raises(ValueError, match="UTF-8"):
        read_accounts(str(tmp_path / "binary"))


def test_only_one_source_of_accounts_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--token and --credentials contradict each other"):
        read_settings(argparse.Namespace(token="t", credentials=str(tmp_path / "none.csv")))
