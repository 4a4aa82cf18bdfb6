"""Upgrades with tokens: the accepted tokens, and the reason that a client receives for a refused one."""

from __future__ import annotations

import base64
import datetime as dt
import json
import signal
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.clients import SECONDS, ChatClient, handshake, open_handshake
from tests.processes import run_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer

SECRET = "a secret of at least thirty-two bytes"


def token(secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"sub": "ann", **claims}, secret, algorithm="HS256")


@pytest.fixture
def token_server(start: Callable[..., RunningServer], tmp_path: Path) -> RunningServer:
    """A server that requires a token."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    return start("--jwt-secret-file", str(tmp_path / "secret"))


PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


BAD_TOKENS: dict[str, tuple[str | None, str]] = {
    "none": (None, "A token is needed"),
    "malformed": ("x.y.z", "The token is not valid"),
    "nested": (f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.", "The token is not valid"),
    "other secret": (token("another secret of thirty-two bytes and more"), "The token is not valid"),
    "unsigned": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.", "The token is not valid"),
    "infinite expiry": (token(exp=float("inf")), "The token is not valid"),
    "expired": (token(exp=PAST), "The token has expired"),
    "not yet valid": (
        token(nbf=dt.datetime(2200, 1, 1, tzinfo=dt.UTC)),
        "The token is not valid yet; compare the clocks",
    ),
    "issued in the future": (
        token(iat=dt.datetime(2200, 1, 1, tzinfo=dt.UTC)),
        "The token is not valid yet; compare the clocks",
    ),
    "other audience": (token(aud="other"), "The token is for another audience"),
    "no subject": (jwt.encode({}, SECRET, algorithm="HS256"), "The token names no usable user"),
    "no name": (token(sub=""), "The token names no usable user"),
    "a number": (jwt.encode({"sub": 7}, SECRET, algorithm="HS256"), "The token names no usable user"),
    "long name": (token(sub="x" * 65), "The token names no usable user"),
    "control character": (token(sub="a\nb"), "The token names no usable user"),
}


def test_an_upgrade_without_a_valid_token_is_refused_with_the_reason(token_server: RunningServer) -> None:
    assert "clients need a token" in token_server.first_lines[0]
    for name, (value, message) in BAD_TOKENS.items():
        headers = {} if value is None else {"Authorization": f"Bearer {value}"}
        answer = handshake(token_server.url, **headers)
        assert (name, answer.status, answer.body.decode()) == (name, 401, f"{message}\n")
        challenge = "Bearer" if value is None else f'Bearer error="invalid_token", error_description="{message}"'
        assert (name, answer.headers["www-authenticate"]) == (name, challenge)
    assert token_server.samples()['chat_handshakes_rejected_total{reason="unauthorized"}'] == len(BAD_TOKENS)
    assert handshake(token_server.url, Authorization=f"Bearer {token()}").status == 101


@pytest.mark.parametrize("path", ["/ws/chat", "/ws/notifications", "/ws/echo"])
def test_a_browser_gets_the_reason_in_a_close_frame(token_server: RunningServer, path: str) -> None:
    refused = {
        "": "token_missing: A token is needed",
        f"?token={token(exp=PAST)}": "token_expired: The token has expired",
    }
    for query, reason in refused.items():
        with connect(
            token_server.url + path + query, origin=Origin("https://x.example"), open_timeout=SECONDS
        ) as browser:
            with pytest.raises(ConnectionClosed) as closed:
                browser.recv(timeout=SECONDS)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, reason)
            assert closed.value.rcvd_then_sent
    samples = token_server.samples()
    assert samples['chat_handshakes_rejected_total{reason="unauthorized"}'] == len(refused)
    assert samples["chat_connections_opened_total"] == 0
    with connect(f"{token_server.url}{path}?token={token()}", origin=Origin("https://x.example")) as browser:
        browser.ping().wait(SECONDS)


def test_a_client_with_an_authorization_header_gets_a_status_whatever_its_origin(token_server: RunningServer) -> None:
    answer = handshake(token_server.url, Origin="https://x.example", Authorization=f"Bearer {token(exp=PAST)}")
    assert answer.status == 401


def test_an_unusual_handshake_of_a_browser_gets_the_same_close_frame(token_server: RunningServer) -> None:
    with open_handshake(token_server.url, Origin="https://x.example", Connection="keep-alive,Upgrade") as answer:
        assert answer.status == 101
    broken = {"Origin": "https://x.example", "Sec-WebSocket-Version": "8"}
    assert handshake(token_server.url, **broken).status == 400
    assert token_server.samples()['chat_handshakes_rejected_total{reason="unauthorized"}'] == 2


def test_tokens_are_for_an_audience_and_from_an_issuer(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    flags = ("--jwt-audience", "chat", "--jwt-audience", "talk", "--jwt-issuer", "https://id.example")
    server = start("--jwt-secret-file", str(tmp_path / "secret"), *flags)

    def attempt(**claims: Any) -> tuple[int, bytes]:
        answer = handshake(server.url, Authorization=f"Bearer {token(**claims)}")
        return answer.status, answer.body

    ours = {"aud": "chat", "iss": "https://id.example"}
    audience = (401, b"The token is for another audience\n")
    issuer = (401, b"The token is from another issuer\n")
    assert [attempt(**{**ours, "aud": aud})[0] for aud in ("chat", "talk", ["mail", "talk"])] == [101] * 3
    assert [attempt(**{**ours, "aud": aud}) for aud in ("mail", ["mail"], [])] == [audience] * 3
    assert attempt(iss="https://id.example") == audience
    assert [attempt(aud="chat"), attempt(aud="chat", iss="https://id.example.evil")] == [issuer] * 2


def test_clocks_may_differ_by_the_leeway(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    server = start("--jwt-secret-file", str(tmp_path / "secret"))
    strict = start("--jwt-secret-file", str(tmp_path / "secret"), "--jwt-leeway", "0")
    hour = dt.timedelta(hours=1)

    def attempts(url: str, ahead: dt.timedelta) -> list[int]:
        now = dt.datetime.now(dt.UTC)
        claims: list[dict[str, Any]] = [{"iat": now + ahead}, {"nbf": now + ahead}, {"exp": now - ahead}]
        return [handshake(url, Authorization=f"Bearer {token(**each)}").status for each in claims]

    assert attempts(server.url, dt.timedelta(seconds=2)) == [101] * 3
    assert attempts(server.url, hour) == [401] * 3
    assert handshake(strict.url, Authorization=f"Bearer {token(exp=dt.datetime.now(dt.UTC))}").status == 401


def test_the_username_of_a_token_cannot_be_changed(token_server: RunningServer) -> None:
    with ChatClient(token_server.url, f"/ws/chat?token={token()}") as ann:
        ann.expect("connected")
        ann.send("setUsername", username="eve")
        assert ann.expect("error")["code"] == "name_fixed"
        ann.send("joinRoom", room="r")
        assert ann.expect("userJoined")["user"] == "ann"


def test_tokens_are_verified_with_public_keys(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("old", "new", "foreign")}
    jwks = {"keys": [{**json.loads(RSAAlgorithm.to_jwk(keys[k].public_key())), "kid": k} for k in ("old", "new")]}
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    server = start("--jwt-secret-file", str(tmp_path / "jwks.json"))

    def attempt(key: str, kid: str) -> int:
        signed = jwt.encode({"sub": "ann"}, keys[key], algorithm="RS256", headers={"kid": kid})
        return handshake(server.url, Authorization=f"Bearer {signed}").status

    assert [attempt("old", "old"), attempt("new", "new")] == [101, 101]
    assert [attempt("old", "new"), attempt("foreign", "foreign"), attempt("foreign", "new")] == [401, 401, 401]
    # The known attack: the public key is used as a shared secret.
    assert handshake(server.url, Authorization=f"Bearer {token()}").status == 401


def test_sighup_reloads_the_keys(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    old, new = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    file.write_text(json.dumps({"keys": [json.loads(RSAAlgorithm.to_jwk(old.public_key()))]}))
    server = start("--jwt-secret-file", str(file))

    def attempt(key: rsa.RSAPrivateKey) -> int:
        signed = jwt.encode({"sub": "ann"}, key, algorithm="RS256")
        return handshake(server.url, Authorization=f"Bearer {signed}").status

    assert [attempt(old), attempt(new)] == [101, 401]
    file.write_text(json.dumps({"keys": [json.loads(RSAAlgorithm.to_jwk(new.public_key()))]}))
    server.process.send_signal(signal.SIGHUP)
    while attempt(new) != 101:
        assert server.process.poll() is None
    assert attempt(old) == 401
    file.write_text("{")
    server.process.send_signal(signal.SIGHUP)
    assert server.process.stderr is not None
    lines = iter(server.process.stderr.readline, "")
    error = next(line for line in lines if "token keys not reloaded" in line)
    assert str(file) in error
    assert [attempt(old), attempt(new)] == [401, 101]  # the keys read before stay in use
    server.stop(expects_errors=True)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("short", "shorter than 32 bytes"),
        ("{", "not a JSON Web Key Set"),
        ('{"keys": []}', "not a JSON Web Key Set"),
        (None, "cannot read"),
    ],
)
def test_an_unusable_secret_file_ends_in_one_clear_line(tmp_path: Path, content: str | None, error: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    done = run_server("--jwt-secret-file", str(file))
    assert done.returncode == 1
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
