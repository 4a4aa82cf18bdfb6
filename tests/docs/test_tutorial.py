"""The tutorial's own server, a chat on Socket.IO: what the page says of it is what happens."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from typing import TYPE_CHECKING

import pytest

from benchmarks.node_packages import packages
from benchmarks.processes import BenchmarkError
from docs.terminal.__main__ import FOLDER, PICTURES
from docs.terminal.drawing import Frame, draw
from tests.dialects.pages import check
from tests.dialects.programs import JAVASCRIPT
from tests.docs.pages import commands, write
from tests.metrics.fixtures import skip_or_fail
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stampede.fixtures import Locust

PAGE = "tutorial/first-server.md"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[str]:
    """Start the chat of the page on a free port; yield its URL."""
    try:
        modules = packages(JAVASCRIPT)
    except BenchmarkError as missing:
        skip_or_fail(str(missing))
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")
    port = free_port()
    path = tmp_path / "chat.js"
    write(tmp_path, PAGE, "chat.js", "io.on", "js")
    assert "listen(3000," in path.read_text()
    path.write_text(path.read_text().replace("3000", str(port)))
    with subprocess.Popen(["node", str(path)], stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == f"chat on ws://127.0.0.1:{port}\n"
        yield f"ws://127.0.0.1:{port}"
        serving.kill()


def lines_of(picture: str) -> list[str]:
    """Return the steps and the findings in the picture of a check, without the messages and the times."""
    lines = [unescape(line) for line in re.findall(r'<text x="16"[^>]*>([^<]*)</text>', picture)]
    first_words = ("ok ", "FAILED ", "latency ", "join ", "own ", "private ", "acknowledgement ", "text ", "PROBLEM ")
    return [re.sub(r" *\d[\d.]* ms", " TIME", line) for line in lines if line.startswith(first_words)]


def test_the_check_of_the_page_says_what_its_picture_shows(chat: str) -> None:
    picture = PICTURES["check"]
    assert picture.command in [text for page, text in commands() if page == PAGE]
    done = check(["--dialect", "socketio"], chat)
    assert done.code == 0, done.out + done.err
    drawn = draw(picture.command, [Frame(done.out.splitlines())], picture.label, columns=picture.columns)
    shown = lines_of((FOLDER / "check.svg").read_text())
    assert lines_of(drawn) == shown
    assert len(shown) == 14


def test_the_chat_of_the_page_carries_the_load_of_the_page(locust: Callable[..., Locust], chat: str) -> None:
    ended = locust(
        "--headless", "--host", chat, "--dialect", "socketio", "-u", "40", "-r", "40", "-t", "6s", "ChattingUser"
    ).wait()
    assert ended.ended_with(0), ended.out + ended.log
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
