"""Log fields of an exception: its type and place, and its text only where that cannot quote a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.errors import SettingsError
from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "xyzzy-plugh-never-in-a-log"


def test_only_texts_of_the_system_and_of_stampede_are_quoted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "f").read_text()
    fields = exception_fields(missing.value)
    assert fields["error"] == "FileNotFoundError"
    assert fields["detail"] == f"No such file or directory: {tmp_path / 'f'}"
    assert " < test_exception_fields.py:" in fields["where"]
    assert exception_fields(SettingsError("said")) == {"error": "SettingsError", "detail": "said"}
    assert exception_fields(KeyError(SECRET)) == {"error": "KeyError"}


def test_the_type_of_the_original_exception_is_named_without_its_text() -> None:
    error = ValueError(SECRET)
    error.__cause__ = KeyError(SECRET)
    assert exception_fields(error) == {"error": "ValueError", "origin": "KeyError"}
