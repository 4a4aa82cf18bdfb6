"""What tests of uploads have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients import ChatClient

CHUNK = 65536


def chunks_of(data: bytes) -> list[bytes]:
    return [index.to_bytes(4) + data[start : start + CHUNK] for index, start in enumerate(range(0, len(data), CHUNK))]


def answer(client: ChatClient) -> dict[str, Any]:
    """Return the next message that is not a progress report."""
    while (message := client.receive())["type"] == "fileProgress":
        assert message["received"] <= message["size"]
    return message


def upload(client: ChatClient, name: str, data: bytes, order: list[bytes] | None = None) -> dict[str, Any]:
    client.send("fileStart", name=name, size=len(data), mimeType="text/x-test")
    ready = answer(client)
    assert ready["type"] == "fileReady", ready
    assert ready["chunkSize"] == CHUNK
    for chunk in chunks_of(data) if order is None else order:
        client.send_raw(chunk)
    client.send("fileEnd")
    return answer(client)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
