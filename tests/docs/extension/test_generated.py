"""The generated parts of the reference list what the code has."""

from __future__ import annotations

import re

import msgspec
import pytest

from capacity.config.drill_settings import DRILL_OPTIONS
from capacity.config.options import flag
from capacity.config.settings import RUN_OPTIONS
from capacity.errors import MEANINGS, ExitCode
from capacity.record.report import RunReport
from capacity.record.step import StepRecord
from docs.extension.docstrings import prepare_docstring
from docs.extension.generated import GENERATED, insert_generated
from docs.extension.records import json_type, meanings, structures
from metrics.catalog import CATALOG
from server.errors import CloseReason, ErrorCode
from server.protocol.messages import CLIENT_TYPES, SERVER_TYPES
from server.settings import table as server_table
from stampede.locust.options import OPTIONS
from stampede.verdict.summary import EXIT_CODES
from stampede.workload.shapes import DESCRIPTIONS
from tests.metrics.rules import PROFILES, alerts
from tests.tables import ROOT

PAGES = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
EXPECTED = {
    "options of the capacity run": [flag(name) for name in RUN_OPTIONS],
    "options of the drill": [flag(name) for name in DRILL_OPTIONS],
    "options of the load test": [f"--{option.name}" for option in OPTIONS],
    "options of the server": [row.flag for row in server_table()],
    "load shapes": [shape.value for shape in DESCRIPTIONS],
    "exit codes of the capacity run": [str(code.value) for code in ExitCode],
    "exit codes of the load test": [str(code) for code in EXIT_CODES],
    "messages of clients": list(CLIENT_TYPES),
    "messages of the server": list(SERVER_TYPES),
    "errors": [error.code for error in ErrorCode],
    "close codes": [str(reason.code) for reason in CloseReason],
}


def first_cells(text: str) -> list[str]:
    return list(re.findall(r"^\| `([^`|]+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_table_has_a_row_for_each_item_of_the_code(name: str) -> None:
    assert first_cells(GENERATED[name]()) == EXPECTED[name]


def test_an_option_has_its_default_and_its_help() -> None:
    rows = GENERATED["options of the server"]().splitlines()
    assert [row.split(" | ")[1].strip("`") for row in rows[2:]] == [row.default for row in server_table()]
    text = GENERATED["options of the capacity run"]().replace("\\", "")
    assert [one.help for one in RUN_OPTIONS.values() if one.help not in text] == []
    assert "with `--thorough`: `30`" in text
    assert all(option.help in GENERATED["options of the load test"]().replace("\\", "") for option in OPTIONS)


def test_the_metrics_are_those_of_the_catalog() -> None:
    parts = [text() for name, text in GENERATED.items() if name.startswith("metrics")]
    assert sorted(first_cells("\n".join(parts))) == sorted(CATALOG)


def test_the_alerts_are_those_of_the_rules() -> None:
    listed = first_cells(GENERATED["alerts"]())
    assert sorted(listed) == sorted(rule.name for profile in PROFILES for rule in alerts(profile))


def test_the_user_classes_have_their_weights() -> None:
    text = GENERATED["user classes"]()
    assert first_cells(text) == ["ChattingUser", "TypingUser", "ListeningUser", "ReconnectStormUser", "FileUploadUser"]
    assert "| `ChattingUser` | 10 | Sends" in text


@pytest.mark.parametrize("name", GENERATED)
def test_each_generated_part_is_on_a_page(name: str) -> None:
    assert f"```{{generated}} {name}\n```" in PAGES


def test_a_part_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\{generated\} options of the moon: unknown; known are options of"):
        insert_generated("```{generated} options of the moon\n```\n")


def test_each_exit_code_has_a_meaning() -> None:
    assert list(MEANINGS) == list(ExitCode)


def test_the_fields_of_the_report_have_their_types_and_meanings() -> None:
    text = GENERATED["fields of report.json"]()
    for kind in (RunReport, StepRecord):
        for field in msgspec.structs.fields(kind):
            assert f"| `{field.encode_name}` | " in text
    assert "| `server_cpu` | number or null | cores used by all server processes" in text
    assert "| `verdict` | `pass` or `fail` or `invalid` |" in text
    assert "| `steps` | list of [StepRecord](#steprecord) |" in text


def test_each_field_of_the_report_has_a_meaning() -> None:
    lines = GENERATED["fields of report.json"]().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    assert len(rows) > 200
    assert [row[0] for row in rows if len(row) < 3 or not row[2].strip()] == []


def test_each_meaning_in_a_docstring_is_of_a_field() -> None:
    for kind in structures(RunReport):
        assert set(meanings(kind)[1]) <= {field.name for field in msgspec.structs.fields(kind)}, kind


def test_types_are_named_as_json_has_them() -> None:
    assert json_type(dict[str, float | None]) == "object: number or null by name"
    assert json_type(list[list[int]]) == "list of list of number"
    assert json_type(bool) == "true or false"


def test_the_attributes_of_a_docstring_are_the_meanings_of_fields() -> None:
    description, known = meanings(RunReport)
    assert description == "All of `report.json`."
    assert known["profile"] == "where the server's CPU time goes; None without `--profile`."


def test_docstrings_become_restructuredtext() -> None:
    lines = ["Send `text`.", "", "    client.say()", "", "Args:", "    text: such as `a`.", ""]
    prepare_docstring(None, "", "", None, None, lines)  # type: ignore[arg-type] # the application is not used
    assert lines[:5] == ["Send ``text``.", "", ".. code-block:: python", "", "    client.say()"]
    assert lines[5:] == ["", "Args:", "    text: such as ``a``.", ""]
