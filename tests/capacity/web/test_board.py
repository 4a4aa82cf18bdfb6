"""The state of the live page: only the latest counts, and the run's own last report stays."""

from __future__ import annotations

import gzip
import json
import threading

from capacity.web.board import Board
from capacity.web.messages import End, Progress


def state_of(board: Board) -> dict[str, object]:
    event = board.next_event(0, 0)
    assert event is not None
    state: dict[str, object] = json.loads(event.data)
    return state


def test_a_client_gets_the_latest_state_only() -> None:
    board = Board()
    assert board.next_event(0, 0) is None
    board.show_progress(Progress("step 1"))
    board.show_progress(Progress("step 2"))
    event = board.next_event(0, 0)
    assert event is not None
    assert json.loads(event.data)["activity"] == "step 2"
    assert not event.is_last
    assert board.next_event(event.number, 0) is None


def test_times_are_relative_to_the_moment_of_the_event() -> None:
    now = [100.0]
    board = Board(clock=lambda: now[0])
    board.show_progress(Progress("step 1", "measuring", phase_ends=106.0, budget_ends=250.0))
    now[0] = 102.0
    assert (state_of(board)["phase_left_s"], state_of(board)["budget_left_s"]) == (4.0, 148.0)
    now[0] = 300.0
    assert state_of(board)["budget_left_s"] == 0


def test_a_waiting_client_gets_the_next_state() -> None:
    board = Board()
    found = []
    waiting = threading.Thread(target=lambda: found.append(board.next_event(0, 30)))
    waiting.start()
    board.show_progress(Progress("step 1"))
    waiting.join(30)
    assert found[0] is not None


def test_each_report_has_its_number_and_replaces_a_problem() -> None:
    board = Board()
    board.show_problem("no disk")
    assert (state_of(board)["report"], state_of(board)["problem"]) == (0, "no disk")
    board.show_report(b"<p>1", b"{}")
    board.show_report(b"<p>2", b"[]")
    assert (state_of(board)["report"], state_of(board)["problem"]) == (2, "")
    assert board.page is not None
    assert board.data is not None
    assert (board.page.content, board.data.content) == (b"<p>2", b"[]")
    assert gzip.decompress(board.page.compressed) == b"<p>2"


def test_a_report_that_was_rendered_too_late_does_not_replace_the_last_one() -> None:
    board = Board()
    board.show_end(End("It has ended.", b"last", b"{}"))
    board.show_report(b"late", b"[]")
    assert board.page is not None
    assert board.page.content == b"last"
    event = board.next_event(0, 0)
    assert event is not None
    assert event.is_last
    assert json.loads(event.data)["ended"] == "It has ended."


def test_a_run_without_a_report_ends_with_the_latest_measurements() -> None:
    board = Board()
    board.show_report(b"<p>1", b"{}")
    board.show_end(End("The server ended."))
    assert board.page is not None
    assert board.page.content == b"<p>1"
    assert state_of(board)["report"] == 1
