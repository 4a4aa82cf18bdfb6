"""Read the stages of the Dockerfile."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from tests.tables import ROOT


class Instruction(NamedTuple):
    """One instruction: its name, and the rest of its line."""

    name: str
    argument: str


@cache
def instructions() -> tuple[Instruction, ...]:
    """Return all instructions; none continues on a second line."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return tuple(Instruction(*line.split(" ", 1)) for line in lines if line and not line.startswith("#"))


def stages() -> dict[str, str]:
    """Return what each stage is built from: an image or another stage."""
    lines = (re.fullmatch(r"(\S+) AS (\S+)", argument) for name, argument in instructions() if name == "FROM")
    return {line[2]: line[1] for line in lines if line}


def stage(name: str) -> list[Instruction]:
    """Return the instructions of a stage after those of the stages that it is built from."""
    start = instructions().index(Instruction("FROM", f"{stages()[name]} AS {name}")) + 1
    own = []
    for instruction in instructions()[start:]:
        if instruction.name == "FROM":
            break
        own.append(instruction)
    base = stages()[name]
    return [*(stage(base) if base in stages() else ()), *own]


def copied(name: str) -> list[str]:
    """Return the files and folders of the checkout that a stage copies."""
    sources = (argument.split()[:-1] for kind, argument in stage(name) if kind == "COPY" and "--from" not in argument)
    return [source for line in sources for source in line]
