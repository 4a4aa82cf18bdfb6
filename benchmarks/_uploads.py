"""Clients that upload files of one chunk, one after the other, as fast as the server confirms that they are stored."""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode

from benchmarks._talk import PLAIN, Talk
from benchmarks._wire import FrameReader, upgrade

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

FILE_BYTES: Final = 64 * 1024
"""One full chunk."""

_PATIENCE_SECONDS: Final = 20


class Uploaders:
    """Threads with a connection each; the server's answer to one file is their sign to send the next."""

    def __init__(self, url: str, clients: int) -> None:
        self._host, _, port = url.removeprefix("ws://").rpartition(":")
        self._port = int(port)
        self._saved = [0] * clients
        self._problems: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._upload, args=(number,)) for number in range(clients)]

    def run(self, warm_up: float, seconds: float, mark: Callable[[], None]) -> tuple[int, float]:
        """Upload for both times; return the files that were confirmed in the second, and its true length in seconds.

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
            self._over.set()
            for thread in self._threads:
                thread.join()
        if self._problems:
            raise OSError(self._problems[0])
        return saved, elapsed

    def _upload(self, number: int) -> None:
        talk = Talk(PLAIN, pings=False)
        chunk = Frame(Opcode.BINARY, struct.pack("!I", 0) + os.urandom(FILE_BYTES)).serialize(mask=True)
        start = talk.frame(type="fileStart", name="file.bin", size=FILE_BYTES, mimeType="application/octet-stream")
        file = start + chunk + talk.frame(type="fileEnd")
        try:
            sock, early = upgrade(self._host, self._port)
            with sock:
                sock.settimeout(_PATIENCE_SECONDS)
                reader = FrameReader(early)
                while not self._over.is_set():
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
