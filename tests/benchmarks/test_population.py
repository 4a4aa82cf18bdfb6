"""The cluster model of docs/scaling.md reproduces the measurements, and the document shows its results."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from statistics import mean, stdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import population, population_chart, population_tables
from benchmarks.population import BY_INTEREST, BY_ROOM, TODAY, Design, Population, node_load, nodes_needed
from benchmarks.population_document import predicted_cpu, updated
from server.cluster.messages import SLOTS, slot_of
from server.settings import Settings
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOISE = 0.2  # the CPU of the same work varies with the load on the machine's other core
DOCUMENT = "docs/scaling.md"
FILE = ROOT / "docs" / "scaling.json"
FIGURES = json.loads(FILE.read_text())
TERMS = population_tables.read_terms(FILE)
MEASURED = [row for row in FIGURES["rows"] if row["node"] != "nats"]
FITTED = [row for row in MEASURED if row["nodes"] < 3]
BUSY = [row for row in FITTED if "silence" not in row["scenario"]]
PREDICTED = [row for row in MEASURED if row["nodes"] == 3]


def name_of(row: dict[str, object]) -> str:
    return f"{row['scenario']}, node {row['node']}"


def test_the_model_uses_the_server_s_slots_and_heartbeat_interval() -> None:
    assert population.SLOTS == SLOTS
    assert Settings().heartbeat_interval == population.HEARTBEAT_SECONDS


@pytest.mark.parametrize("row", BUSY, ids=name_of)
def test_the_terms_reproduce_the_measured_cpu_of_one_and_two_nodes(row: dict[str, float]) -> None:
    assert predicted_cpu(row, TERMS) == pytest.approx(row["cpu"], rel=NOISE)


@pytest.mark.parametrize("row", PREDICTED, ids=name_of)
def test_the_terms_predict_the_measured_cpu_of_three_nodes(row: dict[str, float]) -> None:
    assert predicted_cpu(row, TERMS) == pytest.approx(row["cpu"], rel=NOISE)


@pytest.mark.parametrize(("scenario", "size", "rate"), [("rooms of 30", 30, 2.5), ("rooms of 12", 12, 5.0)])
def test_the_modelled_counts_match_those_of_the_measured_nodes(scenario: str, size: int, rate: float) -> None:
    """600 users on three nodes: spread evenly in the measurement, at random in the model."""
    each = node_load(Population(600, size, rate, session_seconds=1e9), 3)
    for row in PREDICTED:
        if scenario in str(row["scenario"]):
            for name in ("message", "write", "published", "received"):
                assert getattr(each, name) == pytest.approx(row[name] / row["second"], rel=0.12), name


@pytest.mark.parametrize("nodes", [1, 2, 5, 30])
@pytest.mark.parametrize("design", [TODAY, Design(slots=16), BY_INTEREST])
def test_expected_counts_match_a_simulation_with_random_nodes(nodes: int, design: Design) -> None:
    dice = random.Random(nodes)
    population = Population(users=600, room_size=6, message_rate=1.0)
    taken = [_simulate(population, nodes, design, dice) for _ in range(100)]
    expected = node_load(population, nodes, design)
    for name in ("received", "discarded", "entries"):
        values = [one[name] for one in taken]
        error = 4 * stdev(values) / len(values) ** 0.5
        assert mean(values) == pytest.approx(getattr(expected, name), abs=error + 1e-9), name


def _simulate(population: Population, nodes: int, design: Design, dice: random.Random) -> dict[str, float]:
    """Assign every user to a random node; return the messages that node 0 receives per second."""
    members: dict[int, list[int]] = defaultdict(list)
    for user in range(population.users):
        members[user // population.room_size].append(dice.randrange(nodes))
    slots = {slot: dice.randrange(design.slots) for slot in members} if design.slots else {}
    here = {room for room, nodes_of_room in members.items() if 0 in nodes_of_room}
    subscribed = {slots[room] for room in here} if slots else set()
    received = discarded = entries = 0
    for room, nodes_of_room in members.items():
        others = sum(place != 0 for place in nodes_of_room)
        if room in here:
            received += others
            entries += len({place for place in nodes_of_room if place != 0}) if not design.presence_to_all else 0
        elif slots and slots[room] in subscribed:
            discarded += others
        entries += len({place for place in nodes_of_room if place != 0}) if design.presence_to_all else 0
    rate = population.message_rate
    return {"received": received * rate, "discarded": discarded * rate, "entries": entries}


@given(st.integers(1, 300_000), st.integers(2, 200), st.floats(0.01, 2))
def test_more_users_never_need_fewer_nodes_and_routing_by_interest_never_needs_more(
    users: int, size: int, rate: float
) -> None:
    needed = [nodes_needed(Population(number, size, rate), TERMS, 0.3, BY_INTEREST) for number in (users, 2 * users)]
    today = nodes_needed(Population(users, size, rate), TERMS, 0.3)
    first, second = (number or 10**9 for number in needed)
    assert first <= second
    assert first <= (today or 10**9)
    by_room = nodes_needed(Population(users, size, rate), TERMS, 0.3, BY_ROOM)
    assert by_room is not None
    assert by_room <= first


def test_rooms_are_spread_evenly_over_slots() -> None:
    counts = [0] * SLOTS
    for number in range(12_800):
        counts[slot_of(f"room{number}")] += 1
    assert max(counts) < 200


def test_the_document_shows_the_results_of_the_model() -> None:
    text = (ROOT / DOCUMENT).read_text()
    assert updated(text, FIGURES, TERMS) == text
    with pytest.raises(ValueError, match="no table"):
        updated("", FIGURES, TERMS)
    assert updated(text.replace("per delivery is ", "per delivery is 9"), FIGURES, TERMS) == text


def test_the_chart_shows_the_committed_figures(tmp_path: Path) -> None:
    population_chart.main([str(FILE), str(tmp_path / "new.svg")])
    assert (tmp_path / "new.svg").read_text() == (ROOT / "docs" / "scaling.svg").read_text()


def test_an_unreadable_file_of_figures_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert population_tables.main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert population_tables.main([str(FILE)]) == 0
