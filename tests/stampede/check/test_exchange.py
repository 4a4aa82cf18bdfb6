"""The exchange of two users: what it records, which step fails, and what came instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stampede.check.exchange import ExchangeSettings, run_exchange
from stampede.check.result import StepName
from stampede.check.texts import refusal
from stampede.dialects.base import Dialect
from stampede.dialects.stampede import StampedeDialect
from stampede.websocket.target import join_url, resolve
from tests.ports import free_port
from tests.stampede.check import acme
from tests.stampede.check.acme import SECRET, AcmeDialect, AcmeServer
from tests.stampede.name_resolution import resolve_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.check.result import Exchange
    from tests.processes import RunningServer

ACCOUNTS = ({"user": "ann", "token": SECRET}, {"user": "bob", "token": SECRET})
ROOM = "a/stampede-check"  # the words of the probe are in it
PATIENT = 60.0
TIMEOUTS = (0.3, 3.0, 30.0)  # for steps that fail by their timeout: the earlier steps may need a longer one


def exchange(url: str, dialect: Dialect, timeout: float = PATIENT, *, waits_for_copies: bool = False) -> Exchange:
    settings = ExchangeSettings(ROOM, ACCOUNTS, timeout=timeout, join_grace=0.05, waits_for_copies=waits_for_copies)
    return run_exchange(resolve(join_url(url, dialect.path)), dialect, settings)


def test_a_server_of_the_dialect_passes_each_step() -> None:
    with AcmeServer(token=SECRET).running() as url:
        result = exchange(url, AcmeDialect())
    assert result.failure == ""
    assert [(step.name, step.user, step.ok) for step in result.steps] == [
        (name, user, True)
        for name in (StepName.OPEN, StepName.JOIN, StepName.MESSAGE, StepName.LEAVE)
        for user in (1, 2)
    ]
    assert result.url == f"{url}/chat"
    findings = result.findings
    assert (findings.echoes, findings.private_copies, findings.acknowledges_messages) == (False, False, False)
    assert all(0 < latency < PATIENT for latency in findings.latencies)
    assert (findings.change, findings.problems) == ("", ())


def test_both_users_are_at_one_address(start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that fails because of a bus between instances would look like one with the wrong dialect."""
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    target = resolve(f"ws://several.test:{server.url.rpartition(':')[2]}/")
    assert run_exchange(target, StampedeDialect(), ExchangeSettings("r", ACCOUNTS)).failure == ""
    assert [use.connections for use in target.addresses.uses()] == [2, 0]


def test_the_messages_of_a_step_are_recorded_with_their_meaning() -> None:
    with AcmeServer(token=SECRET).running() as url:
        result = exchange(url, AcmeDialect())
    join = [(one.user, one.sent, one.meaning) for step in result.steps if step.name == "join" for one in step.messages]
    assert sorted(join) == [
        (1, False, "joined"),
        (1, False, "notice, ignored"),
        (1, True, ""),
        (2, False, "joined"),
        (2, False, "notice, ignored"),
        (2, True, ""),
    ]


def test_the_bundled_server_passes(server: RunningServer) -> None:
    result = exchange(server.url, StampedeDialect())
    assert (result.failure, result.findings.problems) == ("", ())
    assert result.findings.echoes is False


def test_echo_private_copy_and_acknowledgement_are_found() -> None:
    with AcmeServer(echoes=True, copies=True, acknowledges=True).running() as url:
        result = exchange(url, acme.EchoingDialect())
    findings = result.findings
    assert (findings.echoes, findings.private_copies, findings.acknowledges_messages) == (True, True, True)
    assert (result.failure, findings.problems) == ("", ())


@pytest.mark.parametrize("echoes", [True, False])
def test_an_echo_is_discovered(echoes: bool) -> None:
    with AcmeServer(echoes=echoes).running() as url:
        result = exchange(url, acme.UnknownEchoDialect())
    assert result.findings.echoes is echoes
    assert result.findings.problems == ()


def test_a_wrong_statement_about_the_echo_is_a_problem() -> None:
    with AcmeServer(echoes=True).running() as url:
        (problem,) = exchange(url, AcmeDialect(), waits_for_copies=True).findings.problems
    assert "each would count as duplicated" in problem
    with AcmeServer(acknowledges=True).running() as url:
        (problem,) = exchange(url, acme.EchoingDialect()).findings.problems
    assert "each would count as lost" in problem


def test_second_copies_are_a_problem() -> None:
    with AcmeServer(echoes=True, acknowledges=True, times=2).running() as url:
        own, other = exchange(url, acme.EchoingDialect(), waits_for_copies=True).findings.problems
    assert own.startswith("a sender received its own message twice")
    assert other.startswith("a message was delivered twice")


def test_joins_and_leaves_that_the_server_does_not_confirm_are_not_waited_for() -> None:
    server = AcmeServer(members=2)
    with server.running() as url:
        result = exchange(url, acme.UnconfirmedDialect())
    assert result.failure == ""
    assert [step.outcome for step in result.steps if step.name == "leave"] == ["by closing the connection"] * 2
    assert not [entry for entry in server.seen if entry.startswith("leave")]
    assert [step.outcome for step in result.steps if step.name == "join"] == ["not confirmed, waited 0.05 s"] * 2


