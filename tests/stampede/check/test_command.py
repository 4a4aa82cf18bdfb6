"""`python -m stampede check`: its output, its one line after a failure, and its exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stampede.__main__ import main
from stampede.check.dialect_table import table
from tests.ports import free_port
from tests.stampede.check import acme
from tests.stampede.check.acme import SECRET, AcmeServer
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer

PREFIX = "tests.stampede.check.acme:"


def check(*arguments: str) -> int:
    return main(["check", "--join-grace", "0.05", *arguments])


def test_the_exchange_is_printed_step_by_step_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with AcmeServer(token=SECRET, echoes=True, copies=True, acknowledges=True).running() as url:
        assert check("--dialect", f"{PREFIX}EchoingDialect", "--host", url, "--token", SECRET) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"{url}/chat, room 'stampede-check', dialect acme\n")
    assert SECRET not in out
    assert "issued-by-the-server" not in out
    for line in (
        r"ok      open     user 1  accepted +[\d.]+ ms",
        r'          user 1 > \{"op":"hello","token":"\*\*\*"\}',
        r'          user 1 < \{"op":"welcome","session":\{"token":"\*\*\*"\}\}   \[connection accepted\]',
        r"ok      join     user 2  confirmed +[\d.]+ ms",
        r"ok      message  user 1  delivered to user 2 in [\d.]+ ms",
        r'          user 2 < \{"op":"message","room":"stampede-check","text":"~.*"\}   \[delivery\]',
        r'          user 1 < \{"op":"own","text":"You wrote: ~.*   \[not used by the dialect\]',
        r"latency           [\d.]+ ms and [\d.]+ ms from the send to the delivery",
        r"join              confirmed by the server",
        r"own message       the sender receives it, too \(as the dialect says\)",
        r"private copy      yes, not counted as a delivery",
        r"acknowledgement   of each message",
        r"text              arrives unchanged",
    ):
        assert re.search(rf"^{line}$", out, re.MULTILINE), line


def test_a_failure_ends_in_one_line_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with AcmeServer(silent=("join",)).running() as url:
        assert check("--dialect", f"{PREFIX}AcmeDialect", "--host", url, "--timeout", "0.3") == 1
    out, err = capsys.readouterr()
    assert err == "join: no confirmation within 0.3 s; the server sent nothing\n"
    assert "FAILED  join     user 1  no confirmation within 0.3 s" in out


def test_a_server_that_does_not_do_what_the_dialect_says_has_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with AcmeServer(acknowledges=True).running() as url:
        assert check("--dialect", f"{PREFIX}EchoingDialect", "--host", url) == 1
    out, err = capsys.readouterr()
    problem = "senders do not receive their own messages, but the dialect says so: each would count as lost\n"
    assert err == problem
    assert f"PROBLEM           {problem}" in out


def test_a_placeholder_without_a_value_ends_in_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "acme.toml"
    file.write_text("""[[open]]\nsend = '{"token":"{token}"}'\n[say]\nsend = '{"text":"{text}"}'\n""")
    assert check("--dialect", str(file)) == 2
    error = f"{file}: open[1].send: {{token}} has no value: give --token"
    assert capsys.readouterr().err.startswith(f"stampede check: error: {error}")


def test_accounts_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(f"user,token\nann,{SECRET}\nbob,{SECRET}\n")
    with AcmeServer(token=SECRET).running() as url:
        assert check("--dialect", f"{PREFIX}AcmeDialect", "--host", url, "--credentials", str(file)) == 0
        file.write_text("user,token\nann,wrong\n")
        assert check("--dialect", f"{PREFIX}AcmeDialect", "--host", url, "--credentials", str(file)) == 1


def test_the_command_runs_without_locust(server: RunningServer) -> None:
    program = "import sys; from stampede.__main__ import main; main(sys.argv[1:]); print('locust' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "--host", server.url, "--room", "a/room"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert "ok      message  user 2  delivered to user 1 in " in done.stdout
    assert done.stdout.endswith("text              arrives unchanged\nFalse\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--dialect", "none"), r"--dialect: 'none' is not a dialect: .*"),
        (("--host", "http://x"), r"--host http://x: not a WebSocket address; .*"),
        (("--host", "ws://no-such-host.invalid"), r"--host ws://no-such-host\.invalid: .+"),
        (("--credentials", "/none.csv"), r"--credentials /none\.csv: No such file or directory"),
        (("--header", "none"), r"--header: not a header of the form 'Name: value'"),
        (("--ca-file", "/none.pem", "--host", "wss://127.0.0.1"), r"--ca-file /none\.pem: .+"),
    ],
)
def test_a_usage_error_ends_in_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    assert check(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"stampede check: error: {line}\n", err), err


def test_a_placeholder_without_a_value_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "acme.toml"
    file.write_text('[[open]]\nsend = "{token}"\nexpect = {op = "welcome"}\n[say]\nsend = "{text}"\n')
    assert check("--dialect", str(file)) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"stampede check: error: .*token.*\n", err), err


@pytest.mark.parametrize(
    "arguments", [("--http-host", "x"), ("--path", "x"), ("--timeout", "0"), ("--join-grace", "x"), ("--none",)]
)
def test_an_unknown_or_wrong_option_has_code_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        check(*arguments)
    assert ended.value.code == 2


def test_a_server_that_does_not_answer_is_a_failed_connect(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    assert check("--host", f"{url}/?token={SECRET}") == 1
    assert capsys.readouterr().err == f"connect: cannot connect to {url}/?token=***: connection refused\n"


def test_an_untrusted_certificate_fails_unless_it_is_accepted(
    certificate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with AcmeServer().running(certificate) as url:
        acme_at = ("--dialect", f"{PREFIX}AcmeDialect", "--host", url)
        assert check(*acme_at) == 1
        assert "certificate not trusted" in capsys.readouterr().err
        assert check(*acme_at, "--insecure") == 0
        assert check(*acme_at, "--ca-file", f"{certificate}.crt") == 0


def test_the_dialects_are_listed_with_what_each_supports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialects"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^stampede +yes +no +no +yes +yes +yes +1 +the bundled server$", out, re.MULTILINE)
    assert re.search(r"^plain +no +no +no +no +no +no +any +not proven on a real server$", out, re.MULTILINE)


def test_dialects_that_echo_or_must_discover_it_are_listed_so() -> None:
    lines = table({"a": acme.EchoingDialect(), "b": acme.UnknownEchoDialect()}, {})
    assert lines[1].split()[:4] == ["a", "yes", "yes", "yes"]
    assert lines[2].split()[:4] == ["b", "yes", "discovered", "no"]
