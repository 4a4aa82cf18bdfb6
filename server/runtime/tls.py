"""TLS from two files that may be replaced while the server runs."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from server.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


class TlsFiles:
    """A certificate chain and its key.

    Attributes:
        context: for the listening socket; what `reload` reads counts for every handshake after it.

    Raises:
        SettingsError: the files cannot be read, or do not belong together.
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
            SettingsError: they are no good; what was read before stays in force.
        """
        self._check()
        self.context.load_cert_chain(self._certificate, self._key)

    def _check(self) -> None:
        """Try the files on a context of their own: a failed load would leave the one in use half changed."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
        except ssl.SSLError as error:
            raise SettingsError(f"{self._certificate} and {self._key} are no usable pair: {error.reason}") from None
        except OSError as error:
            raise SettingsError(f"cannot read {self._certificate} or {self._key}: {error.strerror}") from None
