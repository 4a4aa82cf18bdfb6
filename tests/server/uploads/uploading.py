"""Helpers of the upload tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.protocol.messages import FileStart
from server.uploads.storage import PartialFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients import ChatClient

CHUNK = 65536
FILE_ID = "0123456789abcdef" * 2


def chunks_of(data: bytes) -> list[bytes]:
    """Return the binary messages for the chunks of a file."""
    return [index.to_bytes(4) + data[start : start + CHUNK] for index, start in enumerate(range(0, len(data), CHUNK))]


def answer(client: ChatClient) -> dict[str, Any]:
    """Return the next message other than `fileProgress`."""
    while (message := client.receive())["type"] == "fileProgress":
        assert message["received"] <= message["size"]
    return message


def upload(
    client: ChatClient,
    name: str,
    data: bytes,
    order: list[bytes] | None = None,
    *,
    mime_type: str = "text/x-test",
) -> dict[str, Any]:
    """Upload a file, with its chunks in a given order, and return the answer to `fileEnd`."""
    client.send("fileStart", name=name, size=len(data), mimeType=mime_type)
    ready = answer(client)
    assert ready["type"] == "fileReady", ready
    assert ready["chunkSize"] == CHUNK
    for chunk in chunks_of(data) if order is None else order:
        client.send_raw(chunk)
    client.send("fileEnd")
    return answer(client)


def store(folder: Path, data: bytes, name: str = "n", mime_type: str = "text/plain") -> None:
    """Store a file as FILE_ID, without a server."""
    file = PartialFile(folder / FILE_ID, FileStart(name=name, size=len(data), mime_type=mime_type))
    file.open()
    for index, start in enumerate(range(0, len(data), CHUNK)):
        file.write(index, memoryview(data)[start : start + CHUNK])
    file.finish()


def files(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
