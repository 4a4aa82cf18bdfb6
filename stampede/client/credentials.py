"""What a user connects with: the result of its login."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from stampede.dialects.base import UpgradeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.dialects.base import Dialect
    from stampede.websocket.headers import Header
    from stampede.websocket.target import Target

_NOTHING: Final = UpgradeRequest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user adds to its upgrade request.

    Attributes:
        token: bearer token (RFC 6750), for the Authorization header.
        headers: further headers.
        cookies: values of the Cookie header by name.
        query: parameters that are added to the query of the address.
        values: for the placeholders of a dialect, beside the columns of the account.
    """

    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def apply(self, target: Target) -> Target:
        """Return the target of this user; its addresses are those of the given one."""
        headers: list[Header] = [*target.headers, *self.headers.items()]
        if self.token is not None:
            headers.append(("Authorization", f"Bearer {self.token}"))
        if self.cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        uri = target.uri
        if self.query:
            uri = replace(uri, query="&".join(filter(None, (uri.query, urlencode(self.query)))))
        return replace(target, headers=tuple(headers), uri=uri)


def of_account(account: Mapping[str, str], dialect: Dialect) -> Credentials:
    """Return what a user connects with that does not log in: the token of its account, unless the dialect sends it."""
    return Credentials(None if dialect.places_token else account.get("token") or None)


def for_dialect(target: Target, dialect: Dialect) -> Target:
    """Return the target with what all connections of a dialect have in common."""
    return replace(
        target,
        subprotocols=dialect.subprotocols,
        sends_binary=dialect.sends_binary,
        receives_binary=dialect.receives_binary,
    )


def with_request(target: Target, request: UpgradeRequest) -> Target:
    """Return the target with what a dialect needs in the upgrade request of a user."""
    if request == _NOTHING:
        return target
    uri = target.uri
    query = "&".join(filter(None, (uri.query, request.query)))
    uri = replace(uri, path=uri.path if request.path is None else request.path, query=query)
    return replace(target, headers=(*target.headers, *request.headers.items()), uri=uri)
