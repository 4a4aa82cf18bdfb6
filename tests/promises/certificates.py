"""A certificate authority for tests."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """Writes certificates and keys to two files.

    Attributes:
        trust: TLS context of a client that trusts them.
        trust_of_threads: the same for clients that read in one thread and write in another, such as the synchronous
            client of websockets.
        trusted: file of the authority's own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        self.trusted = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.trusted))
        self.trust, self.trust_of_threads = ssl.create_default_context(), ssl.create_default_context()
        for context in (self.trust, self.trust_of_threads):
            self._authority.configure_trust(context)
        # OpenSSL allows no concurrent calls for one connection: a write is lost while a read handles the session
        # tickets of TLS 1.3.
        self.trust_of_threads.maximum_version = ssl.TLSVersion.TLSv1_2
        self.issue()

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def issue(self) -> None:
        """Replace both files."""
        issued = self._authority.issue_cert("127.0.0.1")
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))
