"""The page "Load your own server": its exchange, its commands and their output are those of its server."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.dialects.load import carry
from tests.dialects.pages import CHECK, FOLDER, LOCUST, Fence, blocks, check, commands, fences, shape
from tests.stampede.fixtures import TIMEOUT
from tests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.dialects.fixtures import StartReal
    from tests.dialects.real_server import RealServer
    from tests.stampede.fixtures import Locust

PAGE = "your-own-server.md"
FILE = FOLDER / "acme.toml"
TOKEN = ("--token", "s3cret")
PING_SECONDS = "4"  # a user of a busy machine has eight seconds for its answer


@pytest.fixture
def acme(start_real: StartReal) -> RealServer:
    return start_real("acme", *TOKEN, "--ping-seconds", "600")  # no ping among the messages of the page


def test_the_parts_of_the_file_are_the_file() -> None:
    assert tomllib.loads("\n".join(blocks(PAGE, "toml"))) == tomllib.loads(FILE.read_text())


def test_the_exchange_of_the_browser_is_that_of_the_server(acme: RealServer) -> None:
    address, *lines = next(fence.content for fence in fences(PAGE) if "↑" in fence.content).splitlines()
    path = address.rpartition("/")[2]
    with connect(f"{acme.url}/{path}") as ann, connect(f"{acme.url}/{path}") as bob:
        for text in ('{"type":"login","user":"bob","token":"s3cret"}', '{"type":"subscribe","channel":"general"}'):
            bob.send(text)
        for direction, text in (line.split(" ", 1) for line in lines if '"ping"' not in line):
            if direction == "↑":
                ann.send(text)
                continue
            expected = json.loads(text)
            if expected.get("from") == "bob":
                bob.send(json.dumps({"type": "publish", "channel": "general", "ref": 1, "body": expected["body"]}))
            assert [*json.loads(ann.recv(TIMEOUT))] == [*expected]


def test_each_command_of_the_page_prints_what_the_page_says(acme: RealServer, tmp_path: Path) -> None:
    compared, file, command = 0, tmp_path / "acme.toml", ""
    for fence in fences(PAGE):
        if fence.language == "toml":
            file.write_text(f"{file.read_text() if file.exists() else ''}\n{fence.content}")
        elif fence.language == "sh" and fence.content.startswith(CHECK):
            command = fence.content
        elif fence.language == "text" and not is_summary(fence):
            done = check(without_host(command), acme.url, tmp_path)
            printed = done.err if fence.content.count("\n") == 1 else done.out + done.err
            assert shape(printed) == shape(fence.content)
            compared += 1
    assert compared == 3
    acme.wait_for_counts(clients=0, members=0)


def is_summary(fence: Fence) -> bool:
    return fence.content.lstrip().startswith("deliveries")


def without_host(command: str) -> list[str]:
    return shlex.split(re.sub(r"--host \S+", "", command.removeprefix(CHECK)))


def test_the_load_test_ends_with_the_summary_of_the_page(locust: Callable[..., Locust], start_real: StartReal) -> None:
    """The server closes connections that have not answered two pings."""
    server = start_real("acme", *TOKEN, "--ping-seconds", PING_SECONDS)
    (arguments,) = commands(PAGE, LOCUST)
    _, _, *rest = arguments[arguments.index("--dialect") :]
    assert rest == [*TOKEN, "-u", "100", "-r", "20", "-t", "60s", "ChattingUser"]
    ended = carry(locust, server, "--dialect", str(FILE), *TOKEN)
    server.wait_for_counts(clients=0, members=0)
    (summary,) = [fence.content for fence in fences(PAGE) if is_summary(fence)]
    printed = {without_figures(line) for line in ended.out.splitlines()}
    assert [line for line in map(without_figures, summary.splitlines()) if line not in printed] == []


def without_figures(line: str) -> str:
    return " ".join(re.sub(r"[\d.]+ (s|ms|us)?", "N ", line).split())


# What is changed in the file, or the arguments of `check`, for each row of the table.
CAUSES = [
    ('"/socket"', '"/chat"'),
    ('"hello"', '"welcome"'),
    ("s3cret", "wrong"),
    ('"subscribed"', '"joined"'),
    ('"publish"', '"say"'),
    ('text = "body"', 'text = "text"'),
    ('"published"', '"sent"'),
    ('self = "no"', 'self = "yes"'),
    ('"{text}"', "{text}"),
]
ROWS = rows(str((FOLDER / PAGE).relative_to(FOLDER.parent.parent)), "## What `check` says, and what to change")


@pytest.mark.parametrize(("line", "change"), [(row[0], change) for row, change in zip(ROWS, CAUSES, strict=True)])
def test_a_mistake_ends_in_the_line_of_the_table(
    acme: RealServer, tmp_path: Path, line: str, change: tuple[str, str]
) -> None:
    text = FILE.read_text()
    if change[0] == '"publish"':  # without [[error]], which would name the refusal
        text = text.partition("[[error]]")[0]
    (tmp_path / "acme.toml").write_text(text.replace(*change))
    done = check(["--dialect", "acme.toml", *(part.replace(*change) for part in TOKEN)], acme.url, tmp_path)
    assert done.code != 0
    pattern = re.escape(line).replace(r"\.\.\.", ".+")
    assert re.fullmatch(pattern, done.err.strip()), done.err
