"""TLS certificate and key files that can be reloaded while the server runs."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from server.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


class TlsFiles:
    """A certificate chain and its private key.

    Attributes:
        context: for the listening sockets; `reload` changes it for all later handshakes.

    Raises:
        SettingsError: the files cannot be read, or the key does not belong to the certificate.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._check()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificate, key)

    def reload(self) -> None:
        """Read the files again.

        Raises:
            SettingsError: the files are not usable; the previous certificate stays in use.
        """
        self._check()
        self.context.load_cert_chain(self._certificate, self._key)

    def _check(self) -> None:
        """Load the files into a new context first: a failed load could leave the one in use half changed."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
        except ssl.SSLError as error:
            raise SettingsError(f"{self._certificate} and {self._key} are not a usable pair: {error.reason}") from None
        except OSError as error:
            raise SettingsError(f"cannot read {self._certificate} or {self._key}: {error.strerror}") from None
