"""Malformed input: random mutations of the data of real clients, repeatable by a seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.promises.raw_clients import frame, head, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CHUNK: Final = 65536

HEADS: Final = (
    head("/ws/chat"),
    head("/chat", Origin="https://chat.example", Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
    head("/ws/chat?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln", Authorization="Bearer eyJh.eyJz.c2ln"),
    head("/ws/echo", X_Forwarded_For="10.0.0.1, 2001:db8::1", Sec_WebSocket_Protocol="chat, superchat"),
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\nCookie: a=b\r\n\r\n",
    (
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text; version=1.0.0\r\n"
        b"Accept-Encoding: gzip\r\n\r\n"
    ),
    b"GET /health HTTP/1.0\r\n\r\n",
    b"GET /api/status HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
)

MESSAGES: Final = tuple(
    json.dumps(fields, ensure_ascii=False).encode()
    for fields in (
        {"type": "setUsername", "username": "Zoë"},
        {"type": "joinRoom", "room": "the room"},
        {"type": "joinRoom", "room": "another"},
        {"type": "leaveRoom"},
        {"type": "chatMessage", "text": "grüß dich \U0001f40e " * 4},
        {"type": "typing"},
        {"type": "chat", "user": "ann", "text": "to all"},
        {"type": "ping", "timestamp": 1234567890.125},
        {"type": "ping", "timestamp": {"a": [1, 2, {"b": None}]}},
        {"type": "fileStart", "name": "a.txt", "size": 100, "mimeType": "text/plain"},
        {"type": "fileEnd"},
        {"type": "fileCancel"},
    )
)

FRAMES: Final = (
    *(frame(text) for text in MESSAGES),
    frame(MESSAGES[4][:20], 0x01) + frame(b"ping", 0x89) + frame(MESSAGES[4][20:], 0x80),
    frame(b"\0\0\0\0" + b"x" * 100, 0x82),
    frame(b"\0\0\0\0" + b"x" * 30, 0x02) + frame(b"", 0x00) + frame(b"x" * 70, 0x80),
    frame(b"", 0x89),
    frame(b"stampede", 0x8A),
    frame(b"\x03\xe8bye", 0x88),
    frame(b"", 0x88),
    frame(b"y" * 300),
    frame(b"z" * 70_000, 0x82),
)

_INTERESTING: Final = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\r\n",
    b"\r",
    b"\n",
    b":",
    b" ",
)
_JSON_BITS: Final = (
    b"null", b"[]", b"{}", b"\\u0000", b"\\ud800", b"1e999", b"-0", b"NaN", b"9" * 400, b"[" * 2000,
    b'{"a":' * 500, b'"', b'"type":"ping",', b",", b":", b"\\", b"true", b"\xc3", b'"type":1,', b'"size":-1,',
    b'"size":1e3,', b"\xef\xbb\xbf",
)  # fmt: skip


def mutate(rng: Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
    """Mutate bytes in one to four places, or insert parts of the other inputs in `pool`."""
    for _ in range(rng.randint(1, 4)):
        a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        b = min(b, a + 64)
        match rng.randrange(9):
            case 0 if data:  # flip a bit
                at = rng.randrange(len(data))
                data = data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
            case 1:  # set a byte near the start, where headers are
                at = rng.randrange(min(len(data), 16) + 1)
                data = data[:at] + rng.randbytes(1) + data[at + 1 :]
            case 2:  # delete a part
                data = data[:a] + data[b:]
            case 3:  # repeat a part
                data = data[:b] + data[a:b] * rng.randint(1, 3) + data[b:]
            case 4:
                data = data[:a] + rng.randbytes(rng.randint(1, 8)) + data[a:]
            case 5:
                data = data[:a] + rng.choice(_INTERESTING) + data[b:]
            case 6:  # continue with another input
                data = data[:a] + rng.choice(pool)
            case 7:
                data = data[:a]
            case _:  # swap two parts
                c = min(len(data), b + 8)
                data = data[:a] + data[b:c] + data[a:b] + data[c:]
    return data


def bad_head(rng: Random) -> bytes:
    """Return a malformed request."""
    request = rng.choice(HEADS)
    if rng.random() < 0.5:  # keep the lines intact, so that the request passes the first checks of the parser
        lines = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
        at = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                lines.append(lines[at])
            case 1:
                lines[at] = mutate(rng, lines[at], tuple(lines)).replace(b"\n", b"")
            case 2:
                name, _, _ = lines[at].partition(b": ")
                lines[at] = name + b": " + rng.randbytes(rng.randint(0, 24)).translate(None, b"\r\n\0")
            case _:
                del lines[at]
        return b"\r\n".join(lines) + b"\r\n\r\n"
    return mutate(rng, request, HEADS)


def bad_json(rng: Random) -> bytes:
    """Return the payload of a malformed text message."""
    text = rng.choice(MESSAGES)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(_JSON_BITS) + text[at + rng.randrange(6) :]
    return text if rng.random() < 0.7 else mutate(rng, text, MESSAGES)


def bad_frames(rng: Random) -> bytes:
    """Return some frames; one of them is malformed."""
    frames = [rng.choice(FRAMES) for _ in range(rng.randint(1, 5))]
    at = rng.randrange(len(frames))
    frames[at] = mutate(rng, frames[at], FRAMES)
    return b"".join(frames)


def bad_fragments(rng: Random) -> bytes:
    """Return fragments and control frames in random order."""
    pieces = []
    for _ in range(rng.randint(2, 8)):
        opcode = rng.choice((0x0, 0x0, 0x0, 0x1, 0x2, 0x8, 0x9, 0xA, 0x3, 0xB))
        first = opcode | rng.choice((0, 0, 0x80)) | (rng.choice((0, 0, 0, 0, 0, 0x40, 0x20, 0x10)))
        body = rng.choice(
            (b"", b"a", "Zoë".encode()[:3], b"\xbf", b"\x03\xe8", b"\x03\xec", rng.choice(MESSAGES), b"x" * 126)
        )
        pieces.append(frame(body, first))
    return b"".join(pieces)


def bad_chunks(rng: Random) -> bytes:
    """Return an upload with chunks in random order, repeated, missing, out of range or of a wrong length."""
    size = rng.choice((0, 1, 100, CHUNK, CHUNK + 1, 2 * CHUNK + 5))
    count = -(-size // CHUNK)
    indices = [rng.randrange(count + 2) for _ in range(rng.randint(0, count + 1))]
    if rng.random() < 0.5:
        indices = rng.sample(range(count), count)
    steps = [message("fileStart", name="n", size=size, mimeType="a/b")]
    for index in indices:
        right = max(0, min(CHUNK, size - index * CHUNK))
        data = b"x" * (right if rng.random() < 0.8 else rng.choice((0, 1, right + 1, max(0, right - 1))))
        steps.append(frame(index.to_bytes(4) + data, 0x82))
    if rng.random() < 0.1:
        steps.append(frame(rng.randbytes(rng.randrange(4)), 0x82))
    steps.append(rng.choice((message("fileEnd"), message("fileEnd"), message("fileCancel"), b"")))
    if rng.random() < 0.3:
        rng.shuffle(steps)
    return b"".join(steps)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of malformed input; `is_head`: it is sent in place of an upgrade request."""

    name: str
    make: Callable[[Random], bytes]
    is_head: bool = False


def _framed_json(rng: Random) -> bytes:
    return frame(bad_json(rng))


KINDS: Final = (
    Kind("heads", bad_head, is_head=True),
    Kind("frames", bad_frames),
    Kind("fragments", bad_fragments),
    Kind("JSON", _framed_json),
    Kind("chunk orders", bad_chunks),
)
