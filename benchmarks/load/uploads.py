"""Clients that upload files of one chunk, each as soon as the server has confirmed the previous one."""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode

from benchmarks.load.dialects import PLAIN, MessageEncoder
from benchmarks.load.wire import FrameReader, upgrade

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

FILE_BYTES: Final = 64 * 1024
"""One full chunk."""

_TIMEOUT_SECONDS: Final = 20


class UploadLoad:
    """Uploads files from several threads, each with its own connection."""

    def __init__(self, url: str, clients: int) -> None:
        self._host, _, port = url.removeprefix("ws://").rpartition(":")
        self._port = int(port)
        self._saved = [0] * clients
        self._problems: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._upload, args=(number,)) for number in range(clients)]

    def run(self, warm_up: float, seconds: float, mark: Callable[[], None]) -> tuple[int, float]:
        """Upload for a warm-up and a window; return the files confirmed in the window, and its length in seconds.

        Raises:
            OSError: the server closed a connection, or refused a file.
        """
        for thread in self._threads:
            thread.start()
        try:
            time.sleep(warm_up)
            mark()
            saved, start = sum(self._saved), time.perf_counter()
            time.sleep(seconds)
            mark()
            saved, elapsed = sum(self._saved) - saved, time.perf_counter() - start
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if self._problems:
            raise OSError(self._problems[0])
        return saved, elapsed

    def _upload(self, number: int) -> None:
        encoder = MessageEncoder(PLAIN, pings=False)
        chunk = Frame(Opcode.BINARY, struct.pack("!I", 0) + os.urandom(FILE_BYTES)).serialize(mask=True)
        start = encoder.frame(type="fileStart", name="file.bin", size=FILE_BYTES, mimeType="application/octet-stream")
        file = start + chunk + encoder.frame(type="fileEnd")
        try:
            sock, early = upgrade(self._host, self._port)
            with sock:
                sock.settimeout(_TIMEOUT_SECONDS)
                reader = FrameReader(early)
                while not self._stop.is_set():
                    sock.sendall(file)
                    self._await_saved(reader, sock)
                    self._saved[number] += 1
        except OSError as problem:
            self._problems.append(f"an upload failed: {problem}")

    @staticmethod
    def _await_saved(reader: FrameReader, sock: socket.socket) -> None:
        while True:
            for _, _, payload in reader.read(sock):
                if b'"type":"error"' in payload:
                    raise OSError(payload.decode())
                if b'"type":"fileSaved"' in payload:
                    return