@pytest.mark.parametrize(
    ("write", "change"),
    [(acme.slashes_escaped, r"/ is written as \/"), (acme.plus_escaped, r"+ is written as \u002B")],
)
def test_a_server_that_escapes_passes_and_the_escape_is_named(write: acme.Writer, change: str) -> None:
    with AcmeServer(write=write).running() as url:
        result = exchange(url, AcmeDialect())
    assert result.failure == ""
    assert result.findings.change == change


LAST = r"the last message of the server was '(.+)'"

FAILURES: dict[str, tuple[AcmeServer, Dialect, str]] = {
    "wrong credentials": (
        AcmeServer(token="another"),
        AcmeDialect(),
        rf"open: the server refused: error: bad token; {LAST} \(refused: error: bad token\)",
    ),
    "room that needs permission": (
        AcmeServer(forbidden=(ROOM,)),
        AcmeDialect(),
        rf"join: the server refused: error: no permission; {LAST} \(refused: error: no permission\)",
    ),
    "wrong event name": (
        AcmeServer(),
        acme.WrongEventDialect(),
        rf"message: the server refused: error: unknown op publish; {LAST} \(refused: error: unknown op publish\)",
    ),
    "wrong event name without an error": (
        AcmeServer(silent=("publish",)),
        acme.WrongEventDialect(),
        r"message: not delivered to user 2 within \S+ s; the server sent nothing",
    ),
    "no delivery, but an answer to the sender": (
        AcmeServer(times=0, acknowledges=True),
        AcmeDialect(),
        rf"message: not delivered to user 2 within \S+ s; {LAST} \(acknowledgement\)",
    ),
    "delivery that the dialect does not find": (
        AcmeServer(),
        acme.OtherDeliveryDialect(),
        rf"message: not delivered to user 2 within \S+ s: the text arrived, but the dialect does not find it; {LAST}",
    ),
    "no greeting": (
        AcmeServer(silent=("hello",)),
        AcmeDialect(),
        r"open: no answer within \S+ s: expected welcome; the server sent nothing",
    ),
    "no confirmation of a join": (
        AcmeServer(silent=("join",)),
        AcmeDialect(),
        r"join: no confirmation within \S+ s; the server sent nothing",
    ),
    "no acknowledgement": (
        AcmeServer(echoes=True),
        acme.EchoingDialect(),
        rf"message: delivered, but not acknowledged within \S+ s; {LAST} \(delivery\)",
    ),
    "wrong dialect": (
        AcmeServer(),
        StampedeDialect(),
        r"join: the server closed the connection: 1003 not understood; the server sent nothing",
    ),
    "no way to send": (
        AcmeServer(),
        Dialect(),
        r"message: Dialect does not say how to send a chat message: override `say`",
    ),
    "closed while the user joins": (
        AcmeServer(closes_after="join", silent=("join",)),
        AcmeDialect(),
        r"join: the server closed the connection: 1008 not allowed; the server sent nothing",
    ),
    "closed after a message": (
        AcmeServer(closes_after="say", silent=("say",)),
        AcmeDialect(),
        r"message: the server closed the connection: 1008 not allowed; the server sent nothing",
    ),
    "no delivery after a join that is not confirmed": (
        AcmeServer(silent=("say",)),
        acme.UnconfirmedDialect(),
        r"message: not delivered to user 2 within \S+ s; the server does not confirm joins: .* --join-grace; the .+",
    ),
    "another encoding": (
        AcmeServer(write=acme.utf16, members=2),
        acme.UnconfirmedDialect(),
        rf"message: not delivered to user 2 within \S+ s: the server answers in UTF-16-LE; {LAST}",
    ),
    "changed text": (
        AcmeServer(write=acme.lower_case, members=2),
        acme.UnconfirmedDialect(),
        rf"message: not delivered to user 2 within \S+ s: the stamp ~\S+ arrives as '~\S+'; {LAST} \(delivery\)",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_says_which_step_failed_and_what_came_instead(case: str) -> None:
    server, dialect, line = FAILURES[case]
    for timeout in TIMEOUTS if "within" in line else (PATIENT,):
        with server.running() as url:
            result = exchange(url, dialect, timeout)
        if re.fullmatch(line, result.failure):
            break
    assert re.fullmatch(line, result.failure), result.failure
    if "within" in line:
        assert f" within {timeout:g} s" in result.failure
    assert not result.steps[-1].ok


def test_binary_messages_that_the_dialect_ignores_are_named() -> None:
    end = "; the server sent 1 binary messages, which the dialect ignores"
    for timeout in TIMEOUTS:
        with AcmeServer(write=acme.utf16).running() as url:
            result = exchange(url, acme.TextDialect(), timeout)
        if result.failure.endswith(end):
            break
    assert result.failure.endswith(end)


def test_a_server_that_does_not_answer_is_named_with_its_address() -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    result = exchange(url, AcmeDialect())
    assert result.failure == f"connect: cannot connect to {url}/chat: connection refused"
    assert result.steps[-1].messages == ()


@pytest.mark.parametrize(
    ("label", "text"), [("refused: full", "refused: full"), ("refused", "refused"), ("error: 4", "refused: error: 4")]
)
def test_a_refusal_says_once_that_it_is_one(label: str, text: str) -> None:
    assert refusal(label) == text
