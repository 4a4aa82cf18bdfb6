"""Stacks are read from the formats of profilers, and counted by function."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.profile.stacks import CpuProfile, Frame, Profile, merged, parse_collapsed, read_cpu_profile
from tests.capacity.profile.samples import stacks

FOLDER = "/srv/chat"
STDLIB = "/usr/lib/python3.11"


def collapsed(*lines: str) -> Profile:
    return parse_collapsed("\n".join(lines), folder=FOLDER, sample_ms=10.0)


def shares(profile: Profile) -> dict[str, float]:
    return {one.function: one.share for one in profile.functions()}


def test_functions_have_their_own_share_and_the_line_with_most_samples() -> None:
    profile = collapsed(
        "<module> (/srv/chat/app.py:9);handle (/srv/chat/app.py:4) 1",
        "<module> (/srv/chat/app.py:9);handle (/srv/chat/app.py:5) 2",
        f"<module> (/srv/chat/app.py:9);handle (/srv/chat/app.py:5);dumps ({STDLIB}/json/__init__.py:231) 1",
    )
    found = [(one.function, one.file, one.line, one.share) for one in profile.functions()]
    assert found == [("handle", "app.py", 5, 0.75), ("dumps", "json/__init__.py", 231, 0.25)]
    assert (profile.samples, profile.cpu_ms) == (4, 40.0)


def test_a_comprehension_counts_as_the_function_that_contains_it() -> None:
    profile = collapsed(
        "hot (/srv/chat/app.py:4);hot.<locals>.<genexpr> (/srv/chat/app.py:4) 3",
        "sorted_by (/srv/chat/other.py:1);hot.<locals>.<genexpr> (/srv/chat/app.py:4) 1",
    )
    assert shares(profile) == {"hot": 0.75, "<genexpr>": 0.25}


def test_a_nested_function_has_its_own_name() -> None:
    assert shares(collapsed("main.<locals>.Chat.hot (/srv/chat/app.py:4) 1")) == {"Chat.hot": 1.0}


def test_parts_that_are_no_frames_are_left_out() -> None:
    """The name of a process may contain a semicolon."""
    profile = collapsed(
        'process 7:"sh -c app.py; true";thread (0x7f);handle (/srv/chat/app.py:4) 2', "", "no stack", "3"
    )
    assert profile.stacks == {(Frame("handle", "app.py", 4, library=False),): 20.0}


@pytest.mark.parametrize(
    ("path", "short", "library"),
    [
        ("/srv/chat/app/handlers.py", "app/handlers.py", False),
        ("/srv/chat (old)/app.py", "/srv/chat (old)/app.py", False),
        ("/srv/chat/.venv/lib/python3.11/site-packages/fastapi/routing.py", "fastapi/routing.py", True),
        (f"{STDLIB}/asyncio/events.py", "asyncio/events.py", True),
        ("/usr/lib/python3/dist-packages/attr/_make.py", "attr/_make.py", True),
        ("<frozen runpy>", "<frozen runpy>", True),
        ("/opt/other.py", "/opt/other.py", False),
    ],
)
def test_files_are_relative_to_the_server_or_to_their_package(path: str, short: str, library: bool) -> None:
    (stack,) = collapsed(f"handle ({path}:4) 1").stacks
    assert stack == (Frame("handle", short, 4, library),)


def test_files_of_a_server_in_the_root_folder_keep_their_path() -> None:
    (stack,) = parse_collapsed("handle (/srv/app.py:4) 1", folder="/", sample_ms=10.0).stacks
    assert stack[0].file == "/srv/app.py"


@given(stacks)
def test_what_was_written_is_read(counts: dict[tuple[Frame, ...], int]) -> None:
    lines = [
        f"{';'.join(f'{one.function} ({one.file}:{one.line})' for one in stack)} {count}"
        for stack, count in counts.items()
    ]
    profile = parse_collapsed("\n".join(lines), folder="", sample_ms=1.0)
    assert profile.stacks == counts
    assert profile.samples == sum(counts.values())


@given(stacks)
def test_shares_fall_and_add_up_to_one(counts: dict[tuple[Frame, ...], int]) -> None:
    found = [one.share for one in Profile(counts, 0).functions()]
    assert found == sorted(found, reverse=True)
    assert sum(found) == pytest.approx(1.0 if counts else 0.0)


@given(stacks, stacks)
def test_processes_add_up(one: dict[tuple[Frame, ...], int], two: dict[tuple[Frame, ...], int]) -> None:
    both = merged([Profile(one, 3), Profile(two, 4)])
    assert both.samples == 7
    assert both.stacks == {stack: one.get(stack, 0) + two.get(stack, 0) for stack in one | two}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse_collapsed(text, folder=FOLDER, sample_ms=10.0)


def node(id_: int, name: str, url: str = "", line: int = -1, hits: int = 0, **more: Any) -> dict[str, Any]:
    call = {"functionName": name, "scriptId": "1", "url": url, "lineNumber": line, "columnNumber": 3}
    return {"id": id_, "callFrame": call, "hitCount": hits, **more}


def javascript(*nodes: dict[str, Any]) -> Profile:
    profile = msgspec.convert({"nodes": nodes, "startTime": 1, "endTime": 2}, CpuProfile)
    return read_cpu_profile(profile, folder=FOLDER, sample_ms=2.0)


def test_a_profile_of_v8_is_read_without_its_idle_samples() -> None:
    profile = javascript(
        node(1, "(root)", hits=1, children=[2, 3, 4, 7]),
        node(2, "(idle)", hits=900),
        node(3, "(garbage collector)", hits=2),
        node(4, "", "file:///srv/chat/my%20app.mjs", 9, children=[5]),
        node(5, "hot", "/srv/chat/hot.js", 19, 6, children=[6], positionTicks=[{"line": 22, "ticks": 4}]),
        node(6, "send", "/srv/chat/node_modules/ws/lib/sender.js", 3, 1),
        node(7, "(program)", hits=1),
    )
    anonymous = Frame("(anonymous)", "my app.mjs", 10, library=False)
    hot = Frame("hot", "hot.js", 20, library=False)
    assert profile.stacks == {
        (Frame("(garbage collector)", None, None, library=True),): 4.0,
        (anonymous, Frame("hot", "hot.js", 22, library=False)): 8.0,
        (anonymous, hot): 4.0,
        (anonymous, hot, Frame("send", "ws/lib/sender.js", 4, library=True)): 2.0,
        (Frame("(program)", None, None, library=True),): 2.0,
    }
    assert profile.samples == 10
    assert shares(profile) == {"hot": 0.6, "(garbage collector)": 0.2, "(program)": 0.1, "send": 0.1}
