"""The pages in docs/dialects: their code blocks, and the commands in them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "docs" / "dialects"
CHECK = ".venv/bin/python -m stampede check "
LOCUST = ".venv/bin/locust -f loadtest "

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HOST = re.compile(r"--host ws://\S+")
_VARYING = (
    (re.compile(r"~[\w-]{48,}"), "STAMP"),
    (re.compile(r"~[\w-]+\.\.\."), "STAMP..."),
    (re.compile(r"(ws://[\w.]+):\d+"), r"\1:PORT"),
    (re.compile(r" *\b\d+\.\d ms"), " TIME"),
    (re.compile(r'("session":"s-|"id":)\d+'), r"\1NUMBER"),
)
_MESSAGE = "          "


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block."""

    language: str
    content: str


def fences(page: str) -> list[Fence]:
    """Return the code blocks of a page."""
    return [Fence(*found) for found in _FENCE.findall((FOLDER / page).read_text())]


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [fence.content for fence in fences(page) if fence.language == language]


def commands(page: str, program: str) -> list[list[str]]:
    """Return the arguments of a page's commands of a program, without comments and without the address."""
    lines = [line.partition("  #")[0] for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(_HOST.sub("", line[len(program) :])) for line in lines if line.startswith(program)]


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that has ended."""

    code: int
    out: str
    err: str


def check(arguments: list[str], host: str, folder: Path = ROOT) -> Checked:
    """Run the check of a server in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "stampede", "check", "--host", host, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Checked(done.returncode, done.stdout, done.stderr)


def shape(text: str) -> tuple[list[str], list[str]]:
    """Return the lines of a check's output that name steps and findings, and the messages in any order.

    Times, stamps and numbers of the server differ from run to run. A message may arrive a step later.
    """
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    lines = text.rstrip().splitlines()
    steps = [line for line in lines if not line.startswith(_MESSAGE)]
    return steps, sorted(line for line in lines if line.startswith(_MESSAGE))
