"""TLS as a filter over bytes, so that encrypted connections use the same engine as plain ones."""

from __future__ import annotations

import ssl


class Tls:
    """The client's side of one TLS session, without a socket."""

    __slots__ = ("_in", "_object", "_out", "open")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=server_name)
        self.open = False

    def feed(self, data: bytes) -> bytes:
        """Take received bytes and return what they decrypt to; the handshake's answers wait in `outgoing`.

        Raises:
            ssl.SSLError: the handshake failed, or the stream was tampered with.
        """
        self._in.write(data)
        plain = []
        try:
            if not self.open:
                self._object.do_handshake()
                self.open = True
            while piece := self._object.read(64 * 1024):
                plain.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # after a goodbye of TLS, that of TCP follows
        return b"".join(plain)

    def outgoing(self) -> bytes:
        """Return what must go onto the wire."""
        return self._out.read()

    def encrypt(self, data: bytes) -> bytes:
        """Return `data` as it goes onto the wire."""
        self._object.write(data)
        return self._out.read()
