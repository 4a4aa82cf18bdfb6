"""Tables of the protocol of the bundled server, from its message types and its tables of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Raw

from docs.extension.markdown import code, table
from docs.extension.records import json_type
from server.errors import CloseReason, ErrorCode, TokenFault
from server.protocol.messages import TYPE_OF, ClientMessage, Message, ServerMessage

if TYPE_CHECKING:
    from collections.abc import Iterable


def client_messages() -> str:
    """Return the messages that clients send."""
    return _messages(get_args(ClientMessage))


def server_messages() -> str:
    """Return the messages that the server sends."""
    return _messages(get_args(ServerMessage))


def errors() -> str:
    """Return the codes of `error` messages."""
    return table(("code", "message"), ((code(one.code), one.message) for one in ErrorCode))


def token_faults() -> str:
    """Return the reasons for which a token is refused."""
    return table(("code", "message"), ((code(one.code), one.message) for one in TokenFault))


def close_codes() -> str:
    """Return how connections end."""
    return table(
        ("code", "reason", "may reconnect", "meaning"),
        (
            (code(one.code), code(one.label), "yes" if one.value.may_reconnect else "no", one.value.meaning)
            for one in CloseReason
        ),
    )


def _messages(kinds: Iterable[type[Message]]) -> str:
    return table(
        ("type", "fields", "meaning"),
        ((code(TYPE_OF[kind]), _fields(kind), (kind.__doc__ or "").partition("\n\n")[0]) for kind in kinds),
    )


def _fields(kind: type[Message]) -> str:
    return "; ".join(
        f"{code(field.encode_name)} {'' if field.required else '(optional) '}{_type(field.type)}"
        for field in msgspec.structs.fields(kind)
    )


def _type(kind: Any) -> str:
    """Return the type of a field with its limits."""
    if kind is Raw or Raw in get_args(kind):
        return "any JSON"
    if get_origin(kind) is not Annotated:
        return "list of rooms" if get_origin(kind) is tuple else json_type(kind)
    inner, meta = get_args(kind)
    limits = [f"{meta.min_length} to" if meta.min_length else "", f"{meta.max_length}" if meta.max_length else ""]
    bounds = " ".join(filter(None, limits))
    return f"{json_type(inner)}{f' of {bounds} characters' if bounds else ''}"
