"""Synthetic profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from capacity.profile.stacks import Frame, Profile
from capacity.profile.summary import LevelProfile, summarise
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from capacity.record.profile import RunProfile

MAIN = Frame("<module>", "app.py", 99, library=False)
RUN = Frame("run", "asyncio/runners.py", 190, library=True)
HANDLE = Frame("handle", "handlers.py", 88, library=False)
DUMPS = Frame("dumps", "json/__init__.py", 231, library=True)
ENCODE = Frame("JSONEncoder.encode", "json/encoder.py", 200, library=True)
ITERENCODE = Frame("JSONEncoder.iterencode", "json/encoder.py", 258, library=True)

PASSING: dict[tuple[Frame, ...], float] = {(MAIN, RUN): 60.0, (MAIN, RUN, HANDLE): 40.0}
FAILING: dict[tuple[Frame, ...], float] = {
    (MAIN, RUN, HANDLE): 36.0,
    (MAIN, RUN, HANDLE, DUMPS, ENCODE): 21.0,
    (MAIN, RUN, HANDLE, DUMPS, ENCODE, ITERENCODE): 20.0,
    (MAIN, RUN): 23.0,
}

names = st.text(st.characters(categories=("L", "Nd"), include_characters="_.<>"), min_size=1).filter(
    lambda name: "<locals>." not in name and not name.endswith(("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"))
)
frames = st.builds(Frame, names, names.map(lambda name: f"/{name}.py"), st.integers(1, 9999), st.just(value=False))
stacks = st.dictionaries(st.lists(frames, min_size=1, max_size=6).map(tuple), st.integers(1, 500), max_size=20)


def level(stacks: dict[tuple[Frame, ...], float], users: int = 100) -> LevelProfile:
    """Return the profile of a level."""
    return LevelProfile(users, 8.0, 1, Profile(stacks, round(sum(stacks.values()))))


def run_profile() -> RunProfile:
    """Return the profile of a run, with both levels."""
    return summarise({Verdict.PASS: level(PASSING, 1400), Verdict.FAIL: level(FAILING, 1500)})
