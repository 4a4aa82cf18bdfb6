"""Authenticate clients by a JSON Web Token (RFC 7519) in the Authorization header or in `?token=`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import jwt
from jwt import PyJWKSet
from jwt.exceptions import InvalidSubjectError

from server.errors import SettingsError, TokenError, TokenFault
from server.protocol.names import name_error

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.http11 import Request

    from server.http.upgrade import UpgradeRequest

_MAX_NAME_LENGTH: Final = 64
_MIN_SECRET_BYTES: Final = 32  # RFC 7518, section 3.2, for HS256

_FAULTS: Final[tuple[tuple[type[Exception], TokenFault], ...]] = (
    (jwt.ExpiredSignatureError, TokenFault.EXPIRED),
    (jwt.ImmatureSignatureError, TokenFault.EARLY),
    (jwt.InvalidAudienceError, TokenFault.AUDIENCE),
    (jwt.InvalidIssuerError, TokenFault.ISSUER),
    (InvalidSubjectError, TokenFault.NAME),
)
_CLAIMS: Final = {"aud": TokenFault.AUDIENCE, "iss": TokenFault.ISSUER, "sub": TokenFault.NAME}


@dataclass(frozen=True, slots=True)
class VerificationKeys:
    """The keys that verify signatures: one secret, or public keys by their id."""

    secret: bytes | None = None
    public: dict[str | None, Any] = field(default_factory=dict)


class Authenticator:
    """Verify tokens with one secret (HS256) or with a set of public keys (RS256).

    Args:
        file: a text file with the secret, or a JWKS in JSON (RFC 7517).
        audiences: accepted audiences; empty: only tokens without an audience (RFC 7519, section 4.1.3).
        issuers: accepted issuers; empty: any issuer with the key.
        leeway: seconds by which the clocks of server and issuer may differ.

    Raises:
        SettingsError: the file cannot be read, the secret is too short, or the set has no RSA key.
    """

    def __init__(
        self, file: Path, audiences: tuple[str, ...] = (), issuers: tuple[str, ...] = (), leeway: float = 0.0
    ) -> None:
        self._file = file
        self._audiences = list(audiences) or None
        self._issuers = list(issuers) or None
        self._leeway = leeway
        self._keys = _read(file)

    def reload(self) -> None:
        """Read the file again.

        Raises:
            SettingsError: the file is unusable; the keys read before stay in force.
        """
        self._keys = _read(self._file)

    def username(self, request: Request | UpgradeRequest) -> str:
        """Return the `sub` of a request's token.

        Raises:
            TokenError: there is no token, it is not valid, or its `sub` is not a valid username.
        """
        token = _token(request)
        if token is None:
            raise TokenError(TokenFault.MISSING)
        try:
            name = self._claims(token)["sub"]
        except jwt.MissingRequiredClaimError as error:
            raise TokenError(_CLAIMS.get(error.claim, TokenFault.INVALID)) from None
        except jwt.PyJWTError as error:
            fault = next((fault for kind, fault in _FAULTS if isinstance(error, kind)), TokenFault.INVALID)
            raise TokenError(fault) from None
        except (
            ValueError,
            TypeError,
            OverflowError,
            RecursionError,
        ):  # unexpected JSON
            raise TokenError(TokenFault.INVALID) from None
        if not (1 <= len(name) <= _MAX_NAME_LENGTH and name_error(name) is None):
            raise TokenError(TokenFault.NAME)
        return str(name)

    def _claims(self, token: str) -> dict[str, Any]:
        secret = self._keys.secret
        return jwt.decode(
            token,
            _key_for(token, self._keys) if secret is None else secret,
            algorithms=["RS256" if secret is None else "HS256"],
            audience=self._audiences,
            issuer=self._issuers,
            leeway=self._leeway,
            options={"require": ["sub"]},
        )


def _read(file: Path) -> VerificationKeys:
    try:
        content = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None
    if content.startswith(b"{"):
        try:
            keys = PyJWKSet.from_dict(json.loads(content)).keys
        except (ValueError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
            raise SettingsError(f"{file} is not a JSON Web Key Set: {error}") from None
        public = {key.key_id: key.key for key in keys if key.key_type == "RSA"}
        if not public:
            raise SettingsError(f"{file} has no RSA key")
        return VerificationKeys(public=public)
    if len(content) < _MIN_SECRET_BYTES:
        raise SettingsError(f"the secret in {file} is shorter than {_MIN_SECRET_BYTES} bytes: use a longer one")
    return VerificationKeys(secret=content)


def _key_for(token: str, keys: VerificationKeys) -> Any:
    key = keys.public.get(jwt.get_unverified_header(token).get("kid"))
    if key is None and len(keys.public) == 1:
        [key] = keys.public.values()
    if key is None:
        raise jwt.InvalidKeyError("unknown key id")
    return key


def _token(request: Request | UpgradeRequest) -> str | None:
    for value in request.headers.get_all("Authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    tokens = parse_qs(request.path.partition("?")[2]).get("token", [])
    return tokens[0] if len(tokens) == 1 else None
