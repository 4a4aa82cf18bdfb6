"""Make the pictures of programs in a terminal: `python -m docs.terminal capacity check`.

`capacity` takes three minutes on an idle machine. `check` needs the chat of docs/tutorial/first-server.md at port 3000.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from docs.terminal.drawing import Frame, draw
from docs.terminal.recording import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docs.terminal.recording import Shown

FOLDER: Final = Path(__file__).parent.parent / "pictures"


@dataclass(frozen=True, slots=True)
class Picture:
    """How a picture is made.

    Attributes:
        command: what a reader types.
        label: description for readers who do not see the picture.
        columns: width of the terminal.
        moments: shares of the run whose screens come before the last one.
        rows: lines of the last screen that are shown.
    """

    command: str
    label: str
    columns: int
    moments: Sequence[float] = ()
    rows: int = 100


PICTURES: Final[Mapping[str, Picture]] = {
    "capacity": Picture(
        'make capacity ARGS="--work-per-message 0.001 --profile"',
        "a capacity run in a terminal",
        columns=100,
        moments=(0.1, 0.2, 0.4, 0.6, 0.8),
        rows=23,
    ),
    "check": Picture(
        ".venv/bin/python -m stampede check --host ws://127.0.0.1:3000 --dialect socketio",
        "a check of a chat on Socket.IO in a terminal",
        columns=110,
    ),
}


def main() -> None:
    """Make the pictures that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m docs.terminal", description="Make pictures of terminals.")
    parser.add_argument("names", nargs="+", choices=PICTURES, metavar="NAME", help=" or ".join(PICTURES))
    for name in parser.parse_args().names:
        picture = PICTURES[name]
        shown = record(shlex.split(picture.command), columns=picture.columns)
        drawn = draw(picture.command, frames(shown, picture), picture.label, columns=picture.columns)
        (FOLDER / f"{name}.svg").write_text(drawn)


def frames(shown: Sequence[Shown], picture: Picture) -> list[Frame]:
    """Return the screens of a picture: some moments in the first half of the film, the last one in the second."""
    ended = shown[-1]
    before = [max((one for one in shown if one.seconds <= share * ended.seconds), key=lambda one: one.seconds)
              for share in picture.moments]  # fmt: skip
    return [
        *(Frame(one.lines[: picture.rows], 0.5 / len(before)) for one in before),
        Frame(ended.lines[: picture.rows], 0.5),
    ]


if __name__ == "__main__":
    main()
