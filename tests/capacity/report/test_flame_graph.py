"""A flame graph shows every frame below its caller, as wide as its share, with a label that fits."""

from __future__ import annotations

import msgspec
from hypothesis import given

from capacity.profile.stacks import Frame, Profile
from capacity.profile.summary import flame_frames, summarise
from capacity.record.step import Verdict
from capacity.report.flame_graph import NARROW, WIDE, level_charts
from tests.capacity.profile.samples import level, run_profile, stacks


def test_the_failing_level_comes_first_and_each_has_both_widths() -> None:
    failing, passing = level_charts(run_profile())
    assert (failing.key, failing.title) == ("failing", "CPU time at 1 500 users, which failed")
    assert (passing.key, passing.note) == ("passing", "100 samples of 1 process in 8 s")
    assert [(graph.size, graph.width) for graph in failing.graphs] == [("wide", WIDE), ("narrow", NARROW)]


def test_a_frame_names_its_function_its_place_and_its_share() -> None:
    wide, narrow = level_charts(run_profile())[0].graphs
    dumps = wide.boxes[3]
    assert (dumps.title, dumps.label) == ("dumps, json/__init__.py:231, 41.0 %", "dumps 41 %")
    assert (dumps.x, dumps.y, dumps.width) == (0.0, 60, 352.6)
    assert dumps.library
    assert [box.label for box in narrow.boxes[3:]] == ["dumps 41 %", "JSONEncoder.encode", "JSONEnc…"]


def test_the_more_time_a_function_itself_uses_the_stronger_is_its_colour() -> None:
    boxes = level_charts(run_profile())[0].graphs[0].boxes
    by_label = {box.title.partition(",")[0]: box.opacity for box in boxes}
    assert by_label["handle"] > by_label["run"] > by_label["<module>"]


def test_a_level_without_samples_has_no_graph() -> None:
    profile = summarise({Verdict.PASS: level({})})
    assert [chart.graphs for chart in level_charts(profile)] == [[]]


@given(stacks)
def test_no_two_frames_overlap_and_all_are_inside(samples: dict[tuple[Frame, ...], float]) -> None:
    profile = summarise({Verdict.FAIL: level(samples)})
    (chart,) = level_charts(profile)
    frames = flame_frames(Profile(samples, 1))
    assert [graph.width for graph in chart.graphs] == ([WIDE, NARROW] if frames else [])
    for graph in chart.graphs:
        ends: dict[int, float] = {}
        for box, frame in zip(graph.boxes, frames, strict=True):
            assert box.x >= ends.get(box.y, 0.0) - 0.02
            assert box.x + box.width <= graph.width + 0.02
            assert box.y + 20 <= graph.height
            assert len(box.label) * 5 < box.width
            ends[box.y] = box.x + box.width
            assert msgspec.json.encode(frame)
