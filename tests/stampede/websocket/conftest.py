"""Scripted servers for tests of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.stampede.websocket.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    made: list[ScriptedServer] = []

    def start(*answers: bytes, **how: Any) -> ScriptedServer:
        made.append(ScriptedServer(*answers, **how))
        return made[-1]

    yield start
    for server in made:
        server.close()
