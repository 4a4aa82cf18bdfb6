"""The settings of a report are derived from the options: their names are fixed, since programs read them."""

from __future__ import annotations

from capacity.config.settings import RUN_OPTIONS, read_settings
from capacity.config.settings_table import (
    COMPARE_MAY_DIFFER,
    QUESTION,
    RESUME_MAY_CHANGE,
    SELECT_LEVELS,
    UNITS,
    settings_table,
)

NAMES = {
    "host", "steps", "bounded", "users_min", "users_max", "max_duration", "settle", "window", "processes", "mix",
    "work_per_message", "workers", "storm", "target_users", "headroom", "price_per_core", "prometheus", "server_pid",
    "thorough",
    "interval_width", "confirmations", "load", "headers", "locustfile", "locustfile_hash", "profile", "expect_workers",
    "master_bind_host", "master_bind_port", "worker_timeout",
}  # fmt: skip


def test_a_report_has_the_promised_settings() -> None:
    assert set(settings_table(read_settings([], {}))) == NAMES


def test_settings_are_shown_without_secrets() -> None:
    arguments = ["--host", "ws://ann:secret@host:1", "--header", "X-Key: secret", "--bounded", "5"]
    table = settings_table(read_settings(arguments, {}))
    assert (table["host"], table["headers"], table["steps"], table["bounded"]) == (
        "ws://***@host:1",
        "X-Key",
        "5",
        True,
    )
    assert table["interval_width"] is None
    assert "secret" not in str(table)


def test_headroom_is_shown_only_with_target_users() -> None:
    assert settings_table(read_settings([], {}))["headroom"] is None
    assert settings_table(read_settings(["--target-users", "9"], {}))["headroom"] == 0.3


def test_resume_may_change_the_length_of_a_run_and_the_additions_to_its_report() -> None:
    of_workers = {"master_bind_host", "master_bind_port", "worker_timeout"}
    of_a_run = {"max_duration", "users_max", "target_users", "headroom", "price_per_core", "server_pid", "profile"}
    assert of_a_run | of_workers == RESUME_MAY_CHANGE


def test_compare_accepts_differences_in_how_a_run_was_measured() -> None:
    assert {
        "steps", "bounded", "users_min", "users_max", "max_duration", "processes", "target_users", "headroom",
        "price_per_core", "host",
        "prometheus", "server_pid", "thorough", "interval_width", "confirmations", "profile", "expect_workers",
        "master_bind_host", "master_bind_port", "worker_timeout",
    } == COMPARE_MAY_DIFFER  # fmt: skip


def test_history_divides_runs_by_their_question() -> None:
    assert set(QUESTION) == {"host", "locustfile", "mix", "load", "work_per_message", "workers"}
    assert set(SELECT_LEVELS) == {"steps", "bounded", "storm"}


def test_units_are_those_of_the_options() -> None:
    assert (UNITS["window"], UNITS["headroom"], UNITS["interval_width"], UNITS["users_min"]) == ("s", "%", "%", "")


def test_every_option_has_a_help_text_without_a_final_full_stop() -> None:
    for name, option in RUN_OPTIONS.items():
        assert option.help, name
        assert not option.help.endswith("."), name
