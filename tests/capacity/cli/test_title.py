from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capacity.cli.title import run_title
from capacity.config.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = "one process of the bundled server"
SLO = ("--slo", "loss<1%")


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ((), f"Capacity of {BUNDLED}: chatting users, dialect stampede, SLOs loss<1%"),
        (
            ("--host", "ws://ann:secret@127.0.0.1:9000", "--dialect", "socketio", "--slo", "errors<1%"),
            "Capacity of ws://***@127.0.0.1:9000: chatting users, dialect socketio, SLOs errors<1% and loss<1%",
        ),
        (
            ("--bounded", "1200", "--mix", "ChattingUser=3,TypingUser=1"),
            f"1 200 users on {BUNDLED}: users (3 ChattingUser : 1 TypingUser), dialect stampede, SLOs loss<1%",
        ),
        (
            ("--steps", "20,40", "--workers-list", "2,4", "--mix", "A=1"),
            "20 and 40 users on 2 and 4 processes of the bundled server: A users, dialect stampede, SLOs loss<1%",
        ),
        (
            ("--bounded", "1"),
            f"1 user on {BUNDLED}: chatting users, dialect stampede, SLOs loss<1%",
        ),
        (
            ("--thorough", "--mix", "A=1", "--window", "9"),
            f"Capacity of {BUNDLED}: A users, dialect stampede, SLOs loss<1%, thorough (9 s windows, 4 confirmations)",
        ),
    ],
)
def test_the_title_says_what_a_run_asks(arguments: tuple[str, ...], title: str) -> None:
    assert run_title(read_settings([*arguments, *SLO], {})) == title


def test_the_dialect_of_a_locustfile_is_not_named_before_it_is_known(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.touch()
    settings = read_settings(["--locustfile", str(file), "--mix", "Buyer=2", *SLO], {})
    assert run_title(settings) == f"Capacity of {BUNDLED}: users of shop.py: Buyer=2, SLOs loss<1%"


def test_storms_have_a_title_of_their_own() -> None:
    title = run_title(read_settings(["--storm", "1000"], {}))
    assert title.startswith(f"Reconnect storms of 1 000 users on {BUNDLED}: chatting users, dialect stampede, SLOs ")
