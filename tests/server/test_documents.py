"""The tables of the documents match the code of the server."""

from __future__ import annotations

import msgspec
import pytest

from server.errors import CloseReason, ErrorCode, TokenFault
from server.protocol import messages as wire
from server.websocket.routes import ROUTES
from tests.tables import ROOT, rows

DOCUMENT = "server/README.md"


def test_the_readme_lists_the_upgrade_paths() -> None:
    assert [path for path, _ in rows(DOCUMENT, "## Upgrade paths")] == list(ROUTES)


@pytest.mark.parametrize("heading", ["## Client to server", "## Server to client"])
def test_the_readme_lists_the_message_types_and_their_fields(heading: str) -> None:
    types = wire.CLIENT_TYPES if heading.startswith("## Client") else wire.SERVER_TYPES
    by_type = {wire.TYPE_OF[t]: t for t in wire.TYPE_OF if wire.TYPE_OF[t] in types and _goes(t, heading)}
    documented = {row[0]: {_field(cell) for cell in row[1].split(",") if cell} for row in rows(DOCUMENT, heading)}
    documented.pop("binary", None)
    assert documented == {
        name: {field.encode_name for field in msgspec.structs.fields(message)} for name, message in by_type.items()
    }


def _goes(message: type[wire.Message], heading: str) -> bool:
    members = wire.ClientMessage if heading.startswith("## Client") else wire.ServerMessage
    return message in members.__args__


def _field(cell: str) -> str:
    return cell.replace("+", "").replace("`", "").split("(")[0].strip()


def test_the_readme_lists_the_errors() -> None:
    assert [(code, text) for code, text in rows(DOCUMENT, "## Errors")] == [(e.code, e.message) for e in ErrorCode]


def test_the_readme_lists_the_refused_tokens() -> None:
    assert [(code, text) for code, text in rows(DOCUMENT, "## Tokens")] == [(f.code, f.message) for f in TokenFault]


def test_the_readme_lists_the_close_reasons() -> None:
    assert rows(DOCUMENT, "## How connections end") == [
        [reason.label, str(reason.code), "yes" if reason.value.may_reconnect else "no", reason.value.meaning]
        for reason in CloseReason
    ]


def test_no_document_names_a_path_outside_the_repository() -> None:
    for document in ("README.md", DOCUMENT, "CHANGELOG.md"):
        assert "/home/" not in (ROOT / document).read_text()
