"""Who a client is, proven by a JSON Web Token (RFC 7519) in the Authorization header or in `?token=`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import jwt
from jwt import PyJWKSet

from server.errors import SettingsError
from server.names import objection

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.http11 import Request

_LONGEST_NAME: Final = 64
_SHORTEST_SECRET: Final = 32  # bytes; RFC 7518, section 3.2, for HS256


class Identity:
    """Check tokens against one secret (HS256) or against a set of public keys (RS256).

    Args:
        file: a text file with the secret, or a JWKS in JSON (RFC 7517).

    Raises:
        SettingsError: the file cannot be read, the secret is too short, or the set has no RSA key.
    """

    def __init__(self, file: Path) -> None:
        try:
            content = file.read_bytes().strip()
        except OSError as error:
            raise SettingsError(f"cannot read {file}: {error.strerror}") from None
        self._secret: bytes | None = None
        self._keys: dict[str | None, Any] = {}
        if content.startswith(b"{"):
            try:
                keys = PyJWKSet.from_dict(json.loads(content)).keys
            except (ValueError, jwt.PyJWTError) as error:
                raise SettingsError(f"{file} is no set of keys: {error}") from None
            self._keys = {key.key_id: key.key for key in keys if key.key_type == "RSA"}
            if not self._keys:
                raise SettingsError(f"{file} has no RSA key")
        elif len(content) < _SHORTEST_SECRET:
            raise SettingsError(f"the secret in {file} is shorter than {_SHORTEST_SECRET} bytes")
        else:
            self._secret = content

    def username(self, request: Request) -> str | None:
        """Return the `sub` of a request's valid token; None without one, or when it is no username."""
        token = _token(request)
        if token is None:
            return None
        try:
            if self._secret is not None:
                claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["sub"]})
            else:
                key = self._key_for(token)
                claims = jwt.decode(token, key, algorithms=["RS256"], options={"require": ["sub"]})
        except jwt.PyJWTError:
            return None
        name = claims["sub"]
        usable = 1 <= len(name) <= _LONGEST_NAME and objection(name) is None
        return str(name) if usable else None

    def _key_for(self, token: str) -> Any:
        key = self._keys.get(jwt.get_unverified_header(token).get("kid"))
        if key is None and len(self._keys) == 1:
            [key] = self._keys.values()
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        return key


def _token(request: Request) -> str | None:
    for value in request.headers.get_all("Authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    tokens = parse_qs(urlsplit(request.path).query).get("token", [])
    return tokens[0] if len(tokens) == 1 else None
