"""The messages of the chat protocol as types that msgspec decodes and validates in one step.

Client messages form the tagged union `ClientMessage`. The types check the fields, except for sizes in bytes, which
`decode` checks.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from server.errors import ErrorCode, InvalidMessageError

MAX_TEXT_BYTES: Final = 16 * 1024
CHUNK_BYTES: Final = 64 * 1024
CHUNK_HEADER_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 6 * MAX_TEXT_BYTES + 1024
"""Size limit of a WebSocket message on a chat path: the longest text with every byte escaped as \\u00XX, and 1 KiB."""

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
Username = Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
RoomName = Annotated[str, Meta(min_length=1, max_length=128, pattern=_PRINTABLE)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_BYTES)]
FileSize = Annotated[int, Meta(ge=0)]


class Message(Struct, frozen=True, tag_field="type", gc=False):
    """Base of all messages; the tag is the `type` field."""


# --- client to server ---


class SetUsername(Message, frozen=True, tag="setUsername"):
    """Set the client's name; answered with `usernameSet`."""

    username: Username


class JoinRoom(Message, frozen=True, tag="joinRoom"):
    """Leave the current room and join another; answered with `roomJoined`."""

    room: RoomName


class LeaveRoom(Message, frozen=True, tag="leaveRoom"):
    """Leave the current room; answered with `roomLeft`."""


class SendChatMessage(Message, frozen=True, tag="chatMessage"):
    """Send a text to all other members of the room."""

    text: Text


class SendTyping(Message, frozen=True, tag="typing"):
    """Tell all other members of the room that the user is typing; ephemeral."""


class SendChat(Message, frozen=True, tag="chat"):
    """Send a text to every chat client, including the sender."""

    user: Text
    text: Text


class Ping(Message, frozen=True, tag="ping"):
    """Request a `pong`, which returns the timestamp byte for byte."""

    timestamp: Raw = Raw()


class UploadMessage(Message, frozen=True):
    """Base of the upload messages: one `isinstance` check distinguishes them from the others."""


class FileStart(UploadMessage, frozen=True, tag="fileStart"):
    """Start an upload; answered with `fileReady`."""

    name: Text
    size: FileSize
    mime_type: Annotated[str, Meta(max_length=255)] = msgspec.field(name="mimeType", default="application/octet-stream")


class FileEnd(UploadMessage, frozen=True, tag="fileEnd"):
    """Complete an upload; answered with `fileSaved`."""


class FileCancel(UploadMessage, frozen=True, tag="fileCancel"):
    """Cancel an upload."""


HubMessage = SetUsername | JoinRoom | LeaveRoom | SendChatMessage | SendTyping | SendChat | Ping
ClientMessage = HubMessage | FileStart | FileEnd | FileCancel

# --- server to client ---


class Connected(Message, frozen=True, tag="connected", rename="camel"):
    """Greet a client: the first message of every chat connection. Sizes in bytes, the interval in seconds."""

    client_id: str
    heartbeat_interval: float
    max_message_bytes: int
    max_upload_bytes: int


class UsernameSet(Message, frozen=True, tag="usernameSet"):
    """Confirm a name."""

    username: str


class UserJoined(Message, frozen=True, tag="userJoined", rename="camel"):
    """Tell a room, including the new member, who joined."""

    user: str | None
    room: str
    user_count: int


class RoomJoined(Message, frozen=True, tag="roomJoined", rename="camel"):
    """Confirm a join."""

    room: str
    user_count: int


class UserLeft(Message, frozen=True, tag="userLeft", rename="camel"):
    """Tell the remaining members who left."""

    user: str | None
    user_count: int
    room: str


class RoomPresence(Message, frozen=True, tag="roomPresence", rename="camel"):
    """Tell a large room how many joined and left since the last such message, in place of a message for each."""

    room: str
    user_count: int
    joined: int
    left: int


class RoomLeft(Message, frozen=True, tag="roomLeft"):
    """Confirm a leave."""

    room: str


class ChatMessage(Message, frozen=True, tag="chatMessage"):
    """Deliver a text to a room; the timestamp is the server's wall clock in milliseconds."""

    user: str | None
    text: str
    timestamp: int


class UserTyping(Message, frozen=True, tag="userTyping"):
    """Tell a room that a user is typing."""

    user: str | None


class Chat(Message, frozen=True, tag="chat"):
    """Deliver a text to every chat client."""

    user: str
    text: str


class Pong(Message, frozen=True, tag="pong", rename="camel", omit_defaults=True):
    """Answer a `ping`; serverTime is the wall clock in milliseconds."""

    server_time: int
    timestamp: Raw | UnsetType = UNSET


