"""TLS as a filter over bytes, so that encrypted connections use the same code as plain ones."""

from __future__ import annotations

import os
import ssl

from stampede.websocket.errors import TargetError


class TlsSession:
    """The client side of one TLS session, without a socket.

    Attributes:
        established: whether the TLS handshake has succeeded.
    """

    __slots__ = ("_in", "_object", "_out", "established")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=server_name)
        self.established = False

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt received bytes and return them. The bytes to send in response are in `data_to_send`.

        Raises:
            ssl.SSLError: the handshake failed, or the stream was tampered with.
        """
        self._in.write(data)
        plain = []
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while piece := self._object.read(64 * 1024):
                plain.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # the end of the TLS stream is followed by that of the TCP stream
        return b"".join(plain)

    def data_to_send(self) -> bytes:
        """Return the bytes that the session itself must send."""
        return self._out.read()

    def encrypt(self, data: bytes) -> bytes:
        """Return `data` encrypted, ready for the socket."""
        self._object.write(data)
        return self._out.read()


def client_context(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """Return the TLS context of a client.

    Args:
        verify: whether to verify the server's certificate.
        ca_file: trusted certificates (PEM), in place of the system's.

    Raises:
        TargetError: the file of certificates is unusable.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise TargetError(f"--ca-file {ca_file}: no certificates in PEM") from None
    except OSError as error:
        raise TargetError(f"--ca-file {ca_file}: {os.strerror(error.errno or 0)}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
