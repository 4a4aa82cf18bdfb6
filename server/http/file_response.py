"""The response to a request for a stored file: open the file in a thread, then send it as fast as the client reads."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from server.http.admission import RETRY_SECONDS
from server.http.files import no_file, stored_file
from server.http.response import ALLOW, HttpResponse, plain, serialize
from server.stats import FILES_PATH
from server.uploads.downloads import log_failure
from server.uploads.file_sender import FileSender, StalledError

if TYPE_CHECKING:
    from server.http.handshake import FileRequest
    from server.uploads.file_sender import Transport
    from server.uploads.stored_file import StoredFile
    from server.websocket.context import ServerContext


class FileResponse:
    """Respond to one request for a stored file.

    Args:
        request: the file, and the address that the limits count.
        method: GET, HEAD or OPTIONS.
        context: has the downloads, which open files and limit how many are in progress.
        transport: the connection to the client.

    Attributes:
        sender: receives `pause_writing`, `resume_writing` and `connection_lost` of the transport.
    """

    __slots__ = ("_downloads", "_method", "_request", "_run_in_thread", "_stats", "_transport", "sender")

    def __init__(self, request: FileRequest, method: str, context: ServerContext, transport: Transport) -> None:
        self._request = request
        self._method = method
        self._downloads = context.downloads
        self._stats = context.stats
        self._run_in_thread = context.run_in_thread
        self._transport = transport
        self.sender = FileSender(transport, context.run_in_thread)

    async def send(self) -> bool:
        """Send the response; return whether the client can get all of it, else the transport is to be aborted."""
        downloads, address = self._downloads, self._request.address
        if not downloads.admit(address):
            downloads.count("limit", 0)
            busy = plain(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many downloads are in progress; try again later",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
            return self._send_whole(busy)
        try:
            return await self._send_admitted()
        finally:
            downloads.release(address)

    async def _send_admitted(self) -> bool:
        downloads, file_id = self._downloads, self._request.file_id
        try:
            found = await downloads.open(file_id)
        except OSError as error:
            log_failure(file_id, error)
            downloads.count("failed", 0)
            return self._send_whole(plain(HTTPStatus.SERVICE_UNAVAILABLE, "The file cannot be read now"))
        if found is None:
            return self._send_whole(no_file(downloads.keep_seconds))
        file, seconds_left = found
        try:
            return await self._send_file(file, seconds_left)
        finally:
            await self._run_in_thread(file.close)

    async def _send_file(self, file: StoredFile, seconds_left: float) -> bool:
        response = stored_file(file.metadata.name, file.metadata.mime_type, seconds_left)
        if self._method == "OPTIONS":
            return self._send_whole(HttpResponse(HTTPStatus.NO_CONTENT, b"", headers={"Allow": ", ".join(ALLOW)}))
        head = serialize(response, head_only=True, length=file.size)
        self._count(response)
        if self._method == "HEAD":
            return self._write(head)
        try:
            outcome = "sent" if await self.sender.send(head, file) else "vanished"
        except StalledError:
            outcome = "stalled"
        except OSError as error:
            log_failure(self._request.file_id, error)
            outcome = "failed"
        self._downloads.count(outcome, self.sender.sent_bytes)
        return outcome == "sent"

    def _send_whole(self, response: HttpResponse) -> bool:
        self._count(response)
        return self._write(serialize(response, head_only=self._method == "HEAD"))

    def _write(self, data: bytes) -> bool:
        if self.sender.lost.is_set():
            return False
        self._transport.write(data)
        return True

    def _count(self, response: HttpResponse) -> None:
        self._stats.count_response(FILES_PATH, response.status)