class FileReady(Message, frozen=True, tag="fileReady", rename="camel"):
    """Accept an upload; chunkSize in bytes, without the index of the chunk."""

    upload_id: str
    chunk_size: int


class FileProgress(Message, frozen=True, tag="fileProgress", rename="camel"):
    """Report how many bytes of an upload were received."""

    upload_id: str
    received: int
    size: int


class FileSaved(Message, frozen=True, tag="fileSaved", rename="camel"):
    """Confirm a stored file."""

    upload_id: str
    name: str
    size: int
    sha256: str


class FileShared(Message, frozen=True, tag="fileShared", rename="camel"):
    """Tell a room of a stored file; the upload's id is also its address, /files/<id>."""

    user: str | None
    name: str
    size: int
    mime_type: str
    upload_id: str


class Notification(Message, frozen=True, tag="notification", omit_defaults=True):
    """Report an event to a client of /ws/notifications."""

    event: Literal["roomOpened", "roomClosed", "fileShared", "draining"]
    room: str | None = None
    user: str | None = None
    name: str | None = None
    size: int | None = None


class RoomSize(Struct, frozen=True, rename="camel", gc=False):
    """The number of members of a room."""

    room: str
    user_count: int


class Load(Message, frozen=True, tag="load", rename="camel"):
    """Report the server's load once per second: rates and the maximum loop lag since the last report.

    Uptime and lag in seconds; heartbeat kills since the start; the largest rooms first.
    """

    uptime: float
    connections: int
    rooms: int
    messages_per_second: float
    deliveries_per_second: float
    heartbeat_kills: int
    loop_lag: float
    largest_rooms: tuple[RoomSize, ...]


class Error(Message, frozen=True, tag="error"):
    """Refuse a message; `about` is its type, if it has one."""

    message: str
    code: str
    about: str | None


ServerMessage = (
    Connected
    | UsernameSet
    | UserJoined
    | RoomJoined
    | UserLeft
    | RoomPresence
    | RoomLeft
    | ChatMessage
    | UserTyping
    | Chat
    | Pong
    | FileReady
    | FileProgress
    | FileSaved
    | FileShared
    | Notification
    | Load
    | Error
)


FILE_CHUNK: Final = "fileChunk"
"""Label under which binary chunks are counted; they have no `type`."""

TYPE_OF: Final[dict[type[Message], str]] = {
    message: str(message.__struct_config__.tag) for message in (*get_args(ClientMessage), *get_args(ServerMessage))
}
"""The `type` of each message class."""

CLIENT_TYPES: Final = tuple(TYPE_OF[message] for message in get_args(ClientMessage))
SERVER_TYPES: Final = tuple(TYPE_OF[message] for message in get_args(ServerMessage))

encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)


class _Envelope(Struct):
    type: Raw | UnsetType = UNSET


def decode(payload: bytes) -> ClientMessage:
    """Decode and validate one client message, which must be valid UTF-8.

    Raises:
        InvalidMessageError: it is not a JSON object, has no known type, or a field has the wrong type or size.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError):  # nesting may be as deep as a message is long
        raise _explain(payload) from None
    if len(payload) > MAX_TEXT_BYTES:
        _check_sizes(message)
    return message


def _check_sizes(message: ClientMessage) -> None:
    """Check the size limit of texts in UTF-8 bytes; msgspec counts characters."""
    for text in msgspec.structs.astuple(message):
        if isinstance(text, str) and len(text.encode()) > MAX_TEXT_BYTES:
            raise InvalidMessageError(ErrorCode.TOO_LARGE, TYPE_OF[type(message)])


def _explain(payload: bytes) -> InvalidMessageError:
    """Return why a payload was refused; slow, and called only for invalid messages."""
    try:
        envelope = msgspec.json.decode(payload, type=_Envelope)
    except msgspec.ValidationError:
        return InvalidMessageError(ErrorCode.NOT_AN_OBJECT)
    except (msgspec.DecodeError, RecursionError):
        return InvalidMessageError(ErrorCode.INVALID_JSON)
    if envelope.type is UNSET:
        return InvalidMessageError(ErrorCode.MISSING_TYPE)
    try:
        name = msgspec.json.decode(envelope.type, type=str)
    except msgspec.DecodeError:
        return InvalidMessageError(ErrorCode.UNKNOWN_TYPE)
    if name not in CLIENT_TYPES:
        return InvalidMessageError(ErrorCode.UNKNOWN_TYPE)
    return InvalidMessageError(ErrorCode.INVALID_FIELD, name)
