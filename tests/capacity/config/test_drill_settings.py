from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capacity.config.drill_settings import REFUSED, read_drill_settings
from capacity.config.options import flag
from capacity.config.settings import RUN_OPTIONS
from capacity.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = ["--users", "50", "--run", "systemctl restart chat"]


def test_a_drill_takes_the_options_of_the_server_the_load_and_the_report() -> None:
    settings = read_drill_settings(
        [*GIVEN, "--host", "ws://a:1", "--dialect", "socketio", "--churn-per-minute", "1"], {}
    )
    assert (settings.users, settings.run) == (50, "systemctl restart chat")
    assert (settings.command_timeout, settings.recovery_timeout) == (600, 120)
    run = settings.run_settings
    assert (run.host, run.load.dialect, run.given) == ("ws://a:1", "socketio", (50,))
    assert [slo.text for slo in run.slos] == ["resync_p95<5s", "deliver_p99<250ms", "loss<0.1%"]


def test_all_users_are_timed_so_that_each_drop_is_noticed_at_once() -> None:
    assert read_drill_settings(GIVEN, {}).run_settings.load.value("timed_share") == 1
    given = read_drill_settings([*GIVEN, "--timed-share", "20%"], {})
    assert given.run_settings.load.value("timed_share") == 0.2


@pytest.mark.parametrize("missing", [["--users", "50"], ["--run", "true"], [*GIVEN[:2], "--run", " "]])
def test_users_and_command_are_required(missing: list[str]) -> None:
    with pytest.raises(UsageError, match="a drill needs --users N and --run 'COMMAND'"):
        read_drill_settings(missing, {})


@pytest.mark.parametrize("name", REFUSED)
def test_options_of_the_search_are_refused_by_name(name: str) -> None:
    value = [] if RUN_OPTIONS[name].parse is None else ["5"]
    with pytest.raises(UsageError, match=f"{flag(name)}: not an option of a drill: "):
        read_drill_settings([*GIVEN, flag(name), *value], {})


def test_slos_with_a_window_or_in_promql_are_refused(tmp_path: Path) -> None:
    levels = tmp_path / "levels.toml"
    levels.write_text('[[level]]\nfigure = "deliver_p99"\nthreshold = "250ms"\nwindow = 10\n')
    with pytest.raises(UsageError, match="a drill cannot judge deliver_p99<250ms"):
        read_drill_settings([*GIVEN, "--slo-file", str(levels)], {})


def test_other_options_of_the_load_test_are_refused_as_in_a_run() -> None:
    with pytest.raises(UsageError, match="--threshold: not an option of a drill: use --slo"):
        read_drill_settings([*GIVEN, "--threshold", "deliver_p99<1s"], {})
