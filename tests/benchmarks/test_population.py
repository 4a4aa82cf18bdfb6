"""The arithmetic of docs/scaling.md: it gives back what was measured, and the document says what it gives."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from statistics import mean, stdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import population, population_chart
from benchmarks.population import BY_INTEREST, BY_ROOM, TODAY, Crowd, Design, node, nodes_needed
from benchmarks.population_document import of_terms, renewed
from server.cluster.messages import SLOTS, slot_of
from server.settings import Settings
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOISE = 0.2  # CPU of the same work on the machine that measured, with what its other core did
DOCUMENT = "docs/scaling.md"
FILE = ROOT / "docs" / "scaling.json"
FIGURES = json.loads(FILE.read_text())
TERMS = population.read_terms(FILE)
MEASURED = [row for row in FIGURES["rows"] if row["node"] != "nats"]
FITTED = [row for row in MEASURED if row["nodes"] < 3]
BUSY = [row for row in FITTED if "silence" not in row["scenario"]]
AHEAD = [row for row in MEASURED if row["nodes"] == 3]


def name_of(row: dict[str, object]) -> str:
    return f"{row['scenario']}, node {row['node']}"


def test_what_is_said_of_the_server_is_so() -> None:
    assert population.SLOTS == SLOTS
    assert Settings().heartbeat_interval == population.HEARTBEAT_SECONDS


@pytest.mark.parametrize("row", BUSY, ids=name_of)
def test_the_terms_give_back_what_one_node_and_two_were_measured_to_cost(row: dict[str, float]) -> None:
    assert of_terms(row, TERMS) == pytest.approx(row["cpu"], rel=NOISE)


@pytest.mark.parametrize("row", AHEAD, ids=name_of)
def test_the_terms_foretell_what_three_nodes_were_measured_to_cost(row: dict[str, float]) -> None:
    assert of_terms(row, TERMS) == pytest.approx(row["cpu"], rel=NOISE)


@pytest.mark.parametrize(("scenario", "size", "rate"), [("rooms of 30", 30, 2.5), ("rooms of 12", 12, 5.0)])
def test_the_model_of_a_crowd_does_what_the_measured_nodes_did(scenario: str, size: int, rate: float) -> None:
    """600 users over three nodes, dealt out evenly in the measurement and at random in the model."""
    each = node(Crowd(600, size, rate, session_seconds=1e9), 3)
    for row in AHEAD:
        if scenario in str(row["scenario"]):
            for name in ("message", "write", "published", "heard"):
                assert getattr(each, name) == pytest.approx(row[name] / row["second"], rel=0.12), name


@pytest.mark.parametrize("nodes", [1, 2, 5, 30])
@pytest.mark.parametrize("design", [TODAY, Design(slots=16), BY_INTEREST])
def test_expectations_are_those_of_users_who_are_really_dealt_out(nodes: int, design: Design) -> None:
    dice = random.Random(nodes)
    crowd = Crowd(users=600, room_size=6, message_rate=1.0)
    taken = [_dealt(crowd, nodes, design, dice) for _ in range(100)]
    expected = node(crowd, nodes, design)
    for name in ("heard", "overheard", "entries"):
        values = [one[name] for one in taken]
        error = 4 * stdev(values) / len(values) ** 0.5
        assert mean(values) == pytest.approx(getattr(expected, name), abs=error + 1e-9), name


def _dealt(crowd: Crowd, nodes: int, design: Design, dice: random.Random) -> dict[str, float]:
    """Put every user somewhere, and look what node 0 gets to hear in a second."""
    members: dict[int, list[int]] = defaultdict(list)
    for user in range(crowd.users):
        members[user // crowd.room_size].append(dice.randrange(nodes))
    slots = {slot: dice.randrange(design.slots) for slot in members} if design.slots else {}
    here = {room for room, places in members.items() if 0 in places}
    listening = {slots[room] for room in here} if slots else set()
    heard = overheard = entries = 0
    for room, places in members.items():
        others = sum(place != 0 for place in places)
        if room in here:
            heard += others
            entries += len({place for place in places if place != 0}) if not design.presence_to_all else 0
        elif slots and slots[room] in listening:
            overheard += others
        entries += len({place for place in places if place != 0}) if design.presence_to_all else 0
    rate = crowd.message_rate
    return {"heard": heard * rate, "overheard": overheard * rate, "entries": entries}


@given(st.integers(1, 300_000), st.integers(2, 200), st.floats(0.01, 2))
def test_more_users_never_need_fewer_nodes_and_listening_by_interest_never_more(
    users: int, size: int, rate: float
) -> None:
    needed = [nodes_needed(Crowd(number, size, rate), TERMS, 0.3, BY_INTEREST) for number in (users, 2 * users)]
    today = nodes_needed(Crowd(users, size, rate), TERMS, 0.3)
    first, second = (number or 10**9 for number in needed)
    assert first <= second
    assert first <= (today or 10**9)
    by_room = nodes_needed(Crowd(users, size, rate), TERMS, 0.3, BY_ROOM)
    assert by_room is not None
    assert by_room <= first


def test_slots_are_dealt_evenly() -> None:
    counts = [0] * SLOTS
    for number in range(12_800):
        counts[slot_of(f"room{number}")] += 1
    assert max(counts) < 200


def test_the_document_says_what_the_arithmetic_gives() -> None:
    text = (ROOT / DOCUMENT).read_text()
    assert renewed(text, FIGURES, TERMS) == text
    with pytest.raises(ValueError, match="no table"):
        renewed("", FIGURES, TERMS)
    assert renewed(text.replace("per delivery, ", "per delivery, 9"), FIGURES, TERMS) == text


def test_the_chart_is_of_these_figures(tmp_path: Path) -> None:
    population_chart.main([str(FILE), str(tmp_path / "new.svg")])
    assert (tmp_path / "new.svg").read_text() == (ROOT / "docs" / "scaling.svg").read_text()


def test_figures_that_cannot_be_read_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert population.main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert population.main([str(FILE)]) == 0
