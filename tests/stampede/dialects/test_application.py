"""Dialects whose options contain placeholders."""

from __future__ import annotations

import pytest

from stampede.dialects.application import ApplicationDialect
from stampede.dialects.base import UpgradeRequest
from stampede.dialects.placeholders import MissingValueError, TextTemplate
from stampede.dialects.template.parsing import parse_template

LOGIN = """
extends = "socketio"
auth = '{"token":"{token}"}'

[[login]]
http = "POST /login"
save = {token = "token"}
"""


def test_path_and_query_have_the_values_of_the_user() -> None:
    dialect = ApplicationDialect("/{user}/chat?room={room}", None, ())
    assert dialect.request({"user": "a b"}, ["red"]) == UpgradeRequest("/a%20b/chat", "room=red")
    assert (dialect.path, dialect.room_is_in_request, dialect.rooms_per_connection) == ("/", True, 1)
    dialect = ApplicationDialect("/chat", True, ())
    assert dialect.request({}, []) == UpgradeRequest()
    assert (dialect.path, dialect.room_is_in_request, dialect.rooms_per_connection) == ("/chat", False, None)


def test_a_missing_value_is_named_before_and_during_a_run() -> None:
    dialect = ApplicationDialect("/chat?key={key}", None, [TextTemplate.parse("{user} {seat}")])
    dialect.check_columns(["key", "seat"])
    with pytest.raises(MissingValueError, match="key"):
        dialect.check_columns(["seat"])
    with pytest.raises(MissingValueError, match="seat"):
        dialect.request({"user": "ann", "key": "1"}, ["red"])


def test_a_token_is_placed_only_if_a_text_contains_it() -> None:
    assert ApplicationDialect("/chat?token={token}", None, ()).places_token
    assert ApplicationDialect("/chat", None, [TextTemplate.parse("{token}")]).places_token
    assert not ApplicationDialect("/chat", None, [TextTemplate.parse("{user}")]).places_token


def test_a_missing_value_of_a_request_is_named() -> None:
    given = LOGIN + 'body = \'{"name":"{user}","password":"{pasword}"}\'\n'
    with pytest.raises(MissingValueError, match="pasword"):
        parse_template(given, "a.toml", str).check_columns(["user", "password"])


def test_what_a_login_saves_has_a_value() -> None:
    parse_template(LOGIN, "a.toml", str).check_columns(["user"])
    with pytest.raises(MissingValueError, match="token"):
        parse_template(LOGIN.partition("[[")[0], "a.toml", str).check_columns(["user"])
