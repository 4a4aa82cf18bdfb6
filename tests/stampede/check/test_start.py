"""The check at the start of a test, and the echo that it discovers."""

from __future__ import annotations

import re

import pytest

from stampede import LoadGenerator, StampedeError
from stampede.check import exchange
from stampede.check.start import CheckError, check_exchange
from stampede.websocket.target import join_url, resolve
from tests.stampede.check import acme
from tests.stampede.check.acme import AcmeServer

ACCOUNTS = ({"user": "ann"}, {"user": "bob"})
TIMEOUT = 60.0


@pytest.mark.parametrize("echoes", [True, False])
def test_the_exchange_uses_a_room_of_its_own_and_returns_the_echo(echoes: bool) -> None:
    server, dialect = AcmeServer(echoes=echoes), acme.UnknownEchoDialect()
    with server.running() as url:
        for _ in range(2):
            target = resolve(join_url(url, dialect.path))
            assert check_exchange(target, dialect, ACCOUNTS, join_grace=0.05) is echoes
    joins = [entry for entry in server.seen if entry.startswith("join")]
    assert len(joins) == 4
    assert len(set(joins)) == 2
    assert all(re.fullmatch(r"join stampede-check-\d+", join) for join in joins)


@pytest.mark.parametrize("dialect", [acme.AcmeDialect(), acme.UnconfirmedDialect()])
def test_a_room_is_left_only_if_the_server_confirms_that(dialect: acme.AcmeDialect) -> None:
    server = AcmeServer(members=2)
    with server.running() as url:
        check_exchange(resolve(join_url(url, dialect.path)), dialect, ACCOUNTS, join_grace=0.05)
    leaves = [entry for entry in server.seen if entry.startswith("leave")]
    assert len(leaves) == (2 if dialect.acknowledges_leaves else 0)


def test_a_failed_check_is_one_line_with_the_step() -> None:
    dialect = acme.AcmeDialect()
    with AcmeServer(token="another").running() as url, pytest.raises(CheckError) as caught:
        check_exchange(resolve(join_url(url, dialect.path)), dialect, ACCOUNTS, join_grace=0.05)
    assert re.fullmatch(
        rf"the check of {url}/chat with the dialect acme failed: open: the server refused: error: bad token; .+",
        str(caught.value),
    )


def test_a_wrong_statement_of_the_dialect_fails_the_check() -> None:
    dialect = acme.EchoingDialect()
    with AcmeServer(acknowledges=True).running() as url, pytest.raises(CheckError, match=r"each would count as lost$"):
        check_exchange(resolve(join_url(url, dialect.path)), dialect, ACCOUNTS, join_grace=0.05)


@pytest.mark.parametrize("echoes", [True, False])
def test_a_load_generator_discovers_the_echo_and_owes_it(echoes: bool) -> None:
    with (
        AcmeServer(echoes=echoes).running() as url,
        LoadGenerator(url, dialect=acme.UnknownEchoDialect()) as generator,
    ):
        ann, *_ = generator.join("room", users=3)
        ann.say()
        assert generator.drain(TIMEOUT)
        ledger = generator.ledger
    assert (ledger.expected, ledger.received, ledger.lost, ledger.duplicated) == (2 + echoes, 2 + echoes, 0, 0)


@pytest.mark.parametrize("write", [acme.slashes_escaped, acme.plus_escaped])
def test_a_server_that_escapes_in_json_loses_nothing(write: acme.Writer) -> None:
    with AcmeServer(write=write).running() as url, LoadGenerator(url, dialect=acme.AcmeDialect()) as generator:
        ann, *_ = generator.join("room", users=3)
        for _ in range(20):
            ann.say("a+b/c")
        assert generator.drain(TIMEOUT)
        ledger = generator.ledger
    assert (ledger.expected, ledger.received, ledger.duplicated) == (40, 40, 0)


def test_a_load_generator_that_cannot_discover_the_echo_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with AcmeServer(silent=("say",)).running() as url:
        monkeypatch.setattr(exchange, "STEP_SECONDS", 0.3)
        generator = LoadGenerator(url, dialect=acme.UnknownEchoDialect())
        with pytest.raises(StampedeError, match=r"failed: message: not delivered to user 2 within"), generator:
            pytest.fail("the block ran")
