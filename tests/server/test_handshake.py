"""Who may upgrade: origins, addresses, tokens; a refusal says why, when to come back, and is counted."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.clients import ChatClient, handshake, held
from tests.processes import run_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer

SECRET = "a secret of at least thirty-two bytes"


def test_origins_are_allowed_exactly_or_by_pattern(start: Callable[..., RunningServer]) -> None:
    server = start("--allowed-origin", "https://chat.example", "--allowed-origin", "https://*.team.example")
    allowed = ["https://chat.example", "HTTPS://Chat.Example", "https://a.team.example", "https://a.b.team.example"]
    refused = [
        "https://chat.example.evil",
        "http://chat.example",
        "https://team.example",
        "null",
        "https://evilteam.example",
    ]
    assert {origin: handshake(server.url, Origin=origin).status for origin in [*allowed, *refused]} == {
        **dict.fromkeys(allowed, 101),
        **dict.fromkeys(refused, 403),
    }
    assert handshake(server.url).status == 101
    assert server.samples()['chat_handshakes_rejected_total{reason="origin"}'] == len(refused)


def test_clients_without_an_origin_may_be_refused(start: Callable[..., RunningServer]) -> None:
    server = start("--allowed-origin", "https://chat.example", "--require-origin", "yes")
    assert handshake(server.url).status == 403
    assert handshake(server.url, Origin="https://chat.example").status == 101


def test_a_full_server_says_when_to_come_back_and_has_room_again(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections", "2")
    first, second = ChatClient(server.url), ChatClient(server.url)
    refused = handshake(server.url)
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert b"full" in refused.body
    assert server.get("/health") == "OK"
    first.close()
    with ChatClient(server.url):
        assert server.samples()["chat_connection_limit"] == 2
    second.close()
    assert server.samples()['chat_handshakes_rejected_total{reason="full"}'] == 1


def test_an_address_behind_a_trusted_proxy_has_its_share(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections-per-address", "1", "--trusted-proxy", "127.0.0.0/8")
    with held(server.url, **{"X-Forwarded-For": "192.0.2.1"}) as first:
        assert first.status == 101
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.1"}).status == 429
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.2"}).status == 101


def test_a_proxy_that_is_not_trusted_is_not_believed(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections-per-address", "1")
    with held(server.url, **{"X-Forwarded-For": "192.0.2.1"}):
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.2"}).status == 429


def test_too_many_at_once_are_told_to_wait_a_second(start: Callable[..., RunningServer]) -> None:
    server = start("--handshake-rate", "0.01")  # no second one is let in however long the others take
    first, *refused = [handshake(server.url) for _ in range(3)]
    assert first.status == 101
    assert [(answer.status, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 2


def test_a_broken_handshake_takes_nobodys_place(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections", "1")
    assert handshake(server.url, **{"Sec-WebSocket-Version": "8"}).status == 400
    assert handshake(server.url).status == 101


def token(secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"sub": "ann", **claims}, secret, algorithm="HS256")


@pytest.fixture
def guarded(start: Callable[..., RunningServer], tmp_path: Path) -> RunningServer:
    """A server that lets in only those who prove who they are."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    return start("--jwt-secret-file", str(tmp_path / "secret"))


def test_without_a_valid_token_there_is_no_upgrade(guarded: RunningServer) -> None:
    assert "prove" in guarded.first_lines[0]
    expired = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    bad = {
        "none": None,
        "rubbish": "x.y.z",
        "other secret": token("another secret of thirty-two bytes and more"),
        "expired": token(exp=expired),
        "no name": token(sub=""),
        "long name": token(sub="x" * 65),
        "control character": token(sub="a\nb"),
        "unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.",
    }
    for name, value in bad.items():
        headers = {} if value is None else {"Authorization": f"Bearer {value}"}
        answer = handshake(guarded.url, **headers)
        assert (name, answer.status) == (name, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.samples()['chat_handshakes_rejected_total{reason="unauthorized"}'] == len(bad)
    assert handshake(guarded.url, Authorization=f"Bearer {token()}").status == 101


def test_the_name_comes_from_the_token_and_stays(guarded: RunningServer) -> None:
    with ChatClient(guarded.url, f"/ws/chat?token={token()}") as ann:
        ann.expect("connected")
        ann.send("setUsername", username="eve")
        assert ann.expect("error")["code"] == "name_fixed"
        ann.send("joinRoom", room="r")
        assert ann.expect("userJoined")["user"] == "ann"


def test_public_keys_are_enough_to_check(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("old", "new", "foreign")}
    jwks = {"keys": [{**json.loads(RSAAlgorithm.to_jwk(keys[k].public_key())), "kid": k} for k in ("old", "new")]}
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    server = start("--jwt-secret-file", str(tmp_path / "jwks.json"))

    def attempt(key: str, kid: str) -> int:
        signed = jwt.encode({"sub": "ann"}, keys[key], algorithm="RS256", headers={"kid": kid})
        return handshake(server.url, Authorization=f"Bearer {signed}").status

    assert [attempt("old", "old"), attempt("new", "new")] == [101, 101]
    assert [attempt("old", "new"), attempt("foreign", "foreign"), attempt("foreign", "new")] == [401, 401, 401]
    # The classic confusion: a public key used as if it were a shared secret.
    assert handshake(server.url, Authorization=f"Bearer {token()}").status == 401


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("short", "shorter than 32 bytes"),
        ("{", "no set of keys"),
        ('{"keys": []}', "no set of keys"),
        (None, "cannot read"),
    ],
)
def test_a_secret_file_that_is_no_good_is_one_clear_line(tmp_path: Path, content: str | None, complaint: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    done = run_server("--jwt-secret-file", str(file))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
