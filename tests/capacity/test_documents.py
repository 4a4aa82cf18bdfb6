"""This room's document tells the truth: its examples are read, its commands are understood."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from capacity.commands import COMMANDS
from capacity.promise import read_promises
from capacity.settings import read_settings
from capacity.slo import parse_level
from tests.tables import ROOT, rows

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = (ROOT / "capacity" / "README.md").read_text()
LINES = re.findall(r"python -m capacity ?(.*?)(?:\s+#.*|\)? \|\|.*)?$", DOCUMENT, re.MULTILINE)


def test_the_example_of_service_levels_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "levels.toml"
    path.write_text(example)
    assert [level.text for level in read_promises(path)] == ["deliver_p99<250ms", "fanout_p99<0.05", "connections>1"]


def test_every_figure_of_the_table_is_known_with_its_units() -> None:
    listed = rows("capacity/README.md", "## Service levels in a file")
    for figure, units, _ in listed:
        for unit in units.split(", "):
            parse_level(f"{figure.replace('pN', 'p95')}<1{unit}")


@pytest.mark.parametrize("line", [line for line in LINES if "`" not in line])
def test_every_command_shown_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    if words[0] not in COMMANDS:
        read_settings(words, {})
        return
    with pytest.raises(SystemExit):
        COMMANDS[words[0]](["--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--"))
